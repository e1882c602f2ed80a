"""`data propagate`: the labels of few images on many frames of their video, and learning from these."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from making_clips import write_images
from PIL import Image

import geopretrain as gp
from geopretrain import cli
from geopretrain.config.options import CompareOptions
from geopretrain.data.label_lists import listed_subset
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError
from geopretrain.study.plan import make_plan
from geopretrain.synthetic import make_world
from geopretrain.training.labelled import judges_of_labelled

SIZE, LENGTH = (64, 160), 18
TRAIN, VAL, TEST = (3, 8), (13,), (17,)
QUIET = {"progress": False, "threads": 1}
SHORT = {**QUIET, "backbone": "test_resnet", "steps": 2, "batch_size": 2, "precision": "fp32"}


def write_labelled(folder, world, splits):
    for split, numbers in splits.items():
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        for number in numbers:
            frame = world.frame(number)
            Image.fromarray(frame.image).save(folder / split / "images" / f"street_{number:06d}.png")
            Image.fromarray(frame.semantic).save(folder / split / "labels" / f"street_{number:06d}.png")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in world.class_names))
    return folder


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A street with exact depth and poses as a store; few of its frames with labels, and nearly all."""
    root = tmp_path_factory.mktemp("street")
    world = make_world("street", 5, LENGTH, size=SIZE)
    spec = f"synthetic:street?frames={LENGTH}&seed=5&height={SIZE[0]}&width={SIZE[1]}&stereo=0"
    gp.prepare(
        spec, out=root / "store", size=SIZE, target_motion=1.0, min_motion=0.5, holdout=0.0, progress=False
    )
    write_labelled(root / "few", world, {"train": TRAIN, "val": VAL, "test": TEST})
    write_labelled(root / "dense", world, {"train": range(2, 11), "val": VAL, "test": TEST})
    return root, world


def table(folder):
    return json.loads((folder / "propagated.json").read_text())


def maps(folder, world):
    """Return propagated labels and the truth of all frames in a folder."""
    rows = table(folder)["frames"]
    found = [np.asarray(Image.open(folder / row["labels"])) for row in rows]
    return np.stack(found), np.stack([world.frame(row["frame"]).semantic for row in rows])


def right(found, truth):
    known = found != 255
    return float((found == truth)[known].mean()), float(known.mean())


def test_by_exact_depth_and_motion_labels_are_right_and_masks_remove_what_is_wrong(street, tmp_path):
    root, world = street
    numbers = {}
    for by in ("geometry", "flow", "none"):
        gp.propagate(root / "few", root / "store", tmp_path / by, by=by, **QUIET)
        numbers[by] = right(*maps(tmp_path / by, world))
    (exact, labelled), (flow, _), (none, whole) = numbers.values()
    assert exact > none + 0.06
    assert exact > flow + 0.005
    assert flow > none + 0.04
    assert labelled > 0.4
    assert whole == 1.0
    unmasked = {"max_inconsistency": 1e6, "max_colour_difference": 1}
    gp.propagate(root / "few", root / "store", tmp_path / "any", **unmasked, **QUIET)
    unmasked, truth = maps(tmp_path / "any", world)
    masked = maps(tmp_path / "geometry", world)[0]
    wrong = (unmasked != 255) & (unmasked != truth)
    assert (masked == 255)[wrong].mean() > 0.6, "most of what would be wrong has no label"
    assert (masked == 255)[(unmasked != 255) & (unmasked == truth)].mean() < 0.3


def test_without_measured_depth_and_without_a_run_it_is_flow(street, tmp_path):
    root, _ = street
    gp.prepare(
        write_images(tmp_path / "clip", [street[1].frame(k).image for k in range(LENGTH)]),
        out=tmp_path / "store",
        **{"size": SIZE, "target_motion": 1.0, "min_motion": 0.5, "holdout": 0.0, "progress": False},
    )
    gp.propagate(root / "few", tmp_path / "store", tmp_path / "out", reach=1, **QUIET)
    saved = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert table(tmp_path / "out")["by"] == saved["by"] == "flow"
    gp.propagate(root / "few", root / "store", tmp_path / "exact", reach=1, **QUIET)
    assert table(tmp_path / "exact")["by"] == "geometry"
    with pytest.raises(gp.DataError, match="holds no measured depth with poses"):
        gp.propagate(root / "few", tmp_path / "store", tmp_path / "no", by="geometry", **QUIET)


def test_what_is_scored_is_never_written_and_each_frame_knows_its_source(street, tmp_path):
    root, world = street
    done = gp.propagate(root / "few", root / "store", tmp_path / "out", by="none", **QUIET)
    rows = {row["frame"]: row for row in table(done.folder)["frames"]}
    assert not set(rows) & {*TRAIN, *VAL, *TEST}
    assert set(rows) <= {0, 1, 2, 4, 5, 6, 7, 9, 10}, "nearest to a training image, at most four away"
    assert {0, 1, 4, 6, 9} <= set(rows)
    assert (done.frames, done.sources) == (len(rows), 2)
    for frame, row in rows.items():
        nearest = min(TRAIN, key=lambda one: abs(one - frame))
        assert row["source"] == f"train/images/street_{nearest:06d}.png"
        assert row["steps"] == frame - nearest
        assert np.array_equal(np.asarray(Image.open(done.folder / row["image"])), world.frame(frame).image)
    assert Image.open(done.folder / "propagated.png").width > 600


def test_the_folder_is_the_images_labelled_by_hand_and_the_frames(street, tmp_path):
    root, _ = street
    done = gp.propagate(root / "few", root / "store", tmp_path / "out", by="flow", **QUIET)
    own, more = LabelledSet.open(root / "few", size=SIZE), LabelledSet.open(done.folder, size=SIZE)
    assert more.counts == {**own.counts, "train": own.counts["train"] + done.frames}
    assert more.class_names == own.class_names
    for split in ("val", "test"):
        assert own.names(own.splits()[split]) == more.names(more.splits()[split])
    first, of_frames = own.read(own.splits()["train"]), more.read(more.splits()["train"])
    assert (first.labels == of_frames.labels[:2]).all()
    assert more.labelled_by_hand == 2
    assert "frames have labels propagated by optical flow from 2 of 2" in more.describe().in_words(
        remarks=True
    )
    assert own.fingerprint() != more.fingerprint()
    rows = table(done.folder)["frames"]
    for number in (0, 1):
        with_it = more.with_propagated([number])
        sources = {rows[one - 2]["source"] for one in with_it if one >= 2}
        assert with_it[0] == number
        assert sources == {own.names([number])[0]}
    assert sorted(more.with_propagated([0, 1])) == list(range(more.counts["train"]))
    found, truth = of_frames.labels[2:].numpy(), maps(done.folder, street[1])[0]
    assert np.array_equal(found, truth)


def test_few_labels_come_with_their_own_frames_alone(street, tmp_path):
    root, _ = street
    gp.propagate(root / "few", root / "store", tmp_path / "more", by="none", reach=2, **QUIET)
    subsets = {}
    for name, data in {"few": root / "few", "more": tmp_path / "more"}.items():
        run = gp.finetune_segmentation(
            data=data, out=tmp_path / f"run-{name}", labels=1, subset_seed=1, **SHORT
        )
        subsets[name] = json.loads((run.path / "subset.json").read_text())["names"]
        assert run.config["labels"] == 1
        assert run.results["labels"] == 1
    assert subsets["more"][:1] == subsets["few"]
    rows = {row["image"]: row["source"] for row in table(tmp_path / "more")["frames"]}
    assert subsets["more"][1:] == [image for image, source in rows.items() if source == subsets["few"][0]]
    assert run.results["propagated"] == len(subsets["more"]) - 1
    words = ["finetune", "segmentation", "--config", str(run.path), "--out"]
    assert cli.main([*words, str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again" / "subset.json").read_text())["names"] == subsets["more"]
    assert cli.main([*words, str(tmp_path / "alone"), "--propagated", "false"]) == 0
    assert json.loads((tmp_path / "alone" / "subset.json").read_text())["names"] == subsets["few"]


def test_weights_are_chosen_on_labels_by_hand_alone(street, tmp_path):
    root, _ = street
    gp.propagate(root / "few", root / "store", tmp_path / "more", by="none", reach=2, **QUIET)
    data = LabelledSet.open(tmp_path / "more")
    splits = {**data.splits(), "val": np.zeros(0, np.int64)}
    drawn = data.with_propagated([1])
    assert len(drawn) > 2
    judged = judges_of_labelled(data, splits, drawn)
    assert data.names(judged.positions) == ["train/images/street_000003.png"]


def test_a_comparison_draws_the_same_images_with_and_without_their_frames(street, tmp_path):
    root, _ = street
    gp.propagate(root / "few", root / "store", tmp_path / "more", by="none", reach=2, **QUIET)
    torch.save(torch.nn.Linear(1, 1).state_dict(), tmp_path / "unused.pt")  # named, never opened
    plans = {}
    for name, data in {"few": root / "few", "more": tmp_path / "more"}.items():
        plans[name] = make_plan(
            CompareOptions(
                inits=["random", str(tmp_path / "unused.pt")],
                variants={"alone": {"init": "random", "propagated": False}},
                data=data,
                out=tmp_path / name,
                labels=[1, 2],
                subsets=2,
                backbone="test_resnet",
                size=SIZE,
                progress=False,
            )
        )
    few, more = plans.values()
    assert few.counts == more.counts == [1, 2], "labels are counted, not frames"
    assert few.curves == more.curves
    assert {trial.init for trial in more.trials([]) if not trial.settings["propagated"]} == {"alone"}
    for own, same in zip(few.draws, more.draws, strict=True):
        names = few.data.names(own.positions(few.data, few.fields))
        assert names == more.data.names(same.positions(more.data, more.fields))
        learned = more.data.names(same.learned(more.data, more.fields))
        assert learned[: len(names)] == names
        rows = {row["image"]: row["source"] for row in table(tmp_path / "more")["frames"]}
        assert {rows[name] for name in learned[len(names) :]} == set(names)
        assert np.array_equal(own.learned(few.data, few.fields), own.positions(few.data, few.fields))


def test_where_frames_have_labels_of_their_own_it_is_said_how_right_it_is(street, tmp_path, capsys):
    root, _ = street
    words = ["data", "propagate", str(root / "dense"), str(root / "store"), "--reach", "2"]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "9 of 9 training images are frames of the store; 2 images of other splits, too" in said
    assert "1 strides away" not in said
    assert "1 stride away, in 16 pairs of labelled frames: " in said, "9 frames have labels"
    scores = table(tmp_path / "out")["scores"]
    assert [row["steps"] for row in scores] == [1, 2]
    assert all(row["accuracy"] > 0.96 and 0.3 < row["labelled"] < 1 for row in scores)
    assert scores[0]["miou"] > scores[1]["miou"] > 0.7
    assert set(scores[0]["iou"]) == set(LabelledSet.open(root / "dense").class_names)


def test_a_network_that_disagrees_takes_labels_away(street, tmp_path, capsys):
    root, world = street
    run = gp.finetune_segmentation(
        data=root / "few", out=tmp_path / "seg", **{**SHORT, "steps": 40, "lr": 3e-3, "size": SIZE}
    )
    gp.propagate(root / "few", root / "store", tmp_path / "all", by="none", **QUIET)
    gp.propagate(root / "few", root / "store", tmp_path / "kept", by="none", refine=run.path, **QUIET)
    (all_maps, truth), (kept, kept_truth) = (maps(tmp_path / name, world) for name in ("all", "kept"))
    before, after = right(all_maps, truth), right(kept, kept_truth)
    assert after[0] > before[0]
    assert 0 < after[1] < before[1]
    assert table(tmp_path / "kept")["refined_with"] == [f"train/images/street_{k:06d}.png" for k in TRAIN]
    described = LabelledSet.open(tmp_path / "kept").describe().in_words(remarks=True)
    assert "refined by a network that has learned from 2 images" in described
    capsys.readouterr()
    words = ["data", "propagate", str(root / "few"), str(root / "store"), "--by", "none"]
    assert cli.main([*words, "--refine", str(root / "few"), "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--by", "flow", "--run", "{run}"], "--run is for --by geometry, and this is --by flow"),
        (["--run", "{run}"], "predicts no depth with the motion of the camera"),
        (["--reach", "0"], "--reach"),
        (["--by", "flow", "--max-inconsistency", "0.1"], "--max-inconsistency compares depths"),
        (["--by", "none", "--max-colour-difference", "0.1"], "--by none follows none"),
        (["--max-inconsistency", "1e-9"], "Nothing could be propagated to any of"),
    ],
)
def test_what_cannot_be_is_refused(street, tmp_path, capsys, more, sentence):
    root, _ = street
    run = tmp_path / "run"
    if any("{run}" in word for word in more):
        run = gp.pretrain("simmim", data=root / "store", out=run, **SHORT).path
    capsys.readouterr()
    words = ["data", "propagate", str(root / "few"), str(root / "store"), "--out", str(tmp_path / "out")]
    assert cli.main([*words, *(word.format(run=run) for word in more)]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_images_of_another_video_are_refused_and_a_folder_of_others_is_left_alone(street, tmp_path, capsys):
    root, _ = street
    other = make_world("street", 9, 4, size=SIZE)
    write_labelled(tmp_path / "other", other, {"train": (0, 1), "val": (2,), "test": (3,)})
    words = ["data", "propagate", str(tmp_path / "other"), str(root / "store"), "--out"]
    assert cli.main([*words, str(tmp_path / "out")]) == 2
    assert "None of the 2 training images" in " ".join(capsys.readouterr().err.split())
    assert cli.main([*words, str(tmp_path / "other"), "--overwrite"]) == 2
    assert "holds something else" in capsys.readouterr().err
    gp.propagate(root / "few", root / "store", tmp_path / "out", by="none", reach=1, **QUIET)
    with pytest.raises(gp.RunFolderError, match="--overwrite"):
        gp.propagate(root / "few", root / "store", tmp_path / "out", by="none", **QUIET)
    before = sorted(path.name for path in (tmp_path / "out").rglob("*"))
    gp.propagate(root / "few", root / "store", tmp_path / "out", by="none", reach=1, overwrite=True, **QUIET)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == before
    with pytest.raises(gp.DataError, match="has propagated labels already"):
        gp.propagate(tmp_path / "out", root / "store", tmp_path / "twice", by="none", **QUIET)


def test_images_that_have_gone_or_changed_since_are_told(street, tmp_path):
    root, _ = street
    shutil.copytree(root / "few", tmp_path / "few")
    gp.propagate(tmp_path / "few", root / "store", tmp_path / "out", by="none", reach=1, **QUIET)
    (tmp_path / "few").rename(tmp_path / "moved")
    with pytest.raises(gp.DataError, match="write their new place as 'data'"):
        LabelledSet.open(tmp_path / "out")
    file = tmp_path / "out" / "propagated.json"
    file.write_text(file.read_text().replace(str(tmp_path / "few"), str(tmp_path / "moved")))
    assert LabelledSet.open(tmp_path / "out").labelled_by_hand == 2
    damaged = file.read_text().replace("train/images/street_000003.png", "nothing.png")
    file.write_text(damaged)
    with pytest.raises(gp.DataError, match=r"frames\[0\].source must be a training image"):
        LabelledSet.open(tmp_path / "out")
    (tmp_path / "moved" / "test" / "images" / "street_000017.png").rename(
        tmp_path / "moved" / "test" / "images" / "street_000016.png"
    )
    (tmp_path / "moved" / "test" / "labels" / "street_000017.png").rename(
        tmp_path / "moved" / "test" / "labels" / "street_000016.png"
    )
    with pytest.raises(gp.DataError, match="have changed since"):
        LabelledSet.open(tmp_path / "out")


def test_a_list_of_images_names_no_frame_with_propagated_labels(street, tmp_path):
    root, _ = street
    gp.propagate(root / "few", root / "store", tmp_path / "more", by="none", reach=1, **QUIET)
    data = LabelledSet.open(tmp_path / "more")
    frame = data.names([data.splits()["train"][-1]])[0]
    chosen = tmp_path / "chosen.txt"
    chosen.write_text(f"street_{TRAIN[1]:06d}\n")
    assert listed_subset(data, LABELS, str(chosen), None) == [1]
    chosen.write_text(f"street_{TRAIN[1]:06d}\n{frame}\n")
    with pytest.raises(DataError, match=r"2 images such .*line 2: .* a frame that labels were propagated"):
        listed_subset(data, LABELS, str(chosen), None)
