"""Detectors on every family of backbones: shapes, targets, pasting, and torchvision's structure."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes

from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.networks.detection_net import DetectionNet, paste_masks
from geopretrain.networks.feature_pyramid import PyramidNetwork, SimplePyramid

FAMILIES = {
    "resnet18": PyramidNetwork,
    "tf_efficientnet_lite0": PyramidNetwork,
    "convnext_atto": PyramidNetwork,
    "geopretrain_swinv2_mini": PyramidNetwork,
    "vit_tiny_patch16_224": SimplePyramid,
    "vit_small_patch14_dinov2": SimplePyramid,
}


def small(name="resnet18", masks=True, **more):
    torch.manual_seed(0)
    return DetectionNet(Backbone(name), 3, masks=masks, anchor=8, channels=16, regions=16, **more)


def targets(size):
    none = torch.zeros(0, dtype=torch.int64)
    masks = torch.zeros(2, *size, dtype=torch.bool)
    masks[0, 8:30, 4:40] = masks[1, 10:60, 50:90] = True
    boxes = torch.tensor([[4.0, 8, 40, 30], [50, 10, 90, 60]])
    return [
        {"boxes": boxes, "labels": torch.tensor([0, 2]), "masks": masks},
        {"boxes": torch.zeros(0, 4), "labels": none, "masks": torch.zeros(0, *size, dtype=torch.bool)},
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_one_step_and_one_prediction_of_each_family(name):
    net, size = small(name), (70, 100)  # no multiple of any stride
    assert type(net.pyramid) is FAMILIES[name]
    levels = net.pyramid(net.backbone, torch.rand(1, 3, 96, 128))
    assert [tuple(level.shape[1:]) for level in levels.values()] == [
        (16, 24, 32), (16, 12, 16), (16, 6, 8), (16, 3, 4), (16, 2, 2)
    ]  # fmt: skip
    losses = net.train().losses(torch.rand(2, 3, *size), targets(size))
    assert set(losses) == {
        "loss_objectness",
        "loss_rpn_box_reg",
        "loss_classifier",
        "loss_box_reg",
        "loss_mask",
    }
    torch.stack(list(losses.values())).sum().backward()
    for part in (net.pyramid, net.rpn, net.heads):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in part.parameters())
    assert next(net.backbone.model.parameters()).grad.abs().sum() > 0
    with torch.no_grad():
        for one in net.eval()(torch.rand(2, 3, *size)):
            assert one["masks"].shape == (len(one["boxes"]), *size)
            assert one["labels"].min() >= 0
            assert one["labels"].max() < 3
            assert (one["boxes"] >= 0).all()
            assert (one["boxes"] <= torch.tensor([100.0, 70, 100, 70])).all()


def test_images_are_normalised_once_and_by_the_backbone():
    net = small()
    net.backbone.set_normalisation((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    seen = []
    net.backbone.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net.backbone.model.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        net.eval()(images)
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    assert torch.allclose(seen[-1], (images - mean) / std)


def test_without_masks_there_are_none():
    net = small(masks=False)
    wanted = [{name: one[name] for name in ("boxes", "labels")} for one in targets((64, 96))]
    assert "loss_mask" not in net.train().losses(torch.rand(2, 3, 64, 96), wanted)
    with torch.no_grad():
        assert "masks" not in net.eval()(torch.rand(1, 3, 64, 96))[0]


def test_pyramid_and_heads_are_as_large_as_torchvisions():
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    ours = DetectionNet(Backbone("resnet50"), 90)

    def count(*modules):
        return sum(p.numel() for module in modules for p in module.parameters())

    assert count(ours.pyramid) == count(theirs.backbone.fpn)
    assert count(ours.rpn) == count(theirs.rpn)
    assert count(ours.heads) == count(theirs.roi_heads)
    sizes = ours.rpn.anchor_generator.sizes
    assert sizes == ((32,), (64,), (128,), (256,), (512,)) == theirs.rpn.anchor_generator.sizes


def test_masks_cut_out_as_torchvision_does_and_pasted_are_the_same_again():
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    masks = torch.stack(
        [
            (y - 30) ** 2 + (x - 40) ** 2 < 144,
            (y >= 5) & (y < 20) & (x >= 10) & (x < 18),
            (y - 50) ** 2 / 25 + (x - 80) ** 2 / 36 < 1,
        ]
    )
    ends = [mask.nonzero().unbind(1) for mask in masks]
    boxes = torch.stack([torch.stack([c.min(), r.min(), c.max() + 1, r.max() + 1]) for r, c in ends]).float()
    cut = project_masks_on_boxes(masks.to(torch.uint8), boxes, torch.arange(3), 28)
    assert torch.equal(paste_masks(cut, boxes, (64, 96)), masks)
    assert not torch.equal(paste_masks_in_image(cut[:, None], boxes, (64, 96))[:, 0] > 0.5, masks)


def test_masks_of_boxes_at_and_over_the_border_are_pasted():
    boxes = torch.tensor([[90.0, 60, 110, 70], [95.7, 3, 96, 9], [-4, -3, 3, 2]])
    pasted = paste_masks(torch.ones(3, 28, 28), boxes, (64, 96))
    assert pasted[0, 60:, 90:].all()
    assert pasted[0].sum() == 4 * 6
    assert pasted[1].sum() == 6
    assert pasted[2].sum() == 6
    assert paste_masks(torch.ones(0, 28, 28), torch.zeros(0, 4), (64, 96)).shape == (0, 64, 96)


def test_a_backbone_without_the_levels_is_refused():
    class Levels(torch.nn.Module):
        name, strides, channels, is_plain_transformer = "two_levels", [8, 16], [4, 8], False

    with pytest.raises(ConfigError, match=r"two_levels has features at the strides 8, 16; .* 4, 32"):
        DetectionNet(Levels(), 2)


def test_boxes_are_computed_in_full_precision_also_under_autocast():
    net = small()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = net.train().losses(torch.rand(1, 3, 64, 96), targets((64, 96))[:1])
        assert all(value.dtype == torch.float32 for value in losses.values())
        with torch.no_grad():
            (found,) = net.eval()(torch.rand(1, 3, 64, 96))
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32
