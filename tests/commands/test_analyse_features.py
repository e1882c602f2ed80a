"""``analyse features``: initialisations and labelled images in, a table of what they are worth out."""

from __future__ import annotations

import csv
import json

import pytest
import torch

import geopretrain as gp
from geopretrain.cli import main
from geopretrain.networks import Backbone
from geopretrain.weights import save_tensors

LABELLED = "synthetic:street?train=6&val=3&test=2&seed=5"


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A file of weights in which one layer of an untrained network is twice what it was."""
    from geopretrain.training.resolve import initialised

    model = initialised("test_resnet", "random", "cpu").model
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state["conv1.0.weight"] *= 2
    path = tmp_path_factory.mktemp("moved") / "moved.safetensors"
    save_tensors(path, state)
    return str(path)


def test_initialisations_beside_each_other(tmp_path, moved, capsys):
    words = ["analyse", "features", "random", moved, "--data", LABELLED, "--size", "64x96"]
    assert main([*words, "--backbone", "test_resnet", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "RankMe" in said
    assert "k-NN mIoU %" in said
    found = json.loads((tmp_path / "out" / "features.json").read_text())
    one, other = found["inits"]["random"], found["inits"][moved]
    assert "moved" not in one
    assert 0 < other["moved"] < 1
    for numbers in (one, other):
        assert 0 < numbers["linear_miou"] < 1
        assert 0 < numbers["knn_miou"] < 1
        assert numbers["rank_me"] > 1
    with (tmp_path / "out" / "moved.csv").open() as file:
        rows = {row["layer"]: float(row[moved]) for row in csv.DictReader(file)}
    assert rows["conv1.0"] == pytest.approx(1)
    assert {value for layer, value in rows.items() if layer != "conv1.0"} == {0.0}
    assert (tmp_path / "out" / "moved.png").stat().st_size > 1000


def test_classes_that_are_coloured_are_told_by_neighbours(tmp_path):
    """Colour alone tells a street's sky from its road, whatever the weights."""
    found = gp.analyse_features(["random"], LABELLED, tmp_path / "out", backbone="test_resnet", size=(64, 96))
    chance = 1 / 12
    assert found.rows["random"]["knn_miou"] > 1.5 * chance
    assert not found.layers
    assert not (tmp_path / "out" / "moved.png").exists()


def test_what_cannot_be_probed_is_said(tmp_path, moved, capsys):
    words = ["analyse", "features", moved, moved, "--data", LABELLED, "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "twice" in capsys.readouterr().err


def test_networks_stay_as_they_are():
    from geopretrain.analysis.features import FeatureProbes
    from geopretrain.data.labelled.labelled_set import LabelledSet

    torch.manual_seed(0)
    backbone = Backbone("test_resnet").eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    probes = FeatureProbes(LabelledSet.open(LABELLED, size=(64, 96)))
    assert probes.score(backbone) == probes.score(backbone)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
