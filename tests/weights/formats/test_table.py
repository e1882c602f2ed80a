"""The table of formats: rows that do not get in each other's way, and rows of others."""

from __future__ import annotations

import pytest
import torch
from foreign_weights import imported

from geopretrain.networks import Backbone
from geopretrain.weights import backbone_state, formats
from geopretrain.weights.formats import FORMATS, TIMM, Format, recognise


def test_names_of_formats_are_told_apart():
    names = [one.name for one in FORMATS]
    assert len(set(names)) == len(names)
    assert all(one.marks for one in FORMATS)


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "test_vit", "swinv2_cr_tiny_ns_224", "tf_efficientnet_lite0"]
)
@pytest.mark.parametrize("prefix", ["", "backbone.", "a.b."])
def test_names_of_timm_are_no_other_format(name, prefix):
    tensors = {prefix + one: tensor for one, tensor in backbone_state(Backbone(name)).items()}
    assert recognise(tensors) is TIMM


def test_a_plugin_adds_a_row(tmp_path, monkeypatch):
    row = Format(
        "a paper of tomorrow",
        marks=(r"^stem_conv\.weight$",),
        rules=((r"^stem_conv\.", "conv1."),),
        skipped=((r"^oracle\.", "the oracle"),),
        normalisation={"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
    )
    monkeypatch.setattr(formats, "FORMATS", [row, *FORMATS])
    state = backbone_state(Backbone("resnet18"))
    state = {
        name.replace("conv1.", "stem_conv.") if name.startswith("conv1.") else name: t
        for name, t in state.items()
    }
    torch.save(state | {"oracle.weight": torch.ones(2)}, tmp_path / "a.pth")
    backbone, report = imported(tmp_path / "a.pth", "resnet18")
    assert report.format == "a paper of tomorrow"
    assert report.skipped == [("oracle.weight", "the oracle")]
    assert report.reinitialised == []
    assert backbone.normalisation["mean"] == [0.1, 0.2, 0.3]
