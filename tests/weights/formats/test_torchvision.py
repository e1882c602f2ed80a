"""Files that torchvision's own models are saved to give the same features in timm's."""

from __future__ import annotations

import pytest
import torch
from foreign_weights import IMAGENET_MEAN, assert_same, images, imported, normalised, shaken
from torch import nn

from geopretrain.errors import WeightsError
from geopretrain.weights import backbone_of, parse_init, save_tensors

torchvision = pytest.importorskip("torchvision")
models = torchvision.models


def features(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """The last map of a network of torchvision, after its final norm where it has one."""
    if isinstance(network, models.ResNet):
        parts = list(network.children())[:-2]
        return nn.Sequential(*parts)(batch)
    if isinstance(network, models.SwinTransformer):
        return network.norm(network.features(batch)).permute(0, 3, 1, 2)
    if isinstance(network, models.RegNet):
        return network.trunk_output(network.stem(batch))
    if isinstance(network, models.DenseNet):
        return network.features(batch).relu()
    return network.features(batch)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("resnet18", "resnet18"),
        ("efficientnet_b0", "efficientnet_b0"),
        ("mobilenet_v3_small", "mobilenetv3_small_100"),
        ("mobilenet_v2", "mobilenetv2_100"),
        ("regnet_y_400mf", "regnety_004"),
        pytest.param("regnet_x_800mf", "regnetx_008", marks=pytest.mark.slow),
        pytest.param("densenet121", "densenet121", marks=pytest.mark.slow),
        pytest.param("resnext50_32x4d", "resnext50_32x4d", marks=pytest.mark.slow),
        pytest.param("mobilenet_v3_large", "mobilenetv3_large_100", marks=pytest.mark.slow),
        pytest.param("efficientnet_b5", "efficientnet_b5", marks=pytest.mark.slow),
        pytest.param("efficientnet_v2_s", "efficientnetv2_s", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_convolutional_networks(tmp_path, theirs, ours, suffix):
    network = shaken(getattr(models, theirs)())
    path = tmp_path / f"weights{suffix}"
    torch.save(network.state_dict(), path) if suffix == ".pth" else save_tensors(path, network.state_dict())
    assert backbone_of(parse_init(path)) == ours
    backbone, report = imported(path, ours)
    assert backbone.normalisation["mean"] == IMAGENET_MEAN
    assert report.reinitialised == []
    with torch.no_grad():
        batch = images()
        expected = features(network, normalised(batch))
        found = backbone.model.forward_features(backbone.normalise(batch))
        if theirs.startswith("mobilenet_v3"):
            assert_same(backbone.embed(batch), network.classifier[:2](expected.mean((2, 3))))
    assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("theirs", "ours"), [("convnext_tiny", "convnext_tiny")])
def test_convnext(tmp_path, theirs, ours):
    network = shaken(getattr(models, theirs)())
    torch.save({"model": network.state_dict()}, tmp_path / "a.pth")
    assert backbone_of(parse_init(tmp_path / "a.pth")) == ours
    backbone, report = imported(tmp_path / "a.pth", ours)
    with torch.no_grad():
        expected = network.features(normalised(images()))
        assert_same(backbone.last(images()), expected)
        assert_same(backbone.embed(images()), network.classifier[:2](network.avgpool(expected)))
    assert report.reinitialised == []
    assert {reason for _, reason in report.skipped} == {"classifier"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("swin_t", "swin_tiny_patch4_window7_224"),
        pytest.param("swin_v2_t", "swinv2_tiny_window8_256", marks=pytest.mark.slow),
    ],
)
def test_swin(tmp_path, theirs, ours):
    network = shaken(getattr(models, theirs)())
    torch.save(network.state_dict(), tmp_path / "a.pth")
    assert backbone_of(parse_init(tmp_path / "a.pth")) == ours
    backbone, report = imported(tmp_path / "a.pth", ours)
    side = int(ours[-3:])
    with torch.no_grad():
        expected = features(network, normalised(images(side)))
        assert_same(backbone.last(images(side)), expected)
    assert report.reinitialised == []


def test_vision_transformer(tmp_path):
    network = shaken(
        models.VisionTransformer(
            image_size=224, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768
        )
    )
    torch.save(network.state_dict(), tmp_path / "a.pth")
    assert backbone_of(parse_init(tmp_path / "a.pth")) == "vit_tiny_patch16_224"
    backbone, _ = imported(tmp_path / "a.pth", "vit_tiny_patch16_224")
    assert backbone.normalisation["mean"] == IMAGENET_MEAN  # timm's own weights of this model have 0.5
    with torch.no_grad():
        tokens = network._process_input(normalised(images(224)))
        tokens = network.encoder(torch.cat([network.class_token.expand(2, -1, -1), tokens], 1))
        assert_same(backbone.embed(images(224)), tokens[:, 0])
        assert_same(backbone.last(images(224)).flatten(2).transpose(1, 2), tokens[:, 1:])


@pytest.mark.parametrize("kind", ["segmentation", "detection"])
def test_networks_with_a_backbone_inside(tmp_path, kind):
    if kind == "segmentation":
        network = models.segmentation.fcn_resnet50(weights=None, weights_backbone=None)
        inside = network.backbone
    else:
        network = models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        inside = network.backbone.body
    torch.save({"model": shaken(network).state_dict(), "epoch": 3}, tmp_path / "a.pth")
    assert backbone_of(parse_init(tmp_path / "a.pth")) == "resnet50"
    backbone, report = imported(tmp_path / "a.pth", "resnet50")
    assert report.reinitialised == []
    assert {reason for _, reason in report.skipped} == {"no part of the backbone"}
    own = backbone.model.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in inside.state_dict().items() if name in own)


def test_models_that_pad_otherwise_are_refused(tmp_path):
    torch.save(models.efficientnet_b0().state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"pad images evenly.*--backbone efficientnet_b0"):
        imported(tmp_path / "a.pth", "tf_efficientnet_b0")
    with pytest.raises(WeightsError, match="looks like efficientnet_b0: --backbone efficientnet_b0"):
        imported(tmp_path / "a.pth", "efficientnet_b1")
