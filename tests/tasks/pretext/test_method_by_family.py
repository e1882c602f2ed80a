"""Every pre-training method makes a real step on every family of backbones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from geopretrain.data.batches import ClipBatch, LabelledBatch
from geopretrain.errors import ConfigError
from geopretrain.tasks.base import Task
from geopretrain.tasks.registry import PRETEXTS, task_class
from geopretrain.tasks.step import Step
from geopretrain.weights import parse_init

FAMILIES = (
    "resnet18",
    "tf_efficientnet_lite0",
    "convnext_tiny",
    "mobilenetv3_small_100",
    "swinv2_cr_tiny_ns_224",
    "swinv2_tiny_window8_256",
    "vit_small_patch16_224",
    "vit_small_patch14_dinov2",
)
OPTIONS: dict[str, dict[str, Any]] = {
    "moco": {"queue": 16},
    "dino": {"outputs": 64, "local_views": 1},
    "classification": {"class_names": ("a", "b")},
}
OWN = [name for name, place in PRETEXTS.items() if place.startswith("geopretrain.")]
IMPOSSIBLE = {("mae", family) for family in FAMILIES if not family.startswith("vit")}
"""MAE computes on a part of an image, which only a plain transformer can; the error says so."""


def clips(frames: tuple[int, ...], size: tuple[int, int] = (64, 64)) -> ClipBatch:
    """Return two clips of a moving texture, with depth."""
    torch.manual_seed(0)
    height, width = size
    texture = torch.rand(2, 3, height, width + 8)
    images = torch.stack([texture[..., 4 + time : 4 + time + width] for time in frames], 1)
    camera = torch.tensor([[60.0, 0, 31.5], [0, 60.0, 31.5], [0, 0, 1]]).repeat(2, 1, 1)
    depth = 1 + 9 * torch.rand(2, 1, height, width)
    images = (images * 255).to(torch.uint8)
    return ClipBatch(images, camera, frames, torch.arange(2), depth=depth)


def labelled(size: tuple[int, int] = (64, 64)) -> LabelledBatch:
    """Return two images with a class each, and class maps."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    maps = torch.randint(0, 2, (2, *size))
    return LabelledBatch(images, maps, torch.arange(2), image_labels=torch.arange(2))


def make_task(method: str, family: str) -> Task:
    cls = task_class(method)
    torch.manual_seed(0)
    return cls.create(cls.Config(backbone=family, **OPTIONS.get(method, {})), parse_init("random"))[0].train()


def check_step(task: Task, size: tuple[int, int] = (64, 64)) -> None:
    """Make a step's gradients and look at them."""
    supervised = {"labels", "image_labels"} & set(task.required.names)
    batch = labelled(size) if supervised else clips(task.required.frames, size)
    loss, _ = task.loss(task.train_transform(batch), Step(5, 10))
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in task.backbone.model.parameters() if p.grad is not None]
    assert sum(gradient.abs().sum() for gradient in gradients) > 0
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", OWN)
def test_a_step(method, family):
    if (method, family) in IMPOSSIBLE:
        with pytest.raises(ConfigError, match="simmim"):
            make_task(method, family)
        return
    check_step(make_task(method, family))


@pytest.mark.parametrize("method", OWN)
def test_a_step_on_images_of_an_odd_size(method):
    check_step(make_task(method, "test_vit" if method == "mae" else "test_resnet"), size=(75, 101))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["swinv2_tiny_window8_256", "vit_small_patch14_dinov2"])
@pytest.mark.parametrize("method", OWN)
def test_a_step_of_transformers_on_images_of_an_odd_size(method, family):
    if (method, family) not in IMPOSSIBLE:
        check_step(make_task(method, family), size=(75, 101))
