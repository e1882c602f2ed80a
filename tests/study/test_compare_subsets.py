"""Comparisons over several numbers of labels and several sets of labelled images."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from comparing import write_labelled, write_pretrained

from geopretrain import cli
from geopretrain.commands.compare import compare
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError, OptionError, RunFolderError, UserError
from geopretrain.runs.folder import RunFolder
from geopretrain.study import folder
from geopretrain.study.comparison import Comparison


@pytest.fixture
def labelled(tmp_path):
    """Eight training images of two drives, six of one and two of the other."""
    names = {
        "train": [*(f"day_{k:03d}" for k in range(6)), *(f"night_{k:03d}" for k in range(2))],
        "val": ["v_0", "v_1"],
        "test": ["t_0", "t_1", "t_2"],
    }
    return write_labelled(tmp_path / "labelled", names)


@pytest.fixture
def depth(tmp_path):
    return write_pretrained(tmp_path / "runs" / "depth").path


def run(labelled, depth, out, **options):
    defaults = {"labels": 4, "seeds": 2, "steps": 60, "jobs": 1, "progress": False, "pictures": 1}
    defaults |= {"preset": "short", "device": "cpu"}
    return compare(
        f"random,{depth}", data=labelled, out=out, modes="full", **{**defaults, "curve_points": 1, **options}
    )


def trials(out):
    return sorted(path.stem for path in (out / "trials").glob("*.json"))


@pytest.mark.usefixtures("scripted")
class TestScripted:
    def test_every_set_is_trained_with_every_seed(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        comparison = run(labelled, depth, out, labels="2,4", subsets=3)
        assert len(trials(out)) == 2 * 2 * 3 * 2
        assert "depth-full-labels4-subset2-seed1" in trials(out)
        at = {(row.labels, row.init): row for row in comparison.rows}
        assert at[4, "depth"].subsets == (0, 0, 1, 1, 2, 2)
        assert at[4, "depth"].seeds == (0, 1) * 3
        # depth: 0.25 - 0.02, 0.25, 0.25 + 0.02 with seed 0, 0.002 more with seed 1; random 0.3 and 0.301
        assert at[4, "depth"].values == pytest.approx((0.23, 0.232, 0.25, 0.252, 0.27, 0.272))
        assert at[4, "depth"].subset_sd == pytest.approx(0.02)
        assert at[4, "depth"].sd == pytest.approx(0.002 / 2**0.5)
        difference = at[4, "depth"].difference
        assert difference.over == "subsets"
        assert difference.by_subset == pytest.approx((-0.0695, -0.0495, -0.0295))
        half = 4.3026527 * 0.02 / 3**0.5
        assert (difference.low, difference.high) == pytest.approx((-0.0495 - half, -0.0495 + half), abs=1e-8)
        assert difference.verdict == "unclear"
        assert at[2, "random"].mean == pytest.approx(0.2805)

    def test_each_set_may_have_a_seed_of_its_own(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        own = {"labels": "2,all", "subsets": 3, "seeds": "5,6,8", "seed_per_set": True}
        comparison = run(labelled, depth, out, **own)
        pairs = [f"labels2-subset{k}-seed{seed}" for k, seed in enumerate((5, 6, 8))]
        every = [f"labels8-subset0-seed{seed}" for seed in (5, 6, 8)]  # of all labels there is one set
        assert trials(out) == sorted(f"{i}-full-{one}" for i in ("random", "depth") for one in pairs + every)
        (row,) = (row for row in comparison.rows if (row.init, row.labels) == ("depth", 2))
        assert row.keyed.keys() == {(0, 5), (1, 6), (2, 8)}
        apart = np.array(row.difference.values)
        half = 4.3026527 * apart.std(ddof=1) / 3**0.5  # Student's t of three independent differences
        assert row.difference.low == pytest.approx(apart.mean() - half, abs=1e-8)
        assert set(comparison.expected.values()) == {3}
        said = " ".join(comparison.results["cautions"])
        assert "3 sets of labelled images were drawn, each with a seed of its own" in said
        page = (out / "report.html").read_text()
        assert "once\nfrom each starting point with each of " in page
        assert "sets of labelled images, each of which has a seed of its own" in page
        assert "over the sets, each with a seed of its own" in page
        for text in (comparison.table(), comparison.sentence, page.partition("<footer")[0]):
            assert not re.search(r"(?<![-\w])nan(?!\w)", text)
        assert f"\N{PLUS-MINUS SIGN} {100 * row.subset_sd:.1f} " in comparison.table()
        assert "Not every training" not in said
        whole = run(labelled, depth, out, **own | {"seed_per_set": False})
        assert len(trials(out)) == 2 * (9 + 3), "the others are added"
        assert "each with every seed" in " ".join(whole.results["cautions"])

    @pytest.mark.parametrize(
        ("subsets", "seeds", "said"), [(3, 2, "3 sets and 2 seeds"), (1, 2, "1 set and 2")]
    )
    def test_a_seed_for_each_set_needs_as_many_of_both(self, labelled, depth, tmp_path, subsets, seeds, said):
        with pytest.raises(UserError, match=said):
            run(labelled, depth, tmp_path / "cmp", subsets=subsets, seeds=seeds, seed_per_set=True)
        assert not (tmp_path / "cmp").exists()

    def test_files_and_page_say_what_intervals_are_over(self, labelled, depth, tmp_path):
        comparison = run(labelled, depth, tmp_path / "cmp", labels="2,4", subsets=3)
        again = Comparison.open(tmp_path / "cmp")
        assert again.rows == comparison.rows
        assert comparison.sentence.startswith("With 2 labels and all layers trained, at the end: ")
        assert "with 4 labels" in comparison.sentence.lower()
        table = comparison.table()
        assert "labels" in table.splitlines()[0]
        assert "\N{PLUS-MINUS SIGN} 2.0" in table
        assert "over 3 subsets unclear" in table
        lines = list(csv.DictReader(io.StringIO((tmp_path / "cmp" / "comparison.csv").read_text())))
        assert {line["labels"] for line in lines} == {"2", "4"}
        assert lines[-1]["interval_over"] == "subsets"
        assert float(lines[-1]["pooled_low"]) > float(lines[-1]["difference_low"])
        page = (tmp_path / "cmp" / "report.html").read_text()
        assert "What labels are worth" in page
        assert "2 or 4" in page
        assert "subset 2" in page
        protocol = comparison.results["protocol"]
        assert protocol["subset_by"] == "sequence"
        small, large = (
            next(one for one in protocol["drawn"] if (one["labels"], one["subset"]) == (labels, 1))
            for labels in (2, 4)
        )
        assert set(small["names"]) < set(large["names"])
        assert sum(large["sequences"].values()) == 4
        assert "--labels 2 4" in protocol["command"]
        assert any("Intervals are over these sets and the seeds" in c for c in comparison.results["cautions"])

    def test_more_sets_and_labels_add_to_what_is_there(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        run(labelled, depth, out, subsets=2)
        before = {path: path.stat().st_mtime_ns for path in (out / "trials").glob("*.json")}
        comparison = run(labelled, depth, out, subsets=3, labels="4,6")
        assert len(trials(out)) == 2 * 2 * 3 * 2
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert {row.labels for row in comparison.rows} == {4, 6}
        with pytest.raises(RunFolderError, match="subset_by = 'sequence', not 'chance'"):
            run(labelled, depth, out, subsets=3, subset_by="chance")

    def test_how_sets_are_drawn_stays_as_it_was_begun(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        run(labelled, depth, out, labels="2,4")  # one set of each: by chance
        comparison = run(labelled, depth, out, labels="2,4", subsets=2)
        assert comparison.results["protocol"]["subset_by"] == "chance"
        assert len(trials(out)) == 2 * 2 * 2 * 2

    def test_the_preset_stays_as_it_was_begun_on_another_machine(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        run(labelled, depth, out, preset="kitti_vit", steps=5)
        comparison = run(labelled, depth, out, preset="auto", steps=5, seeds=3)
        assert comparison.results["protocol"]["preset"] == "kitti_vit", "auto would be short here"
        with pytest.raises(RunFolderError, match="holds a comparison with lr = "):
            run(labelled, depth, out, preset="short", steps=5)

    def test_a_killed_comparison_goes_on_where_it_was(self, labelled, depth, tmp_path, monkeypatch):
        out = tmp_path / "cmp"
        monkeypatch.setenv("FAKE_KILL", "depth, full, 4 labels, subset 1, seed 0")
        first = run(labelled, depth, out, subsets=2, jobs=2)
        (failure,) = first.results["failures"]
        assert (failure["labels"], failure["subset"], failure["seed"]) == (4, 1, 0)
        assert "(3 of 4 trainings)" in first.table()
        monkeypatch.delenv("FAKE_KILL")
        whole = run(labelled, depth, out, subsets=2)
        assert not whole.results["failures"]
        assert len((out / "calls.log").read_text().splitlines()) == 9
        assert whole.rows == run(labelled, depth, tmp_path / "other", subsets=2).rows

    def test_one_set_and_several_are_other_comparisons(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        run(labelled, depth, out)
        assert trials(out)[0] == "depth-full-seed0"
        with pytest.raises(RunFolderError, match="labels = 4, not \\[2, 4\\]"):
            run(labelled, depth, out, labels="2,4")
        with pytest.raises(RunFolderError, match="subsets = 1, not 3"):
            run(labelled, depth, out, subsets=3)
        with pytest.raises(RunFolderError, match="subset_by = 'chance', not 'sequence'"):
            run(labelled, depth, out, subset_by="sequence")
        run(labelled, depth, out, labels="2,4", overwrite=True)
        assert trials(out) == [
            f"{init}-full-labels{n}-subset0-seed{seed}"
            for init in ("depth", "random")
            for n in (2, 4)
            for seed in (0, 1)
        ]

    def test_folders_of_several_sets_are_removed_as_ours(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        run(labelled, depth, out, subsets=2, lr="1e-3,1e-2")
        (out / ".geopretrain" / "files.jsonl").unlink()
        folder.remove_own(out)
        there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        assert there == {"config.yaml", "calls.log"}

    def test_chosen_images_are_compared_with_drawn_ones(self, labelled, depth, tmp_path):
        out, chosen = tmp_path / "cmp", tmp_path / "chosen.txt"
        run(labelled, depth, out, subsets=3)
        before = {path: path.stat().st_mtime_ns for path in (out / "trials").glob("*.json")}
        chosen.write_text("day_005.png\nnight_000.png\nday_001\nday_000.png\nday_002.png\n")
        comparison = run(labelled, depth, out, subsets=3, label_list=chosen)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert len(trials(out)) == 16
        assert "depth-full-labels4-chosen-seed1" in trials(out)
        rows = {row["init"]: row for row in comparison.results["choice"]}
        # depth: 0.25 + 0.06 with the chosen images, 0.25 and 0.02 to both sides with drawn ones
        assert rows["depth"]["chosen"] == pytest.approx(0.311)
        assert rows["depth"]["drawn"] == pytest.approx(0.251)
        assert rows["depth"]["difference"]["by_subset"] == pytest.approx((0.08, 0.06, 0.04))
        assert (rows["depth"]["beaten"], rows["depth"]["difference"]["verdict"]) == (3, "better")
        assert rows["random"]["difference"]["verdict"] == "no spread"
        assert {row.subsets for row in comparison.rows} == {(0, 0, 1, 1, 2, 2)}, "drawn sets alone"
        names = ["day_005", "night_000", "day_001", "day_000"]
        assert comparison.results["protocol"]["chosen"] == [f"train/images/{name}.png" for name in names]
        assert rows["depth"]["sentence"] in comparison.table()
        assert "Which images are labelled" in (out / "report.html").read_text()
        assert Comparison.open(out).results["choice"][0]["init"] == "random"
        chosen.write_text("day_004.png\n" + chosen.read_text())
        with pytest.raises(RunFolderError, match="list of images has changed"):
            run(labelled, depth, out, subsets=3, label_list=chosen)

    def test_a_list_beside_one_set_leaves_its_trials_alone(self, labelled, depth, tmp_path):
        out, chosen = tmp_path / "cmp", tmp_path / "chosen.txt"
        run(labelled, depth, out)
        chosen.write_text("day_005\nday_003\nday_001\nday_000\n")
        comparison = run(labelled, depth, out, label_list=chosen)
        assert len((out / "calls.log").read_text().splitlines()) == 8
        assert comparison.results["choice"][1]["difference"]["over"] == "seeds"
        assert len(run(labelled, depth, out).results["choice"]) == 0, "the list may be left away again"
        with pytest.raises(OptionError, match="asks for 5 images"):
            run(labelled, depth, tmp_path / "more", labels=5, label_list=chosen)
        chosen.write_text("t_0.png\n")
        with pytest.raises(DataError, match="is of the test split"):
            run(labelled, depth, tmp_path / "more", label_list=chosen)
        assert not (tmp_path / "more").exists()

    def test_all_images_are_one_set(self, labelled, depth, tmp_path):
        comparison = run(labelled, depth, tmp_path / "cmp", labels="4,8", subsets=2)
        rows = {row.labels: row for row in comparison.rows if row.init == "depth"}
        assert rows[4].subsets == (0, 0, 1, 1)
        assert rows[8].subsets == (0, 0)
        assert rows[8].difference.over == "seeds"
        assert "of 4 trainings" not in comparison.table()

    def test_rates_are_chosen_for_each_number_of_labels(self, labelled, depth, tmp_path):
        out = tmp_path / "cmp"
        comparison = run(labelled, depth, out, labels="2,4", subsets=2, lr="1e-4,1e-3", search_seeds=1)
        searched = {path.stem for path in (out / "search").glob("*.json")}
        assert "depth-full-labels2-subset0-lr0.0001-seed1000" in searched
        assert len(searched) == 2 * 2 * 2, "of the first set only"
        chosen = {(row["init"], row["labels"]): row["chosen"] for row in comparison.results["learning_rates"]}
        assert chosen == {
            **{("random", labels): 1e-3 for labels in (2, 4)},
            **{("depth", labels): 1e-4 for labels in (2, 4)},
        }

    def test_all_may_be_the_last_of_several_numbers(self, labelled, depth, tmp_path):
        comparison = run(labelled, depth, tmp_path / "cmp", labels="all,2", subsets=2)
        summary = comparison.results["summary"]
        assert {(row["labels"], len(set(row["subsets"]))) for row in summary} == {(2, 2), (8, 1)}
        once = run(labelled, depth, tmp_path / "once", labels="8,all")
        assert {row["labels"] for row in once.results["summary"]} == {8}

    def test_on_the_command_line(self, labelled, depth, tmp_path, capsys):
        words = ["compare", "--inits", f"random,{depth}", "--data", labelled, "--out", tmp_path / "cmp"]
        words += ["--labels", "2,4", "--subsets", "3", "--seeds", "2", "--steps", "60", "--modes", "full"]
        assert cli.main([*map(str, words), "--jobs", "1"]) == 0
        assert "over 3 subsets" in capsys.readouterr().out
        assert cli.main([*map(str, words[:-8]), "--labels", "4,4"]) == 2
        assert "4,16,64" in capsys.readouterr().err


def test_sets_are_learned_from(labelled, tmp_path):
    """The runs of trials keep which images they learned from, and a fine-tuning alone draws the same."""
    from geopretrain.commands.finetune_segmentation import finetune_segmentation

    options = {"data": labelled, "size": "64x64", "steps": 1, "batch_size": 2, "progress": False}
    options |= {"device": "cpu", "curve_points": 1}
    finetune_segmentation(out=tmp_path / "one", labels=2, backbone="test_resnet", **options)
    comparison = compare(
        f"random,{tmp_path / 'one'}",
        out=tmp_path / "cmp",
        labels="2,4",
        subsets=2,
        seeds=2,
        modes="full",
        jobs=1,
        pictures=1,
        **options,
    )
    for one in comparison.results["protocol"]["drawn"]:
        for seed in (0, 1):
            name = f"one-full-labels{one['labels']}-subset{one['subset']}-seed{seed}"
            kept = json.loads((tmp_path / "cmp" / "trials" / name / "subset.json").read_text())
            assert kept["names"] == one["names"]
    alone = finetune_segmentation(
        out=tmp_path / "two", labels=4, subset_seed=1, subset_by="sequence", init=tmp_path / "one", **options
    )
    assert json.loads((alone.path / "subset.json").read_text())["names"] == one["names"]
    assert len(comparison.results["pictures"][0]["predictions"]["full"]) == 2


def converging(labelled, init, out, **options):
    defaults = {"labels": 4, "seeds": 2, "modes": "full", "jobs": 1, "pictures": 1, "steps": 6, "lr": 1e-2}
    same = {"size": "64x64", "batch_size": 2, "device": "cpu", "progress": False, "patience": 1}
    return compare(
        f"random,{init}", data=labelled, out=out, **{**defaults, **same, "validate_every": 1, **options}
    )


def test_trainings_end_by_validation(labelled, depth, tmp_path):
    comparison = converging(labelled, depth, tmp_path / "cmp")
    (row,) = [row for row in comparison.rows if row.init == "depth"]
    for init in ("random", "depth"):
        for seed in (0, 1):
            run = RunFolder.open(tmp_path / "cmp" / "trials" / f"{init}-full-seed{seed}")
            steps = [record["step"] for record in run.metrics("validation")]
            values = [record["miou"] for record in run.metrics("validation")]
            best = values.index(max(values))
            assert steps == list(range(1, len(steps) + 1))
            assert len(steps) == min(6, best + 2), "until the first that is no better"
            assert run.config["schedule"] == "constant"
            assert run.results["chosen_on"]["split"] == "val"
            trial = next(t for t in comparison.results["trials"] if (t["init"], t["seed"]) == (init, seed))
            assert (trial["trained_steps"], trial["kept_step"]) == (steps[-1], steps[best])
            assert trial["converged"] is (best + 1 < len(steps))
            assert trial["curve"][0]["step"] == 6
            assert trial["miou"] == run.results["miou"]
    assert row.trained == tuple(
        t["trained_steps"] for t in comparison.results["trials"] if t["init"] == "depth"
    )
    assert comparison.results["protocol"]["ending"] == {
        "patience": 1,
        "monitor": "validation/miou",
        "validate_every": {"4": 1},
        "split": "val",
        "images": 2,
    }
    said = "Validated was on 2 images of the val split, which are not scored"
    assert said in comparison.table()
    assert said in (tmp_path / "cmp" / "report.html").read_text()
    assert Comparison.open(tmp_path / "cmp").rows == comparison.rows
    whole = comparison.results["trials"]
    record = tmp_path / "cmp" / "trials" / "depth-full-seed1.json"
    record.unlink()  # as if it had been killed before its numbers were written
    again = converging(labelled, depth, tmp_path / "cmp").results["trials"]
    assert [{**one, "seconds": 0} for one in again] == [{**one, "seconds": 0} for one in whole]
    with pytest.raises(RunFolderError, match="patience = 1, not 2"):
        converging(labelled, depth, tmp_path / "cmp", patience=2)


def test_without_a_val_split_training_images_are_held_back(labelled, depth, tmp_path, monkeypatch):
    there = LabelledSet.splits
    monkeypatch.setattr(LabelledSet, "splits", lambda *of: there(*of) | {"val": np.zeros(0, np.int64)})
    comparison = converging(labelled, depth, tmp_path / "cmp", steps=2)
    assert "4 training images that are not learned from" in comparison.table()
    with pytest.raises(UserError, match="all training images are learned from"):
        converging(labelled, depth, tmp_path / "all", labels="4,8")
    assert not (tmp_path / "all").exists()


def test_depth_ends_by_held_out_frames_and_is_scored_on_others():
    from geopretrain.config.options import CompareOptions
    from geopretrain.study.contests import contest_of

    options = {"inits": "random,imagenet", "data": "d", "out": "o"}
    with pytest.raises(OptionError, match="is of trainings that end by validation: add --patience"):
        CompareOptions(**options, validate_every=3)
    depth = CompareOptions(**options, task="depth", modes="full", patience=3)
    with pytest.raises(OptionError, match="Score on other data: --evaluate-data"):
        contest_of("depth").check_options(depth, searches=False)
    assert contest_of("depth").ending(depth)["monitor"] == "validation/loss"


def test_a_list_is_learned_from_and_kept(labelled, tmp_path):
    from geopretrain.commands.finetune_segmentation import finetune_segmentation

    chosen = tmp_path / "chosen.txt"
    chosen.write_text("night_001.png\nday_003.png\nday_000.png\n")
    options = {"data": labelled, "size": "64x64", "steps": 1, "batch_size": 2, "progress": False}
    options |= {"device": "cpu", "curve_points": 1, "backbone": "test_resnet"}
    for name, value in (("subset_seed", 1), ("subset_by", "sequence")):
        with pytest.raises(OptionError, match=f"{name} says how images are drawn, and label_list names them"):
            finetune_segmentation(out=tmp_path / "no", label_list=chosen, **{name: value}, **options)
    run = finetune_segmentation(out=tmp_path / "run", label_list=chosen, labels=2, **options)
    names = ["train/images/night_001.png", "train/images/day_003.png"]
    assert json.loads((run.path / "subset.json").read_text())["names"] == names
    assert run.config["label_list"] == str(chosen)
    (run.path / "results.json").unlink()
    chosen.write_text("day_003.png\nday_000.png\n")
    with pytest.raises(RunFolderError, match="was begun with other images"):
        finetune_segmentation(resume=run.path, progress=False)


def test_networks_that_are_not_kept(labelled, tmp_path, capsys):
    """What was scored stays, who asks for the network is told where it went, and nothing is trained twice."""
    options = {"data": labelled, "out": tmp_path / "cmp", "labels": 4, "seeds": 2, "steps": 2, "jobs": 1}
    options |= {"modes": "full", "device": "cpu", "backbone": "test_resnet", "size": "64x64", "pictures": 1}
    options |= {"inits": "random", "variants": {"fast": {"init": "random", "lr": 1e-2}}, "progress": False}
    kept = compare(**options | {"out": tmp_path / "kept"})
    numbers = compare(**options, keep_networks=False)
    assert [row.values for row in numbers.rows] == [row.values for row in kept.rows]
    assert numbers.results["losses"] == kept.results["losses"]
    run, record = tmp_path / "cmp/trials/random-full-seed0", tmp_path / "cmp/trials/random-full-seed0.json"
    assert not [*run.rglob("*.safetensors"), *run.rglob("*.ckpt")]
    assert RunFolder.open(run).config["seed"] == 0
    picture = str(next(labelled.rglob("*.png")))
    tuned = ["finetune", "segmentation", "--init", str(run), "--data", str(labelled)]
    for words in (["predict", str(run), picture], tuned):
        assert cli.main([*words, "--out", str(tmp_path / words[0])]) == 2
        assert "--keep-networks false" in capsys.readouterr().err
    assert list((tmp_path / "kept/trials").rglob("model.safetensors"))
    compare(**options | {"out": tmp_path / "kept"}, keep_networks=False)
    assert not list((tmp_path / "kept/trials").rglob("model.safetensors")), "those of before go, too"
    before = record.read_bytes()
    record.unlink()
    again = compare(**options, keep_networks=False)
    assert [row.values for row in again.rows] == [row.values for row in kept.rows], "it is trained again"
    assert json.loads(record.read_text())["miou"] == json.loads(before)["miou"]
