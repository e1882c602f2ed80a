"""Inpainting as a pre-training task."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError
from geopretrain.tasks.pretext import inpainting
from geopretrain.tasks.pretext.inpainting import (
    PAPER,
    Inpainting,
    InpaintingConfig,
    rectangular_holes,
    square_holes,
)
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.weights import export_state, parse_init

STEP = Step(0, 1)
SMALL = InpaintingConfig(backbone="test_resnet")


def make_task(config=SMALL) -> Inpainting:
    torch.manual_seed(0)
    return Inpainting.create(config, parse_init("random"))[0]


def batch(count=2) -> LabelledBatch:
    torch.manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 64, 96), dtype=torch.uint8)
    return LabelledBatch(images, None, torch.arange(count))


def test_the_registry_knows_the_method():
    assert task_class("inpainting") is Inpainting


def test_square_holes_hide_what_their_number_says():
    torch.manual_seed(0)
    hidden = square_holes(400, (64, 96)).float().mean((1, 2, 3))
    least, largest = (1 - (1 - p) ** 49 for p in (0.001, 0.01))  # a pixel is seen if none of 49 is a middle
    assert least == pytest.approx(0.05, abs=0.005)
    assert largest == pytest.approx(0.39, abs=0.005)
    assert hidden.min() > least - 0.04
    assert hidden.max() < largest + 0.1  # few holes in a small image: chance
    assert hidden.mean().item() == pytest.approx((least + largest) / 2, abs=0.03)


def test_a_square_hole_is_seven_pixels_wide(monkeypatch):
    monkeypatch.setattr(inpainting, "MIDDLES", (5e-5, 5e-5))
    torch.manual_seed(0)
    alone = [hole for hole in square_holes(50, (100, 100))[:, 0] if 0 < hole.sum() <= 49]
    assert len(alone) > 5
    for hole in alone:
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns[None])
        assert max(rows.sum(), columns.sum()) == 7


def test_rectangles_are_rectangles():
    torch.manual_seed(0)
    for hole in rectangular_holes(20, (40, 60), 1)[:, 0]:
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns[None])
        assert 0.005 < hole.float().mean() < 0.08


def test_the_loss_is_the_error_of_all_scales():
    task = make_task(replace(SMALL, scales=1)).eval()
    data = task.eval_transform(batch())
    torch.manual_seed(3)
    loss, logs = task.loss(data, STEP)
    torch.manual_seed(3)
    holes = task.cut(data.images)
    restored = task.restore(data.images, holes)[0]
    assert loss.item() == pytest.approx((restored - data.images).abs().mean().item(), rel=1e-5)
    inside = (restored - data.images).abs()[holes.expand(-1, 3, -1, -1)].mean()
    assert logs["hole_l1"].item() == pytest.approx(inside.item(), rel=1e-5)


def test_the_weights_of_the_scales():
    errors = [torch.tensor(1.0)] * 4
    assert make_task()._weights(errors).tolist() == pytest.approx([64 / 85, 16 / 85, 4 / 85, 1 / 85])
    released = make_task(replace(SMALL, as_released=True))._weights(errors)
    assert released.tolist() == [1 / 64, 1 / 16, 1 / 4, 1]


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("holes", ["squares", "rectangles"])
def test_a_step_moves_every_part(name, holes):
    task = make_task(InpaintingConfig(backbone=name, holes=holes, over="holes"))
    loss, _ = task.loss(task.train_transform(batch()), STEP)
    loss.backward()
    for part in (task.encoder.model, task.decoder):
        assert sum(p.grad.abs().sum() for p in part.parameters() if p.grad is not None) > 0


def test_what_is_in_the_holes_is_not_seen():
    task = make_task().eval()
    images = task.eval_transform(batch()).images
    holes = square_holes(2, (64, 96))
    other = torch.where(holes, torch.rand(2, 3, 64, 96), images)
    assert torch.equal(task.restore(images, holes)[0], task.restore(other, holes)[0])


def test_saved_names_pictures_and_the_paper_preset():
    task = make_task().eval()
    assert {name.split(".")[0] for name in export_state(task)} == {"backbone", "decoder"}
    assert list(task.pictures(batch())) == ["sample_00", "sample_01"]
    assert [PAPER.lr * learning_rate_factor(e, 50, PAPER.schedule) for e in (24, 25)] == [1e-4, 5e-5]


@pytest.mark.parametrize("option", [{"holes": "round"}, {"over": "x"}, {"scales": 5}, {"rectangles": 0}])
def test_impossible_options_are_refused(option):
    with pytest.raises(ConfigError):
        InpaintingConfig(**option)
