"""`data select`: which frames to label first, ready for a labelling tool."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import geopretrain as gp
from geopretrain import cli
from geopretrain.data.dataset import Fields
from geopretrain.data.label_lists import listed_subset
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.store.frame_store import FrameStore

SMALL = {"batch_size": 2, "threads": 1, "precision": "fp32", "progress": False}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Three places of 8 pictures each, which hardly differ inside one; a store of them, and a run."""
    root = tmp_path_factory.mktemp("places")
    rng = np.random.default_rng(0)
    for number in range(3):
        place = rng.integers(0, 255, (6, 8, 3)).repeat(16, 0).repeat(16, 1)
        (root / "video").mkdir(exist_ok=True)
        for k in range(8):
            noisy = np.clip(place + rng.integers(-3, 4, place.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(root / "video" / f"{8 * number + k:03d}.png")
    gp.prepare(root / "video", root / "store", size=(48, 64), still_images=True, holdout=0.0, progress=False)
    run = gp.pretrain(
        "simmim", data=root / "store", out=root / "run", backbone="test_resnet", steps=2, **SMALL
    )
    return root, run.path


def place_of(name):
    return int(name.rsplit("/", 1)[1]) // 8


def test_one_frame_of_each_place_comes_first(places, tmp_path, capsys):
    root, run = places
    out = tmp_path / "chosen"
    words = ["data", "select", str(root / "store"), "--init", str(run), "--labels", "3", "--difficulty", "0"]
    assert cli.main([*words, "--out", str(out)]) == 0
    assert "3 of 24 frames chosen by features alone" in capsys.readouterr().out.replace("\n", " ")
    names = (out / "selected.txt").read_text().split()
    assert {place_of(name) for name in names} == {0, 1, 2}
    table = json.loads((out / "selected.json").read_text())["frames"]
    assert [row["frame"] for row in table] == names
    for row in table:
        picture = Image.open(out / row["image"])
        assert picture.size == (128, 96), "as large as in the source"
        source = Image.open(root / "video" / f"{int(row['frame'].rsplit('/', 1)[1]):03d}.png")
        assert np.array_equal(np.asarray(picture), np.asarray(source))
    assert Image.open(out / "selected.png").width > 320
    before = sorted(path.name for path in out.rglob("*"))
    assert cli.main([*words, "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*words, "--out", str(out), "--overwrite"]) == 0
    assert sorted(path.name for path in out.rglob("*")) == before


def test_the_loss_of_a_run_tells_how_hard_a_frame_is(places, tmp_path):
    root, run = places
    chosen = gp.select(root / "store", run, tmp_path / "chosen", labels=4, progress=False)
    assert all(0 <= one.hardness <= 1 for one in chosen.choices)
    again = gp.select(root / "store", run, tmp_path / "again", labels=4, progress=False)
    assert again.names == chosen.names


def test_where_the_video_is_gone_frames_are_those_of_the_store(places, tmp_path, capsys):
    root, run = places
    gp.prepare(
        root / "video", tmp_path / "store", size=(48, 64), still_images=True, holdout=0.0, progress=False
    )
    index = tmp_path / "store" / "store.json"
    index.write_text(index.read_text().replace(str(root / "video"), str(tmp_path / "gone")))
    assert len(FrameStore.open(tmp_path / "store"))
    chosen = gp.select(tmp_path / "store", run, tmp_path / "chosen", labels=2, difficulty=0)
    assert "2 frames could not be read from the video again" in capsys.readouterr().out.replace("\n", " ")
    assert Image.open(next((chosen.folder / "images").iterdir())).size == (64, 48)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--init", "random"], "Random features tell nothing"),
        (["--labels", "99"], "99 frames cannot be chosen among 24. Ask for fewer with --labels."),
        (
            ["--candidates", "9"],
            "chosen among 9. Ask for fewer with --labels, or look at more with",
        ),
        (["--backbone", "resnet18"], "has the backbone test_resnet, not resnet18"),
        (["--init", "{run}/backbone.safetensors", "--difficulty", "2"], "--difficulty counts the loss of"),
        (["--init", "nothing-there"], "no such run folder or weights file"),
    ],
)
def test_what_cannot_be_is_refused(places, tmp_path, capsys, more, sentence):
    root, run = places
    words = ["data", "select", str(root / "store"), "--init", str(run), "--out", str(tmp_path / "chosen")]
    assert cli.main([*words, *(word.format(run=run) for word in more)]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "chosen").exists()


def test_a_folder_of_others_is_left_alone(places, tmp_path, capsys):
    root, run = places
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    words = ["data", "select", str(root / "store"), "--init", str(run), "--out", str(tmp_path / "mine")]
    assert cli.main([*words, "--overwrite"]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_among_labelled_images_names_are_those_that_compare_takes(places, tmp_path):
    root, run = places
    labelled = tmp_path / "labelled"
    for split, numbers in {"train": range(20), "val": (20, 21), "test": (22, 23)}.items():
        for kind in ("images", "labels"):
            (labelled / split / kind).mkdir(parents=True)
        for k in numbers:
            picture = Image.open(root / "video" / f"{k:03d}.png")
            picture.save(labelled / split / "images" / f"{k:03d}.png")
            Image.fromarray(np.asarray(picture)[..., 0] % 2).save(
                labelled / split / "labels" / f"{k:03d}.png"
            )
    (labelled / "classes.txt").write_text("one\ntwo\n")
    chosen = gp.select(labelled, run, tmp_path / "chosen", labels=3, labelled=True, progress=False)
    assert {int(name[-7:-4]) // 8 for name in chosen.names} == {0, 1, 2}
    assert all(name.startswith("train/") and name.endswith(".png") for name in chosen.names)
    first = json.loads((chosen.folder / "selected.json").read_text())["frames"][0]
    assert first["image"] == f"images/001_train_images_{first['frame'][-7:-4]}.png"
    picture = np.asarray(Image.open(chosen.folder / first["image"]))
    assert np.array_equal(picture, np.asarray(Image.open(labelled / first["frame"])))
    fields = Fields(names=("labels",))
    found = listed_subset(LabelledSet.open(labelled), fields, str(chosen.folder / "selected.txt"), 2)
    assert [f"train/images/{k:03d}.png" for k in found] == chosen.names[:2]
