from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch
from comparing import BACKBONE, weights, write_labelled, write_pretrained
from PIL import Image

from geopretrain import cli
from geopretrain.commands.compare import compare
from geopretrain.errors import ConfigError, DataError, RunFolderError, UserError, WeightsError
from geopretrain.runs.folder import RunFolder
from geopretrain.study import folder, worker
from geopretrain.study.comparison import Comparison
from geopretrain.study.inits import names_of
from geopretrain.weights import save_tensors

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def labelled(tmp_path):
    return write_labelled(tmp_path / "labelled", {"train": 6, "val": 2, "test": 3})


@pytest.fixture
def depth(tmp_path):
    run = write_pretrained(tmp_path / "runs" / "depth")
    errors = {"abs_rel": 0.2, "rmse": 3.0, "a1": 0.7, "images": 9, "protocol": "dense-80-median"}
    guesses = {"constant": {**errors, "abs_rel": 0.4}, "row_wise": {**errors, "abs_rel": 0.3}}
    run.write_results({"depth": {"held_out": {**errors, "guesses": guesses}}})  # as version 0.1 wrote it
    return run.path


def run(labelled, depth, out, **options):
    defaults = {"labels": 4, "seeds": 3, "steps": 60, "jobs": 1, "progress": False, "pictures": 2}
    defaults |= {"preset": "short", "device": "cpu"}
    return compare(f"random,{depth}", data=labelled, out=out, **{**defaults, **options})


def calls(out):
    return (out / "calls.log").read_text().splitlines()


def test_every_combination_is_trained_and_summarised(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    comparison = run(labelled, depth, out, curve_points=3)
    assert len(calls(out)) == 2 * 2 * 3
    last = {(row.mode, row.init): row for row in comparison.rows if row.step == 60}
    assert {row.step for row in comparison.rows} == {15, 30, 60}
    # lr 1e-3 suits random (+0.1) and not depth; seeds add 0.001 and 0.002 each
    assert last["full", "random"].values == pytest.approx((0.3, 0.301, 0.302))
    assert last["full", "depth"].values == pytest.approx((0.25, 0.252, 0.254))
    assert last["full", "random"].sd == pytest.approx(0.001)
    difference = last["frozen", "depth"].difference
    assert difference.mean == pytest.approx(-0.049)
    assert difference.verdict == "worse"
    assert last["full", "random"].difference is None
    assert "depth is worse than random" in comparison.sentence


def test_files_hold_the_same_numbers(labelled, depth, tmp_path):
    comparison = run(labelled, depth, tmp_path / "cmp")
    again = Comparison.open(tmp_path / "cmp")
    assert again.rows == comparison.rows
    lines = list(csv.DictReader(io.StringIO((tmp_path / "cmp" / "comparison.csv").read_text())))
    assert len(lines) == len(comparison.rows)
    row = next(
        line for line in lines if (line["mode"], line["init"], line["step"]) == ("full", "depth", "60")
    )
    assert float(row["difference_mean"]) == pytest.approx(-0.049)
    assert [float(v) for v in row["miou_per_seed"].split()] == pytest.approx([0.25, 0.252, 0.254])
    assert again.results["per_class"]["full"]["random"] == pytest.approx([0.301, None, 1.0])
    assert comparison.sentence in (tmp_path / "cmp" / "report.html").read_text().replace("&#39;", "'")


def test_what_is_taken_for_what_is_drawn_as_the_mean_over_the_seeds(labelled, depth, tmp_path, monkeypatch):
    drawn = []

    def draw(counts, names):
        drawn.append((np.asarray(counts).tolist(), list(names)))
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("geopretrain.pictures.draw_confusion", draw)
    comparison = run(labelled, depth, tmp_path / "cmp", seeds=3)
    assert comparison.results["confusions"] == {m: f"figures/confusion-{m}.png" for m in ("full", "frozen")}
    assert drawn == [([[8, 2, 0], [0, 0, 0], [1, 1, 1]], ["road", "sky", "car"])] * 4  # two inits, two modes
    assert all((comparison.path / name).is_file() for name in comparison.results["confusions"].values())
    assert "<h2>What is taken for what</h2>" in comparison.report.read_text()
    assert not any("confusion" in one for one in comparison.results["trials"])
    again = Comparison.open(comparison.path)
    assert again.results["confusions"] == comparison.results["confusions"]


def test_depth_errors_of_the_pre_training_reach_the_report(labelled, depth, tmp_path):
    comparison = run(labelled, depth, tmp_path / "cmp")
    described = comparison.results["inits"][1]
    assert described["name"] == "depth"
    assert described["depth"]["held_out"]["baselines"]["row_wise"]["abs_rel"] == 0.3
    page = comparison.report.read_text()
    assert "row-wise" in page
    assert "0.200" in page


def test_repeating_skips_what_is_complete_and_more_seeds_add_to_it(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    first = run(labelled, depth, out)
    (out / "trials" / "depth-full-seed1.json").unlink()
    again = run(labelled, depth, out)
    assert calls(out)[12:] == ["test depth, full, seed 1 0.001"]
    assert again.rows == first.rows
    run(labelled, depth, out, seeds=4)
    assert len(calls(out)) == 12 + 1 + 4
    assert run(labelled, depth, out).rows == first.rows, "with fewer seeds it is concluded with these"
    assert len(calls(out)) == 12 + 1 + 4
    run(labelled, depth, out, overwrite=True)
    assert len(calls(out)) == 12 + 1 + 4 + 12


def test_a_comparison_of_version_0_1_is_read_and_continued_in_its_own_folders(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    first = run(labelled, depth, out)
    (out / "trials").rename(out / "cells")
    old = json.loads((out / "comparison.json").read_text())
    old["cells"] = old.pop("trials")
    old["failures"] = [{"cell": "depth, full, seed 1", "error": "disk full"}]
    errors = old["inits"][1]["depth"]["held_out"]
    errors["guesses"] = errors.pop("baselines")
    (out / "comparison.json").write_text(json.dumps(old))
    read = Comparison.open(out).results
    assert read["trials"] == first.results["trials"]
    assert read["inits"] == first.results["inits"]
    assert read["failures"][0]["trial"] == "depth, full, seed 1"
    again = run(labelled, depth, out, seeds=4)
    assert len(calls(out)) == 12 + 4
    assert not (out / "trials").exists()
    assert len(again.results["trials"]) == 16


def test_other_settings_and_foreign_folders_are_refused(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    run(labelled, depth, out)
    with pytest.raises(RunFolderError, match="steps = 60, not 61"):
        run(labelled, depth, out, steps=61)
    save_tensors(depth / "model.safetensors", weights(seed=1))
    with pytest.raises(RunFolderError, match="'depth' has changed"):
        run(labelled, depth, out)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(RunFolderError, match="left alone"):
            run(labelled, depth, foreign, overwrite=overwrite)
    assert (foreign / "thesis.txt").exists()


def test_learning_rates_are_chosen_on_validation_images_with_other_seeds(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    comparison = run(labelled, depth, out, lr="1e-4,1e-3", modes="full")
    chosen = {row["init"]: row["chosen"] for row in comparison.results["learning_rates"]}
    assert chosen == {"random": 1e-3, "depth": 1e-4}
    log = [line.split() for line in calls(out)]
    searched = [line for line in log if line[0] == "val"]
    reported = [line for line in log if line[0] == "test"]
    assert len(searched) == 2 * 2 * 2
    assert len(reported) == 2 * 3
    seeds = lambda lines: {line[line.index("seed") + 1].strip(",") for line in lines}
    assert not seeds(searched) & seeds(reported)
    assert {(line[1], line[-1]) for line in reported} == {("random,", "0.001"), ("depth,", "0.0001")}
    depth_row = next(row for row in comparison.results["learning_rates"] if row["init"] == "depth")
    assert depth_row["at_end"] == "lowest"
    assert [row["lr"] for row in depth_row["rates"]] == [1e-4, 1e-3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_one_trial_names_it_and_keeps_the_others(labelled, depth, tmp_path, monkeypatch, jobs):
    monkeypatch.setenv("FAKE_FAIL", "depth, full, seed 1")
    monkeypatch.setenv("FAKE_CRASH", "depth, frozen, seed 2")
    comparison = run(labelled, depth, tmp_path / "cmp", jobs=jobs)
    failures = {failure["trial"]: failure["error"] for failure in comparison.results["failures"]}
    assert failures["depth, full, seed 1"] == "the label x.png is bad"
    assert failures["depth, frozen, seed 2"] == "ZeroDivisionError: oops"
    rows = {(row.mode, row.init): row for row in comparison.rows if row.step == 60}
    assert rows["full", "depth"].seeds == (0, 2)
    assert len(rows["full", "depth"].difference.values) == 2
    assert "x.png is bad" in comparison.report.read_text()


def test_a_killed_worker_costs_only_its_trial(labelled, depth, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_KILL", "random, full, seed 0")
    comparison = run(labelled, depth, tmp_path / "cmp", jobs=2)
    (failure,) = comparison.results["failures"]
    assert failure["trial"] == "random, full, seed 0"
    assert "ended unexpectedly" in failure["error"]
    assert len(comparison.results["trials"]) == 11


def compared(*words):
    return cli.main(
        ["compare", "--jobs", "1", "--labels", "4", "--steps", "60", "--device", "cpu", *map(str, words)]
    )


def test_failures_are_in_table_report_and_exit_code(labelled, depth, tmp_path, monkeypatch, capsys):
    out = tmp_path / "cmp"
    words = (
        "--inits",
        f"random,{depth}",
        "--data",
        labelled,
        "--out",
        out,
        "--modes",
        "full",
        "--seeds",
        "2",
    )
    monkeypatch.setenv("FAKE_FAIL", "depth, full, seed 1")
    assert compared(*words) == 3
    said = capsys.readouterr().out
    assert "FAILED depth, full, seed 1: the label x.png is bad" in said
    assert "(one seed, no spread)" in said
    assert "(1 of 2 seeds)" in said
    assert "nan" not in said
    (failure,) = json.loads((out / "comparison.json").read_text())["failures"]
    assert (failure["init"], failure["mode"], failure["seed"]) == ("depth", "full", 1)
    page = (out / "report.html").read_text()
    assert "one seed, no spread" in page
    assert "too few common seeds" in page
    monkeypatch.delenv("FAKE_FAIL")
    assert compared(*words) == 0, "what is missing was trained"
    assert "depth is" in capsys.readouterr().out


def test_an_initialisation_without_any_result_stays_in_the_table(labelled, depth, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "depth, frozen")
    comparison = run(labelled, depth, tmp_path / "cmp")
    row = next(row for row in comparison.rows if (row.mode, row.init, row.step) == ("frozen", "depth", 60))
    assert row.values == ()
    assert re.search(r"no result +– +\(0 of 3 seeds\)", comparison.table())
    assert "no training of depth ended with a score" in " ".join(comparison.results["sentences"])
    assert "no result" in comparison.report.read_text()
    assert "nan" not in comparison.table()
    assert Comparison.open(tmp_path / "cmp").table() == comparison.table()


def test_scores_that_are_undefined_count_as_missing(labelled, depth, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_UNDEFINED", "depth, full, seed 1")
    comparison = run(labelled, depth, tmp_path / "cmp", modes="full")
    row = next(row for row in comparison.rows if (row.init, row.step) == ("depth", 60))
    assert row.seeds == (0, 2)
    assert "nan" not in comparison.table()


def test_a_rate_at_which_trainings_fail_is_not_chosen(labelled, depth, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "random, full, seed 1001, lr 0.001")
    comparison = run(labelled, depth, tmp_path / "cmp", lr="1e-4,1e-3", modes="full")
    chosen = {row["init"]: row["chosen"] for row in comparison.results["learning_rates"]}
    assert chosen["random"] == 1e-4
    assert "(1 of 2)" in comparison.report.read_text()


class TestRatesThatAreTooHigh:
    """That a rate is too high is what a search is to find out, and no failure."""

    def test_they_are_told_and_never_chosen(self, labelled, depth, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("FAKE_DIVERGE", ", lr 0.001;seed 1001, lr 0.1")
        words = ("--inits", f"random,{depth}", "--data", labelled, "--modes", "full", "--seeds", "2")
        rates = ("--lr", "1e-4,1e-3,1e-1", "--out", tmp_path / "cmp")
        assert compared(*words, *rates) == 0
        said = capsys.readouterr().out
        assert "FAILED" not in said
        assert "random, full, seed 1000, lr 0.001: diverged: this rate is not chosen" in said
        assert "not chosen: random (full) at 0.001, 0.1; depth (full) at 0.001, 0.1." in said
        for row in Comparison.open(tmp_path / "cmp").results["learning_rates"]:
            assert (row["chosen"], row["at_end"]) == (1e-4, "lowest")
            assert [(one["lr"], one["diverged"], len(one["values"])) for one in row["rates"]] == [
                (1e-4, 0, 2),
                (1e-3, 2, 0),
                (0.1, 1, 1),
            ]
        page = (tmp_path / "cmp" / "report.html").read_text()
        assert page.count(">diverged</td>") == 2
        assert page.count('>diverged <span class="soft">(1 of 2)</span></td>') == 2
        count = len(calls(tmp_path / "cmp"))
        assert compared(*words, *rates) == 0
        assert len(calls(tmp_path / "cmp")) == count, "what diverged is known"

    def test_nothing_is_tried_beyond_a_rate_that_diverged(self, labelled, depth, tmp_path, monkeypatch):
        monkeypatch.setenv("FAKE_DIVERGE", ", lr 0.01;, lr 0.0032")
        comparison = run(labelled, depth, tmp_path / "cmp", lr="auto", modes="full")
        found = {row["init"]: row for row in comparison.results["learning_rates"]}
        assert (found["random"]["chosen"], found["random"]["at_end"]) == (1e-3, None)
        assert max(rate["lr"] for rate in found["random"]["rates"]) == 0.01

    @pytest.mark.parametrize("all_of", ["full, seed", ""])
    def test_where_all_are_what_to_do_is_said(self, labelled, depth, tmp_path, monkeypatch, all_of):
        ends = [
            f"{init}, full, seed {seed}, lr {lr}"
            for init in ("random", "depth")
            for seed in (1000, 1001)
            for lr in ("0.1", "1")
        ]
        monkeypatch.setenv("FAKE_DIVERGE", ";".join(end for end in ends if not all_of or "depth" in end))
        with pytest.raises(ConfigError, match=r"diverged at 0.1, 1\. .*--lr 0.001,0.01") as error:
            run(labelled, depth, tmp_path / "cmp", lr="0.1,1", modes="full")
        assert f"No learning rate worked for {'depth' if all_of else 'random'} (full)" in str(error.value)

    def test_a_reported_training_that_diverges_is_a_failure(self, labelled, depth, tmp_path, monkeypatch):
        monkeypatch.setenv("FAKE_DIVERGE", "depth, full, seed 1")
        comparison = run(labelled, depth, tmp_path / "cmp", modes="full")
        (failure,) = comparison.results["failures"]
        assert "not a number any more" in failure["error"]

    def test_a_record_without_scores_counts_in_a_search_only(self, labelled, depth, tmp_path, monkeypatch):
        monkeypatch.setenv("FAKE_DIVERGE", "lr 0.001")
        run(labelled, depth, tmp_path / "cmp", lr="1e-4,1e-3", modes="full")
        monkeypatch.delenv("FAKE_DIVERGE")
        record = next((tmp_path / "cmp" / "search").glob("*lr0.001*.json"))
        content = json.loads(record.read_text()) | {"lr": 1e-4}
        (tmp_path / "cmp" / "trials" / "depth-full-seed1.json").write_text(json.dumps(content))
        comparison = run(labelled, depth, tmp_path / "cmp", lr="1e-4,1e-3", modes="full")
        assert not comparison.results["failures"]
        assert len(comparison.results["trials"]) == 6


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (("random", "a/m/run"), ["random", "run"]),
        (("a/m/run", "b/m/run"), ["a-m-run", "b-m-run"]),
        (("a/m/run", "b/m/run", "b/n/run"), ["a-m-run", "b-m-run", "b-n-run"]),
        (("random", "runs/random"), ["random", "runs-random"]),
        (("x/Run", "y/run"), ["x-Run", "y-run"]),
        (("x/a-b/c", "x/a/b-c"), None),
        (("x/" + "n" * 250, "x/" + "n" * 249), None),
        (("x/one\ntwo", "x/one\x1b[31mtwo"), None),
    ],
)
def test_names_are_unique_and_fit_a_disk(sources, names):
    found = names_of(sources)
    assert names is None or found == names
    assert len({name.casefold() for name in found}) == len(sources)
    assert all(len(name) <= 80 and name.isprintable() for name in found)


def test_runs_of_the_same_name_are_two(labelled, tmp_path):
    for number, place in enumerate(("a", "b")):
        write_pretrained(tmp_path / place / "m" / "depth", seed=number)
    comparison = compare(
        [tmp_path / "a" / "m" / "depth", tmp_path / "b" / "m" / "depth"],
        data=labelled,
        out=tmp_path / "cmp",
        **{"labels": 4, "seeds": 2, "steps": 60, "jobs": 1, "progress": False, "modes": "full"},
    )
    assert len({row.init for row in comparison.rows}) == 2
    assert len(calls(tmp_path / "cmp")) == 4
    weights = {trial["weights"] for trial in comparison.results["trials"]}
    assert len(weights) == 2


def test_other_weights_or_labels_at_the_same_place_are_noticed(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    run(labelled, depth, out)
    record = json.loads((out / "trials" / "depth-full-seed1.json").read_text())
    (out / "trials" / "depth-full-seed1.json").write_text(json.dumps({**record, "weights": "others"}))
    run(labelled, depth, out)
    assert calls(out)[12:] == ["test depth, full, seed 1 0.001"], "the record was of other weights"
    with (labelled / "classes.txt").open("a") as file:
        file.write("tree\n")
    with pytest.raises(RunFolderError, match="labelled images have changed"):
        run(labelled, depth, out)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_weights_files_are_known_by_their_content(labelled, tmp_path, kind):
    place = tmp_path / ("w.pth" if kind == "file" else "official")
    file = place if kind == "file" else place / "encoder.pth"
    file.parent.mkdir(exist_ok=True)
    tensors = {name.removeprefix("backbone."): value for name, value in weights().items()}
    torch.save(tensors, file)
    options = {"data": labelled, "out": tmp_path / "cmp", "labels": 4, "seeds": 2, "steps": 60, "jobs": 1}
    compare(("random", place), backbone=BACKBONE, **options)
    torch.save({name: value + 1 for name, value in tensors.items()}, file)
    with pytest.raises(RunFolderError, match="has changed"):
        compare(("random", place), backbone=BACKBONE, **options)


def test_equal_weights_are_said(labelled, depth, tmp_path, capsys):
    write_pretrained(tmp_path / "runs" / "twin")
    comparison = compare(
        [depth, tmp_path / "runs" / "twin"],
        data=labelled,
        out=tmp_path / "cmp",
        **{"labels": 4, "seeds": 2, "steps": 60, "jobs": 1, "modes": "full"},
    )
    assert "'depth' and 'twin' hold the same weights" in capsys.readouterr().out
    assert "hold the same weights" in comparison.report.read_text()


def damage(run, how):
    file = run / "model.safetensors"
    if how == "cut off":
        file.write_bytes(file.read_bytes()[:1000])
    elif how == "absent":
        file.unlink()
    else:
        save_tensors(file, {name: value for name, value in weights().items() if "layer" not in name})


@pytest.mark.parametrize("how", ["cut off", "absent", "of another network"])
def test_weights_that_cannot_be_used_are_told_before_anything_is_trained(labelled, depth, tmp_path, how):
    damage(depth, how)
    with pytest.raises(WeightsError):
        run(labelled, depth, tmp_path / "cmp")
    assert not (tmp_path / "cmp").exists()


def test_settings_that_cannot_be_are_told_before_anything_is_trained(labelled, depth, tmp_path):
    for options in ({"accumulate": 3, "batch_size": 4}, {"settings": {"flp": 1}}, {"backbone": "resnt"}):
        with pytest.raises(ConfigError):
            run(labelled, depth, tmp_path / "cmp", **options)
    assert not (tmp_path / "cmp").exists()


def test_versions_need_no_installation(labelled, depth, tmp_path, monkeypatch):
    import importlib.metadata

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    for name in ("version", "distribution", "metadata"):
        monkeypatch.setattr(importlib.metadata, name, absent)
    versions = run(labelled, depth, tmp_path / "cmp").results["protocol"]["versions"]
    assert versions["torch"] == str(torch.__version__)
    assert "unknown" not in versions.values()


def test_nothing_trained_is_an_error(labelled, depth, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "RUNNER", "fake_runner:always_fails")
    with pytest.raises(UserError, match=r"No training succeeded.*random, full, seed 0.*disk"):
        run(labelled, depth, tmp_path / "cmp")


def test_a_worker_ends_with_its_parent():
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "the worker lives\n"
    process.kill()
    process.communicate(timeout=60)  # the worker has the same output, which ends when both have ended


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "geopretrain.study.worker"], stdin=subprocess.PIPE)
time.sleep(1)
print("the worker lives" if child.poll() is None else "the worker has ended", flush=True)
time.sleep(600)
"""


def test_wrong_inputs_are_refused_before_anything_is_trained(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    with pytest.raises(ConfigError, match="seeds must be at least 2"):
        run(labelled, depth, out, seeds=1)
    with pytest.raises(ConfigError, match=r"50 labelled images were asked for.* holds 6"):
        run(labelled, depth, out, labels=50)
    with pytest.raises(ConfigError, match="Did you mean 'frozen'"):
        run(labelled, depth, out, modes="full,frozn")
    with pytest.raises(ConfigError, match="jobs must be"):
        run(labelled, depth, out, jobs="many")
    with pytest.raises(ConfigError, match="lr must be"):
        run(labelled, depth, out, lr="1e-3,fast")
    with pytest.raises(ConfigError, match="has the backbone test_resnet, not resnet50"):
        run(labelled, depth, out, backbone="resnet50")
    with pytest.raises(WeightsError, match="Did you mean 'random'"):
        compare("randm,imagenet", data=labelled, out=out)
    with pytest.raises(ConfigError, match="at least two initialisations"):
        compare("random", data=labelled, out=out)
    with pytest.raises(ConfigError, match="given twice"):
        compare("random,random", data=labelled, out=out)
    with pytest.raises(ConfigError, match="inits is missing"):
        compare(data=labelled, out=out)
    assert not out.exists()


def test_a_bad_test_label_is_found_before_training(labelled, depth, tmp_path):
    Image.fromarray(np.full((64, 64), 9, dtype=np.uint8)).save(labelled / "test" / "labels" / "2.png")
    with pytest.raises(DataError, match=r"2\.png holds the id 9"):
        run(labelled, depth, tmp_path / "cmp")
    assert not (tmp_path / "cmp").exists()


def test_config_repeats_the_comparison(labelled, depth, tmp_path):
    comparison = run(labelled, depth, tmp_path / "cmp")
    command = comparison.results["protocol"]["command"]
    assert f"--inits random {depth}" in command
    assert "--labels 4" in command
    assert "--seeds 0 1 2" in command
    (tmp_path / "cmp" / "comparison.json").unlink()
    assert cli.main([*shlex.split(command)[1:], "--jobs", "1"]) == 0
    assert cli.main(["compare", "--config", str(tmp_path / "cmp" / "config.yaml"), "--jobs", "1"]) == 0
    assert len(calls(tmp_path / "cmp")) == 12, "both went on in the same folder, where everything is complete"
    assert len(comparison.results["protocol"]["subset"]) == 4
    assert json.loads((tmp_path / "cmp" / "comparison.json").read_text())["format"] == 1


OLD = """\
geopretrain: 0.1.0
command: compare
data: {data}
backbone: test_resnet
labels: 4
subset_seed: 0
size: 64x64
preset: short
iterations: 60
batch_size: 8
precision: auto
inits: {{random: random, depth: run}}
modes: [full, frozen]
seeds: [0, 1, 2]
lr: [0.001]
search_seeds: []
curve: [20, 40, 60]
pictures: [0, 2]
device: cpu
"""


def test_a_comparison_of_version_0_1_goes_on_with_its_own_points(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    out.mkdir()
    (out / "config.yaml").write_text(OLD.format(data=labelled))
    with pytest.raises(RunFolderError, match=r"curve_points = \[20, 40, 60\], not \[1, 3, 7, 15, 30, 60\]"):
        run(labelled, depth, out)
    comparison = run(labelled, depth, out, curve_points=(20, 40, 60))
    assert {row.step for row in comparison.rows} == {20, 40, 60}
    assert json.loads((out / "inits.json").read_text()).keys() == {"random", "depth"}


@pytest.mark.parametrize("old", [False, True])
def test_overwrite_removes_what_comparisons_wrote_and_nothing_else(labelled, depth, tmp_path, old):
    out = tmp_path / "cmp"
    run(labelled, depth, out, seeds=2)
    for path in (out / "trials").glob("*.json"):  # the folders that a real training leaves
        RunFolder.create(path.with_suffix(""), config={"command": "finetune segmentation"})
    if old:
        (out / ".geopretrain" / "files.jsonl").unlink()
    mine = ["figures/holiday.png", "trials/notes.txt", "trials/random-full-seed0/notes.txt", "mine/run.txt"]
    for name in mine:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
    folder.remove_own(out)
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert there == {*mine, "config.yaml", "calls.log"}
    assert [path.name for path in (out / "trials").iterdir() if path.is_dir()] == ["random-full-seed0"]


def test_trials_behind_a_link_are_not_taken_for_those_of_another_comparison(labelled, depth, tmp_path):
    out, elsewhere = tmp_path / "cmp", tmp_path / "elsewhere"
    run(labelled, depth, out)
    (out / "trials").rename(elsewhere)
    (out / "trials").symlink_to(elsewhere)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match="trials' is a link"):
        run(labelled, depth, out, overwrite=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_linear_probe_is_compared_frozen(tmp_path, labelled):
    options = {
        "data": labelled,
        "out": tmp_path / "probe",
        "backbone": BACKBONE,
        "settings": {"head": "linear"},
    }
    write_pretrained(tmp_path / "depth")
    inits = ("random", str(tmp_path / "depth"))
    with pytest.raises(UserError, match="modes may only be frozen, not full, frozen"):
        compare(inits, modes=("full", "frozen"), progress=False, **options)
    done = compare(
        inits, seeds=2, steps=2, batch_size=2, labels=3, jobs=1, device="cpu", progress=False, **options
    )
    assert done.results["modes"] == ["frozen"]
    assert {trial["mode"] for trial in done.results["trials"]} == {"frozen"}
    assert done.results["protocol"]["head"] == "linear"
    assert "linear" in done.report.read_text(encoding="utf-8")
    assert "Adam" in done.report.read_text(encoding="utf-8")


def test_rates_are_found_around_that_of_the_preset_and_beyond_where_an_end_is_best(labelled, depth, tmp_path):
    out = tmp_path / "cmp"
    comparison = run(labelled, depth, out, lr="auto", modes="full")
    found = {row["init"]: row for row in comparison.results["learning_rates"]}
    around = [1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2]
    assert [row["lr"] for row in found["random"]["rates"]] == around
    assert [row["lr"] for row in found["depth"]["rates"]] == [3.2e-5, *around]
    assert {name: (row["chosen"], row["at_end"]) for name, row in found.items()} == {
        "random": (1e-3, None),
        "depth": (1e-4, None),
    }
    assert len([line for line in calls(out) if line.startswith("val")]) == (5 + 6) * 2
    done = len(calls(out))
    run(labelled, depth, out, lr="auto", modes="full")
    assert len(calls(out)) == done


def test_a_preset_may_have_a_rate_for_each_kind_of_initialisation(labelled, depth, tmp_path):
    comparison = run(labelled, depth, tmp_path / "cmp", preset="cityscapes", size="64x64", modes="full")
    rates = {trial["init"]: trial["lr"] for trial in comparison.results["trials"]}
    assert rates == {"random": 0.01, "depth": 0.1}
    assert comparison.results["learning_rates"] == []
    page = comparison.report.read_text(encoding="utf-8")
    assert "random 0.01" in page
    assert "depth 0.1" in page
