"""``analyse activations``: runs and images in, a picture of where they look out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from making_clips import sliding_frames, write_images
from PIL import Image

import geopretrain as gp
from geopretrain.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("activations")
    write_images(folder / "photographs", sliding_frames(5, 3.0, (64, 96)))
    short = {"backbone": "test_resnet", "steps": 2, "batch_size": 2, "threads": 1, "progress": False}
    street = "synthetic:street?train=4&val=2&test=2&seed=3"
    gp.finetune_segmentation(data=street, out=folder / "runs" / "classes", labels=4, size=(64, 96), **short)
    gp.pretrain("simmim", data=f"images:{folder / 'photographs'}", out=folder / "runs" / "masked", **short)
    return folder


def test_runs_beside_each_other(place, tmp_path, capsys):
    run, data = place / "runs" / "classes", f"images:{place / 'photographs'}"
    words = [
        "analyse",
        "activations",
        str(run),
        "--data",
        data,
        "--images",
        "2",
        "--out",
        str(tmp_path / "a"),
    ]
    assert main(words) == 0
    assert "64x96 px (height x width)" in capsys.readouterr().out  # the size of the run
    table = json.loads((tmp_path / "a" / "activations.json").read_text())
    assert table["runs"] == [{"run": str(run), "layer": "act1", "maps": "run_0"}]
    assert len(table["images"]) == 2
    with np.load(tmp_path / "a" / "activations.npz") as maps:
        assert maps["run_0"].shape == (2, 64, 96)
        assert maps["run_0"].max() == 1
    picture = np.asarray(Image.open(tmp_path / "a" / "activations.png"))
    assert picture.shape[1] > 3 * 256
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--layer", "layer2", "--overwrite"]) == 0
    assert json.loads((tmp_path / "a" / "activations.json").read_text())["runs"][0]["layer"] == "layer2"


@pytest.mark.parametrize(
    ("run", "more", "said"),
    [
        ("masked", [], "neither classes nor depth"),
        ("classes", ["--layer", "layr2"], "Did you mean 'layer2'"),
        ("classes", ["--split", "test"], "0 images in 'test'"),
        ("nothing", [], "nothing"),
    ],
)
def test_what_cannot_be_shown_is_said(place, tmp_path, capsys, run, more, said):
    data = f"images:{place / 'photographs'}"
    words = [
        "analyse",
        "activations",
        str(place / "runs" / run),
        "--data",
        data,
        "--out",
        str(tmp_path / "a"),
    ]
    assert main([*words, *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
