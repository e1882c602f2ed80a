"""Masks that leave nothing, or hide nothing, are refused; what is left is right."""

from __future__ import annotations

import pytest
import torch

import geopretrain as gp
from geopretrain.data.dataset import Description
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.networks.hidden_views import HiddenViews
from geopretrain.tasks.registry import task_class
from geopretrain.weights import parse_init


def described(size):
    return Description("images", "somewhere", size, {"train": 4, "val": 1})


def make_task(method, backbone="test_resnet", **options):
    cls = task_class(method)
    torch.manual_seed(0)
    return cls.create(cls.Config(backbone=backbone, **options), parse_init("random"))[0]


@pytest.mark.parametrize("method", ["simmim", "mae", "cross_view"])
@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_everything_and_nothing_are_no_fractions(method, hidden):
    with pytest.raises(ConfigError, match="hidden must be between 0 and 1"):
        task_class(method).Config(hidden=hidden)


@pytest.mark.parametrize(
    ("method", "backbone", "options", "size", "match"),
    [
        ("simmim", "test_resnet", {}, (32, 32), "Of the 1 part .* 1 would be hidden: nothing is left"),
        ("simmim", "test_resnet", {"cell": 512}, (64, 96), "Of the 1 part .*64x96 px"),
        ("simmim", "test_resnet", {"hidden": 0.99}, (64, 96), "Of the 6 parts .* 6 would be hidden"),
        ("simmim", "vit_tiny_patch16_224", {"cell": 128}, (128, 128), "Of the 1 part"),
        ("mae", "vit_tiny_patch16_224", {}, (32, 16), None),
        ("mae", "vit_tiny_patch16_224", {}, (16, 16), "Of the 1 part .* 0 would be hidden: there is nothing"),
        ("mae", "vit_tiny_patch16_224", {"hidden": 1e-17}, (64, 64), "0 would be hidden"),
        ("mae", "vit_tiny_patch16_224", {"hidden": 0.999}, (64, 64), None),
        ("cross_view", "test_resnet", {}, (32, 32), "1 would be hidden"),
        ("cross_view", "test_vit", {}, (32, 32), None),
        ("simmim", "test_resnet", {}, (64, 96), None),
    ],
)
def test_images_too_small_for_their_masks_are_refused(method, backbone, options, size, match):
    task = make_task(method, backbone, **options)
    if match is None:
        task.check_data(described(size))
        return
    with pytest.raises(ConfigError, match=match):
        task.check_data(described(size))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("fraction", [0.3, 0.75, 0.9])
def test_what_is_promised_to_be_hidden_is(name, fraction):
    encoder = HiddenViews(Backbone(name)).eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        _, _, hidden = encoder(images, fraction)
    parts, count = encoder.parts((64, 96), fraction)
    assert hidden.mean().item() == pytest.approx(count / parts)


def test_the_command_says_so_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="nothing is left to paint from"):
        gp.pretrain(
            "simmim",
            data="synthetic:street?frames=6",
            out=tmp_path / "run",
            backbone="test_resnet",
            preset="tiny",
            size=(64, 96),
            settings={"cell": 256},
            device="cpu",
            progress=False,
        )
    assert not (tmp_path / "run").exists()


def test_so_many_rectangles_that_nothing_is_left_are_refused():
    with pytest.raises(ConfigError, match="rectangles must be at most 64"):
        task_class("inpainting").Config(holes="rectangles", rectangles=5000)
