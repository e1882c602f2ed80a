"""``analyse features``: initialisations and labelled images in, a table of what they are worth out."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from comparing import write_pretrained

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


def test_a_network_that_is_missing_is_said_before_any_is_probed(tmp_path, capsys, monkeypatch):
    begun = write_pretrained(tmp_path / "begun")
    for file in ("model.safetensors", "results.json"):
        (begun.path / file).unlink()
    monkeypatch.setattr("geopretrain.analysis.features.FeatureProbes.score", lambda *_: pytest.fail("probed"))
    words = [
        "analyse",
        "features",
        "random",
        str(begun.path),
        "--data",
        LABELLED,
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*words, "--backbone", "test_resnet"]) == 2
    assert "no model.safetensors" in capsys.readouterr().err


def test_networks_stay_as_they_are():
    from geopretrain.analysis.features import FeatureProbes
    from geopretrain.data.labelled.labelled_set import LabelledSet

    torch.manual_seed(0)
    backbone = Backbone("test_resnet").eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    probes = FeatureProbes(LabelledSet.open(LABELLED, size=(64, 96)))
    assert probes.score(backbone) == probes.score(backbone)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def by_labels(tmp_path, *more):
    words = ["analyse", "features", "random", "imagenet", "--data", LABELLED, "--size", "64x96"]
    words += ["--backbone", "tf_efficientnet_lite0", "--out", str(tmp_path / "out"), *more]
    return main(words)


def test_probes_by_the_number_of_labels(tmp_path, capsys):
    assert by_labels(tmp_path, "--labels", "2,4,all", "--subsets", "3", "--subset-seed", "7") == 0
    said = capsys.readouterr().out
    assert "2 labels" not in said.splitlines()[0]
    assert "3 sets of labelled images drawn by sequence from seed 7" in said
    assert "over 3 images of 'val'" in said
    found = json.loads((tmp_path / "out/features.json").read_text())["labels"]
    with (tmp_path / "out/labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    keys = [(row["init"], row["labels"], row["subset"]) for row in rows]
    few = [(count, str(seed)) for seed in (7, 8, 9) for count in ("2", "4")]
    all_of_them = [*few[:2], ("6", "7"), *few[2:]]
    assert keys == [(init, *one) for init in ("random", "imagenet") for one in all_of_them]
    assert [float(row["linear_miou"]) for row in rows] == pytest.approx(
        [one["miou"] for one in found["probes"]]
    )
    own = {key: float(row["linear_miou"]) for key, row in zip(keys, rows, strict=True)}
    apart = [own["imagenet", "4", seed] - own["random", "4", seed] for seed in "789"]
    mean = 100 * sum(apart) / 3
    assert f"({mean:+.1f} [".replace("-", "\N{MINUS SIGN}") in said
    assert (tmp_path / "out/labels.png").stat().st_size > 1000


def test_the_first_of_a_larger_set_are_the_smaller_set(tmp_path):
    """So that a probe with few labels is the same, whatever else is asked for."""
    few = gp.analyse_features(
        ["random"], LABELLED, tmp_path / "a", backbone="test_resnet", size=(64, 96), labels=2, subsets=2
    )
    more = gp.analyse_features(
        ["random"], LABELLED, tmp_path / "b", backbone="test_resnet", size=(64, 96), labels=(2, 5), subsets=2
    )
    assert few.labels.probes == [one for one in more.labels.probes if one.labels == 2]


def test_the_page_has_the_probes(tmp_path):
    assert by_labels(tmp_path, "--labels", "2,4", "--subsets", "3") == 0
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Every probe by its number of labels (CSV)" in page
    assert '<th scope="col" class="number">4 labels</th>' in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--subsets", "3"], "--labels"),
        (["--evaluate-on", "test"], "--labels"),
        (["--labels", "7"], "7 labelled images were asked for, but the training split holds 6"),
        (["--labels", "0"], "--labels"),
        (["--labels", "2", "--subset-by", "colour"], "--subset-by"),
    ],
)
def test_labels_that_are_not_there_are_said(tmp_path, words, said, capsys):
    assert by_labels(tmp_path, *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
