"""What belongs to another backbone is refused by name; what is a part of this one is loaded, and said."""

from __future__ import annotations

import pytest
import timm
import torch

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone
from geopretrain.weights import (
    LoadReport,
    backbone_of,
    backbone_state,
    init_backbone,
    load_backbone,
    parse_init,
)


def without(state, *starts):
    return {name: tensor for name, tensor in state.items() if not name.startswith(starts)}


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("resnet18", ["layer4"]),
        ("resnet50", ["layer3", "layer4"]),
        ("convnext_atto", ["stages.3", "head"]),
        ("vit_tiny_patch16_224", ["norm"]),
        ("mobilenetv3_small_050", ["conv_head"]),
        ("resnet18", ["conv1", "bn1"]),
    ],
)
def test_a_backbone_without_some_of_its_stages_is_loaded_with_a_warning(tmp_path, name, missing):
    torch.manual_seed(0)
    donor = backbone_state(Backbone(name))
    torch.save(without(donor, *[f"{one}." for one in missing]), tmp_path / "a.pth")
    assert backbone_of(parse_init(tmp_path / "a.pth")) is None
    torch.manual_seed(1)
    plain = backbone_state(Backbone(name))
    torch.manual_seed(1)
    backbone, report = init_backbone(name, parse_init(tmp_path / "a.pth"))
    assert f"holds only a part of {name}" in report.incomplete
    assert all(one in report.incomplete for one in missing)
    own = backbone_state(backbone)
    for tensor in donor:
        expected = plain if tensor.startswith(tuple(f"{one}." for one in missing)) else donor
        assert torch.equal(own[tensor], expected[tensor])
    assert {n.removeprefix("backbone.").split(".")[0] for n in report.reinitialised} == {
        one.split(".")[0] for one in missing
    }


def test_looking_for_whose_weights_they_are_draws_nothing(tmp_path):
    torch.save(without(backbone_state(Backbone("resnet18")), "layer4."), tmp_path / "a.pth")
    torch.manual_seed(3)
    Backbone("resnet18")
    expected = torch.rand(3)
    torch.manual_seed(3)
    init_backbone("resnet18", parse_init(tmp_path / "a.pth"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("made_with", "used_for", "proposed"),
    [
        ("resnet18", "resnet34", "resnet18"),
        ("resnet34", "resnet18", "resnet34"),
        ("resnet50", "convnext_atto", "resnet50"),
        ("convnext_atto", "resnet18", "convnext_atto"),
        ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"),
        ("vit_tiny_patch16_224", "vit_small_patch16_36x1_224", "vit_tiny_patch16_224"),
        ("tf_efficientnet_lite0", "resnet18", "tf_efficientnet_lite0"),
    ],
)
def test_weights_of_another_backbone_are_refused_and_theirs_is_proposed(made_with, used_for, proposed):
    with pytest.raises(WeightsError, match=f"looks like {proposed}: --backbone {proposed}"):
        load_backbone(Backbone(used_for), backbone_state(Backbone(made_with)), source="a file")


def test_a_shape_clash_names_the_first_few_with_both_shapes():
    tensors = dict(backbone_state(Backbone("resnet18")))
    tensors["conv1.weight"] = torch.ones(64, 1, 7, 7)
    tensors["layer1.0.bn1.weight"] = torch.ones(63)
    with pytest.raises(WeightsError) as error:
        load_backbone(Backbone("resnet18"), tensors, source="a file")
    assert "2 tensors differ, e.g. conv1.weight is 64x1x7x7 instead of 64x3x7x7" in str(error.value)
    assert "layer1.0.bn1.weight is 63 instead of 64" in str(error.value)


@pytest.mark.parametrize("kept", [slice(None, None, 2), slice(None, 61), slice(61, None)])
def test_any_half_of_a_backbone_is_loaded_and_the_rest_named(kept):
    state = backbone_state(Backbone("resnet18"))
    names = [name for name in state if not name.endswith("num_batches_tracked")][kept]
    backbone = Backbone("resnet18")
    report = load_backbone(backbone, {name: state[name] for name in names}, source="a file")
    assert sorted(report.loaded) == sorted(names)
    assert "holds only a part of resnet18" in report.incomplete
    assert len(report.reinitialised) == 100 - len(names)
    assert " tensors)" in report.incomplete


def test_weights_without_fractions_or_with_values_that_are_not_finite_are_refused():
    state = dict(backbone_state(Backbone("resnet18")))
    whole = state | {"conv1.weight": state["conv1.weight"].to(torch.int8)}
    with pytest.raises(WeightsError, match=r"conv1\.weight is int8 instead of float32"):
        load_backbone(Backbone("resnet18"), whole, source="a file")
    endless = state | {"layer1.0.conv1.weight": torch.full_like(state["layer1.0.conv1.weight"], torch.inf)}
    with pytest.raises(WeightsError, match=r"not finite, in one tensor \(layer1\.0\.conv1\.weight\)"):
        load_backbone(Backbone("resnet18"), endless, source="a file")


def test_a_few_tensors_are_no_part():
    state = backbone_state(Backbone("resnet18"))
    tensors = {name: tensor for name, tensor in state.items() if name.startswith(("conv1.", "bn1."))}
    with pytest.raises(WeightsError, match="another backbone"):
        load_backbone(Backbone("resnet18"), tensors, source="a file")


def test_patches_of_another_size_are_another_backbone():
    tensors = backbone_state(Backbone("vit_small_patch16_224"))
    with pytest.raises(WeightsError, match=r"patch_embed\.proj\.weight is 384x3x16x16 instead of 384x3x8x8"):
        load_backbone(Backbone("vit_small_patch8_224"), tensors, source="a file")


@pytest.mark.parametrize(
    "name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto", "mobilenetv3_small_050"]
)
@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_files_of_timm_say_what_they_are(tmp_path, name, prefix):
    state = {prefix + n: t for n, t in timm.create_model(name, num_classes=10).state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    assert backbone_of(parse_init(tmp_path / "a.pth")) == name


@pytest.mark.parametrize(
    ("name", "alike"),
    [
        ("tf_mobilenetv3_small_100", "mobilenetv3_small_100 and tf_mobilenetv3_small_100"),
        ("swinv2_tiny_window16_256", "swinv2_tiny_window8_256 and swinv2_tiny_window16_256"),
    ],
)
def test_models_with_the_same_tensors_are_not_guessed_between(tmp_path, name, alike):
    torch.save(timm.create_model(name, num_classes=0).state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=f"fit {alike} alike"):
        backbone_of(parse_init(tmp_path / "a.pth"))


def test_a_folder_of_timm_says_what_it_is(tmp_path):
    from timm.models import save_for_hf

    model = timm.create_model("resnet18", num_classes=0)
    save_for_hf(model, tmp_path / "hub")
    assert backbone_of(parse_init(tmp_path / "hub")) == "resnet18"
    backbone, report = init_backbone("resnet18", parse_init(tmp_path / "hub"))
    assert backbone.normalisation["mean"] == [0.485, 0.456, 0.406]
    assert report.warnings == report.reinitialised == []


def test_the_table_is_short_and_the_record_whole():
    report = LoadReport("a file", format="MoCo")
    report.loaded = [f"backbone.{i}" for i in range(100)]
    report.skipped = [(f"head.{i}", "head") for i in range(50)] + [("queue", "queue of negatives")]
    report.normalisation = {"mean": [0.1] * 3, "std": [0.2] * 3}
    assert report.summary().splitlines() == [
        "Weights from a file: 100 tensors loaded (backbone 100).",
        "  format: MoCo",
        "  not used: 51 (head 50, queue 1): 50 head; 1 queue of negatives",
        "  images: mean [0.1, 0.1, 0.1], standard deviation [0.2, 0.2, 0.2]",
    ]
    saved = report.as_json()
    assert len(saved["loaded"]) == 100
    assert saved["skipped"][-1] == {"tensor": "queue", "reason": "queue of negatives"}
