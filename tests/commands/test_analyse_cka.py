"""``analyse cka``: networks and images in, a map of their layers out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from making_clips import sliding_frames, write_images
from many_frames import SIZE, write_store

import geopretrain as gp
from geopretrain.analysis.layers import chosen_layers, samples_of
from geopretrain.cli import main
from geopretrain.commands.analyse_cka import _batches
from geopretrain.networks import Backbone

IMAGES = "synthetic:street?frames=24&seed=3&height=64&width=96&stereo=0"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    write_images(folder, sliding_frames(24, 3.0, (64, 96)))
    return f"images:{folder}"


def test_a_network_against_itself(tmp_path, photographs):
    found = gp.analyse_cka("random", photographs, tmp_path / "out", backbone="test_resnet", batch_size=8)
    layers = len(found.rows)
    assert found.rows == found.columns
    assert found.cka.shape == (layers, layers)
    np.testing.assert_allclose(found.cka.diagonal(), 1)
    np.testing.assert_allclose(found.cka, found.cka.T)
    written = json.loads((tmp_path / "out" / "cka.json").read_text())
    np.testing.assert_allclose(written["cka"], found.cka, atol=1e-6)
    assert written["protocol"] == found.protocol
    assert "batches of 8 images (3 in all" in found.protocol
    rows = list(csv.reader((tmp_path / "out" / "cka.csv").open()))
    assert rows[0] == ["layer", *found.columns]
    assert float(rows[1][2]) == pytest.approx(found.cka[0, 1], abs=1e-6)
    assert (tmp_path / "out" / "cka.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("images", "size", "expected"), [(6, 4, [6]), (5, 4, [5]), (9, 4, [5, 4]), (13, 8, [7, 6])]
)
def test_no_image_is_left_out_and_no_batch_too_small(images, size, expected):
    batches = _batches(np.arange(images), size)
    assert [len(one) for one in batches] == expected
    assert sorted(np.concatenate(batches)) == list(range(images))


def test_a_run_against_what_it_began_with(tmp_path, photographs, capsys):
    run = gp.pretrain(
        "simmim",
        data=photographs,
        size=(64, 96),
        out=tmp_path / "run",
        backbone="test_resnet",
        steps=3,
        batch_size=8,
        lr=1e-2,
        threads=1,
        progress=False,
    )
    capsys.readouterr()
    words = ["analyse", "cka", "random", str(run.path), "--data", photographs, "--layers", "layer?"]
    assert main([*words, "--out", str(tmp_path / "out"), "--size", "64x96"]) == 0
    said = capsys.readouterr().out
    assert "How alike each layer is in both:" in said
    assert "layer4" in said
    found = json.loads((tmp_path / "out" / "cka.json").read_text())
    assert found["layers_of_second"] == ["layer1", "layer2", "layer3", "layer4"]
    assert main([*words, "--out", str(tmp_path / "out"), "--size", "64x96"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "out"), "--size", "64x96", "--overwrite"]) == 0


@pytest.mark.parametrize("samples", ["pooled", "flattened", "positions"])
def test_networks_of_two_families(tmp_path, samples):
    found = gp.analyse_cka(
        ["random", "random"],
        IMAGES,
        tmp_path / "out",
        backbone="test_vit",
        samples=samples,
        split="train",
        size=(64, 96),
        layers=["blocks.*", "norm"],
        batch_size=10,
    )
    assert np.isfinite(found.cka).all()
    assert "train" in found.protocol


def test_images_do_not_need_memory(tmp_path, photographs):
    """What is kept between batches is of the size of the map."""
    from geopretrain.analysis.cka import GROUPS, MinibatchCKA

    sums = MinibatchCKA()
    for _ in range(3 * GROUPS):
        sums.update([torch.rand(6, 5), torch.rand(6, 3)])
    assert sum(part.numel() for group in sums._sums for part in group) == GROUPS * (4 + 2 + 2)


MEASURED = """
import resource, sys
import geopretrain as gp

def peak(images):
    gp.analyse_cka(
        "random", sys.argv[1], f"{sys.argv[2]}-{images}", backbone="test_resnet", layers=["layer1*"],
        samples="flattened", images=images, batch_size=20, threads=1, device="cpu",
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

print(peak(200), peak(2000))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units there")
def test_the_peak_of_memory_does_not_grow_with_the_images(tmp_path):
    """The features of all images together would be far more than it may grow by."""
    store = write_store(tmp_path / "store", 2500)
    backbone, images = Backbone("test_resnet").eval(), torch.zeros(1, 3, *SIZE)
    layers = chosen_layers(backbone, ["layer1*"], images)
    an_image = sum(one.nbytes for one in samples_of(backbone, images, layers, "flattened", 1))
    assert 1800 * an_image > 400e6
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, str(store), str(tmp_path / "out")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    few, many = map(float, told.split("\n")[-2].split())
    assert many - few < 150, "MB"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--layers", "stage*"], "No layer of test_resnet"),
        (["--split", "val"], "at least 4"),
        (["--batch-size", "3"], "--batch-size must be a whole number from 4 to 4096"),
        (["--cells", "0"], "--cells must be"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path, photographs, capsys, more, said):
    words = ["analyse", "cka", "random", "--data", photographs, "--backbone", "test_resnet"]
    assert main([*words, "--out", str(tmp_path / "out"), *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_three_networks_are_too_many(tmp_path, photographs, capsys):
    words = ["analyse", "cka", "random", "random", "random", "--data", photographs]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "one network or two, not 3" in capsys.readouterr().err
