"""Cross-view completion as a pre-training task."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geopretrain.data.batches import ClipBatch
from geopretrain.errors import ConfigError
from geopretrain.tasks.pretext.cross_view import PAPER, CrossView, CrossViewConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.weights import export_state, load_state, parse_init

STEP = Step(0, 1)
SMALL = CrossViewConfig(
    backbone="vit_tiny_patch16_224", decoder_width=32, decoder_depth=2, decoder_heads=2, hidden=0.75
)
FAMILIES = ["vit_tiny_patch16_224", "test_resnet"]


def make_task(seed=0, **changes) -> CrossView:
    torch.manual_seed(seed)
    return CrossView.create(replace(SMALL, **changes), parse_init("random"))[0]


def batch(count=2) -> ClipBatch:
    torch.manual_seed(1)
    images = torch.randint(0, 256, (count, 2, 3, 64, 96), dtype=torch.uint8)
    return ClipBatch(images, torch.eye(3).repeat(count, 1, 1), (0, 1), torch.arange(count))


def test_the_registry_knows_the_method_and_it_wants_a_neighbour():
    assert task_class("cross_view") is CrossView
    assert CrossView.required.frames == (0, 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_hidden_is_not_seen_but_the_other_view_is(name):
    task = make_task(backbone=name).eval()
    view, other = task.eval_transform(batch()).images.unbind(1)

    def complete(view, other):
        torch.manual_seed(4)
        with torch.no_grad():
            return task.complete(view, other)

    painted, hidden = complete(view, other)
    assert 0.7 < hidden.mean() < 0.9
    rows = hidden.view(2, 1, 64 // task.patch, 96 // task.patch)
    pixels = rows.repeat_interleave(task.patch, 2).repeat_interleave(task.patch, 3) > 0
    elsewhere = torch.where(pixels, torch.rand_like(view), view)
    assert torch.equal(painted, complete(elsewhere, other)[0])
    assert not torch.allclose(painted, complete(view, torch.rand_like(other))[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_moves_every_part_and_weights_are_kept(name):
    task = make_task(backbone=name)
    loss, _ = task.loss(task.train_transform(batch()), STEP)
    loss.backward()
    for part in (task.encoder.backbone.model, *task.decoder.blocks, task.decoder.head):
        assert sum(p.grad.abs().sum() for p in part.parameters() if p.grad is not None) > 0
    tensors = export_state(task)
    names = {"backbone", "painter"} | ({"mask"} if name == "test_resnet" else set())
    assert {key.split(".")[0] for key in tensors} == names
    load_state(make_task(seed=5, backbone=name), tensors, source="test")
    assert list(task.eval().pictures(batch())) == ["sample_00", "sample_01"]


def test_the_paper_preset():
    assert PAPER.rate(256) == pytest.approx(1.5e-4)
    assert PAPER.warmup(400) == 40


@pytest.mark.parametrize("option", [{"hidden": 1.0}, {"decoder_width": 30}, {"decoder_heads": 5}])
def test_impossible_options_are_refused(option):
    with pytest.raises(ConfigError):
        replace(SMALL, **option)
