"""Every pre-training method makes a real step on every family of backbones."""

from __future__ import annotations

import math
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
    "resnet50",
    "tf_efficientnet_lite0",
    "convnext_tiny",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
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


JUDGED_BY = {
    "simmim": "hidden_l1",
    "mae": "hidden_mse",
    "cross_view": "hidden_mse",
    "inpainting": "hole_l1",
    "moco": "accuracy",
    "dino": "teacher_entropy",
    "classification": "accuracy",
    "segmentation": "pixel_accuracy",
}
"""What a method logs beside its loss, so that a person sees whether it learns."""


@pytest.mark.parametrize("method", OWN)
def test_every_method_can_be_judged_while_it_trains(method):
    task = make_task(method, "test_vit" if method == "mae" else "test_resnet")
    supervised = {"labels", "image_labels"} & set(task.required.names)
    batch = labelled() if supervised else clips(task.required.frames)
    _, logs = task.loss(task.train_transform(batch), Step(5, 10))
    assert all(torch.isfinite(value).all() and not value.requires_grad for value in logs.values())
    assert JUDGED_BY.get(method, next(iter(logs))) in logs
    task.eval()
    with torch.no_grad():
        validation = task.validation(0)
        validation.update(batch)
        pictures = task.pictures(batch)
    numbers = validation.compute()
    assert numbers["samples"] == 2
    assert math.isfinite(numbers["loss"])
    assert numbers["rank_me"] >= 1
    assert validation.protocol
    assert len(pictures) == 2
    assert all(picture.dtype == "uint8" and picture.ndim == 3 for picture in pictures.values())
    assert isinstance(task.diagnostics({name: float("nan") for name in logs}, 500)[0], str)


@pytest.mark.parametrize("method", ["moco", "dino"])
def test_neighbours_in_time_are_views_and_train(method):
    torch.manual_seed(0)
    cls = task_class(method)
    config = cls.Config(backbone="test_resnet", views="time", **OPTIONS[method])
    task = cls.create(config, parse_init("random"))[0].train()
    assert task.required.frames == (0, 1)
    check_step(task)
