"""What is loaded, skipped, re-initialised, and what is refused."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone
from geopretrain.weights import LoadReport, backbone_state, load_backbone, load_matching
from geopretrain.weights.report import NOTHING


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_report_says_what_was_loaded_skipped_and_left():
    module = small()
    tensors = {"0.weight": torch.ones(4, 3, 3, 3), "0.bias": torch.ones(5), "head.weight": torch.ones(2)}
    untouched = module[1].weight.clone()
    report = load_matching(module, tensors, source="a file")
    assert report.loaded == ["0.weight"]
    assert dict(report.skipped) == {
        "0.bias": "shape 5, the network has 4",
        "head.weight": "the network has no such parameter",
    }
    assert report.reinitialised == ["0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
    assert (module[0].weight == 1).all()
    assert torch.equal(module[1].weight, untouched)
    assert "1 tensor loaded" in report.summary()
    assert "newly initialised: 5" in report.summary()
    assert "not used: 2" in report.summary()


def test_nothing_matched_is_an_error_that_shows_both_sides():
    with pytest.raises(WeightsError, match=r"Nothing in a file fits.*holds x\.y.*wants 0\.weight"):
        load_matching(small(), {"x.y": torch.ones(3)}, source="a file")


def test_prefixes_are_mapped_and_the_longest_wins():
    module = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    tensors = {"a.weight": torch.zeros(2, 2), "a.b.weight": torch.ones(2, 2), "c.weight": torch.ones(2, 2)}
    report = load_matching(module, tensors, source="", prefix_map={"a.": "one.", "a.b.": "two."})
    assert report.loaded == ["one.weight", "two.weight"]
    assert (module["one"].weight == 0).all()
    assert (module["two"].weight == 1).all()


def test_types_are_adapted():
    module = small().double()
    load_matching(module, {"0.weight": torch.ones(4, 3, 3, 3, dtype=torch.float16)}, source="")
    assert module[0].weight.dtype == torch.float64


@pytest.mark.parametrize("prefix", ["", "backbone.", "model.visual."])
def test_a_whole_classifier_of_timm_fills_the_backbone(prefix):
    torch.manual_seed(1)
    donor = timm.create_model("mobilenetv3_small_050")
    tensors = {prefix + name: t for name, t in donor.state_dict().items()} | {"queue": torch.ones(3)}
    backbone = Backbone("mobilenetv3_small_050")
    report = load_backbone(backbone, tensors, source="timm")
    own = backbone_state(backbone)
    assert all(torch.equal(own[name], donor.state_dict()[name]) for name in own)
    assert report.reinitialised == []
    assert {name.split(".")[-2] for name, _ in report.skipped if "classifier" in name} == {"classifier"}
    assert {reason for name, reason in report.skipped if "classifier" in name} == {"classifier"}


@pytest.mark.parametrize(
    ("made_with", "used_for", "reason"),
    [
        ("resnet18", "resnet34", "missing"),
        ("resnet34", "resnet18", "layers more"),
        ("resnet50", "resnet18", "differ"),
    ],
)
def test_weights_of_another_backbone_are_refused(made_with, used_for, reason):
    tensors = backbone_state(Backbone(made_with))
    backbone = Backbone(used_for)
    before = {name: t.clone() for name, t in backbone_state(backbone).items()}
    with pytest.raises(WeightsError, match=rf"another backbone than {used_for}.*{reason}"):
        load_backbone(backbone, tensors, source="file")
    assert all(torch.equal(t, before[name]) for name, t in backbone_state(backbone).items())


def test_weights_of_another_family_are_refused():
    with pytest.raises(WeightsError, match="Nothing in file fits the backbone resnet18"):
        load_backbone(Backbone("resnet18"), backbone_state(Backbone("vit_tiny_patch16_224")), source="file")


def test_random_numbers_are_nothing_loaded_and_parts_have_words():
    said = LoadReport(NOTHING, reinitialised=["backbone.a", "painter.b"]).summary()
    assert said == "Weights: random numbers, nothing was loaded."
    said = LoadReport("a file", loaded=["backbone.a"], reinitialised=["painter.b"]).summary()
    assert "newly initialised: 1 (painting head 1)" in said
