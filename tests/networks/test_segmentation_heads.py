"""Heads on any backbone: sizes, structures of the libraries they are from, and what fits where."""

from __future__ import annotations

import re
from typing import get_args

import pytest
import segmentation_models_pytorch as smp
import torch
from torchvision.models import resnet50
from torchvision.models.segmentation import deeplabv3_resnet50

from geopretrain.errors import ConfigError, OptionError
from geopretrain.networks import Backbone, SegmentationNet
from geopretrain.networks.heads.segmentation import HEADS, HeadName

CLASSES = 5
CONVOLUTIONAL, PLAIN, WINDOWED = "test_resnet", "test_vit", "geopretrain_swinv2_mini"


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def net(backbone: str, head: str, **options) -> SegmentationNet:
    torch.manual_seed(0)
    return SegmentationNet(Backbone(backbone), CLASSES, head, **options)


def test_each_name_has_a_row():
    assert set(get_args(HeadName)) == {"depth", *HEADS}


def undilatable(backbone: str, head: str) -> bool:
    return backbone == WINDOWED and head.startswith("deeplab")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "backbone", [CONVOLUTIONAL, PLAIN, WINDOWED, "test_convnext", "mobilenetv3_small_050"]
)
def test_a_step_moves_head_and_backbone_at_any_size(backbone, head):
    if undilatable(backbone, head):
        with pytest.raises(ConfigError, match=r"cannot dilate .* head=upernet"):
            net(backbone, head)
        return
    network = net(backbone, head).train()
    logits = network(torch.rand(2, 3, 45, 70))
    assert logits.shape == (2, CLASSES, 45, 70)
    logits.square().mean().backward()
    grads = [p.grad for p in network.decoder.parameters()]
    assert sum(g is not None and bool(g.abs().sum() > 0) for g in grads) >= 0.7 * len(grads)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.backbone.parameters())


@pytest.mark.parametrize("head", HEADS)
def test_images_that_fit_are_not_changed_by_their_padded_neighbourhood(head):
    network = net(CONVOLUTIONAL, head).eval()
    images = torch.rand(1, 3, 64, 96)
    whole = network(images)
    again = network(torch.cat([images, torch.rand(1, 3, 64, 96)]))[:1]  # another image in the batch
    torch.testing.assert_close(whole, again, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("head", "model"), [("fpn", "FPN"), ("unet", "Unet"), ("upernet", "UPerNet")])
@pytest.mark.parametrize("backbone", ["resnet18", "convnext_atto"])
def test_pyramid_heads_have_the_structure_of_their_library(head, model, backbone):
    theirs = getattr(smp, model)(f"tu-{backbone}", encoder_weights=None, classes=CLASSES)
    ours = net(backbone, head)
    assert parameters(ours.decoder) == parameters(theirs.decoder) + parameters(theirs.segmentation_head)
    images = torch.rand(1, 3, 64, 64)
    ours.decoder.decoder.load_state_dict(theirs.decoder.state_dict())
    ours.decoder.layer.load_state_dict(theirs.segmentation_head.state_dict())
    own = ours.backbone.model.state_dict()
    theirs.encoder.model.load_state_dict(
        {
            n: own[re.sub(r"^stages_(\d)", r"stages.\1", n).replace("stem_", "stem.")]
            for n in theirs.encoder.model.state_dict()
        }
    )
    ours.eval(), theirs.eval()
    small = theirs.segmentation_head[0](theirs.decoder(theirs.encoder((images - 0.45) / 0.225)))
    found = ours.decoder(ours.decoder.read(ours.backbone, images))
    torch.testing.assert_close(found, small, atol=1e-4, rtol=1e-4)


def test_segformer_and_deeplabv3plus_have_as_many_parameters_as_their_library_s():
    for head, model in (("segformer", smp.Segformer), ("deeplabv3plus", smp.DeepLabV3Plus)):
        theirs = model("tu-resnet18", encoder_weights=None, classes=CLASSES)
        assert parameters(net("resnet18", head)) == parameters(theirs)


def test_dpt_has_as_many_parameters_as_its_library_s():
    theirs = smp.DPT("tu-vit_tiny_patch16_224", encoder_weights=None, classes=CLASSES)
    ours = net("vit_tiny_patch16_224", "dpt")
    assert parameters(ours.decoder) == parameters(theirs.decoder) + parameters(theirs.segmentation_head)
    assert list(ours.decoder.chosen) == [2, 5, 8, 11]


@pytest.mark.parametrize("stride", [None, 8, 16])
def test_deeplabv3_is_the_official_structure(stride):
    ours = net("resnet50", "deeplabv3", output_stride=stride).eval()
    official = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=None)
    assert parameters(ours) == parameters(official)
    assert parameters(ours) == parameters(smp.DeepLabV3("resnet50", encoder_weights=None, classes=CLASSES))
    dilation = {8: [False, True, True], 16: [False, False, True]}[stride or 8]
    theirs = resnet50(replace_stride_with_dilation=dilation).eval()
    theirs.load_state_dict(ours.backbone.model.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 96)
    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1((images - 0.45) / 0.225))))
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        x = stage(x)
    last = ours.backbone(images)[-1]
    assert last.shape[-2:] == (64 // (stride or 8), 96 // (stride or 8))
    torch.testing.assert_close(last, x, atol=1e-3, rtol=1e-3)
    classifier = official.classifier.eval()
    head = {
        k: v
        for (k, _), v in zip(classifier.state_dict().items(), ours.decoder.state_dict().values(), strict=True)
    }
    classifier.load_state_dict(head)
    if stride != 16:  # torchvision's rates are those of stride 8
        found = ours.decoder(ours.decoder.read(ours.backbone, images))
        torch.testing.assert_close(found, classifier(last), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("backbone", [CONVOLUTIONAL, PLAIN, "mobilenetv3_small_050"])
def test_dilation_keeps_the_weights_and_can_be_undone(backbone):
    torch.manual_seed(0)
    plain = Backbone(backbone).eval()
    plain.set_normalisation((0.1, 0.2, 0.3), (1, 2, 3))
    images, before = torch.rand(1, 3, 64, 64), {n: t.clone() for n, t in plain.model.state_dict().items()}
    expected = plain(images)
    plain.dilate(8)
    assert plain.strides[-1] == 8
    assert all(torch.equal(t, before[n]) for n, t in plain.model.state_dict().items())
    again = plain.undilated()
    assert again.strides[-1] == 32
    assert not again.training
    for level, wanted in zip(again(images), expected, strict=True):
        torch.testing.assert_close(level, wanted)
    assert Backbone(backbone).undilated().output_stride is None


def test_a_linear_layer_sees_the_last_blocks():
    assert parameters(net(CONVOLUTIONAL, "linear").decoder) == CLASSES * (96 + 1)
    assert parameters(net(CONVOLUTIONAL, "linear", blocks=3).decoder) == CLASSES * (48 + 192 + 96 + 1)
    network = net(PLAIN, "linear", blocks=4).eval()
    assert parameters(network.decoder) == CLASSES * (4 * 64 + 1)
    images = torch.rand(1, 3, 64, 64)
    features = network.decoder.read(network.backbone, images)
    torch.testing.assert_close(features[-1], network.backbone.last(images))  # after the final norm
    with pytest.raises(ConfigError, match="blocks must be at most 5"):
        net(CONVOLUTIONAL, "linear", blocks=6)


@pytest.mark.parametrize("head", ["deeplabv3", "deeplabv3plus", "upernet"])
def test_one_image_cannot_be_normalised_over(head):
    network = net(CONVOLUTIONAL, head)
    with pytest.raises(OptionError, match="two images or more"):
        network.train()(torch.rand(1, 3, 64, 64))
    assert network.eval()(torch.rand(1, 3, 64, 64)).shape == (1, CLASSES, 64, 64)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "backbone",
    [
        *("vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_small_patch32_224"),
        *(
            "swin_tiny_patch4_window7_224",
            "resnet50",
            "tf_efficientnet_lite0",
            "convnext_tiny",
            "regnetx_002",
        ),
        *("beit_base_patch16_224", "eva02_tiny_patch14_224", "densenet121", "maxvit_rmlp_pico_rw_256"),
        *("hiera_tiny_224", "cait_xxs24_224"),
    ],
)
def test_larger_backbones(backbone, head):
    if head.startswith("deeplab") and backbone.startswith(("swin", "dense", "maxvit", "hiera")):
        with pytest.raises(ConfigError, match="cannot dilate"):
            net(backbone, head)
        return
    logits = net(backbone, head).train()(torch.rand(2, 3, 70, 100))
    assert logits.shape == (2, CLASSES, 70, 100)
    logits.mean().backward()
