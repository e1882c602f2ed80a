"""MoCo and DINO as pre-training tasks."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from geopretrain.data.batches import ClipBatch, LabelledBatch, ViewBatch
from geopretrain.data.dataset import Description
from geopretrain.errors import ConfigError
from geopretrain.metrics.embeddings import rank_me, spread
from geopretrain.tasks.pretext import dino, moco
from geopretrain.tasks.pretext.dino import DINOConfig, local_size
from geopretrain.tasks.pretext.moco import MoCoConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.tasks.validation import LossValidation
from geopretrain.weights import export_state, load_state, parse_init

STEP = Step(50, 100)
CONFIGS = {
    "moco": MoCoConfig(backbone="test_resnet", queue=8, width=16),
    "dino": DINOConfig(backbone="test_resnet", outputs=32, local_views=2),
}


def make_task(name, seed=0, **changes):
    torch.manual_seed(seed)
    return task_class(name).create(replace(CONFIGS[name], **changes), parse_init("random"))[0]


def images(count=4) -> LabelledBatch:
    torch.manual_seed(1)
    values = torch.randint(0, 256, (count, 3, 64, 96), dtype=torch.uint8)
    return LabelledBatch(values, None, torch.arange(count))


def clips(count=2) -> ClipBatch:
    frames = torch.zeros(count, 2, 3, 64, 96, dtype=torch.uint8)
    frames[:, 1] = 80  # what is darker than 128 is not solarised
    return ClipBatch(frames, torch.eye(3).repeat(count, 1, 1), (0, 1), torch.arange(count))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_trains_the_encoder_and_the_other_one_follows(name):
    task = make_task(name)
    before = copy.deepcopy(task.state_dict())
    optimiser = torch.optim.SGD(task.parameter_groups(0.1)[0]["params"], lr=0.1)
    loss, logs = task.loss(task.train_transform(images()), STEP)
    loss.backward()
    optimiser.step()
    task.after_step(STEP)
    assert all(value.shape == () and not value.requires_grad for value in logs.values())
    after, other = task.state_dict(), {"moco": "key_encoder", "dino": "teacher"}[name]
    momentum = {"moco": 0.999, "dino": 1 - (1 - 0.996) * (1 + math.cos(math.pi * 50 / 100)) / 2}[name]
    moved = 0
    for inside, value in after.items():
        if inside.startswith("encoder.model.") and inside.endswith("weight"):
            slow = inside.replace("encoder", other, 1)
            expected = before[slow] * momentum + value * (1 - momentum)
            assert torch.allclose(after[slow], expected, atol=1e-6)
            moved += int(not torch.equal(value, before[inside]))
    assert moved > 5
    slow_parameters = dict(task.named_parameters())
    assert not any(p.requires_grad for n, p in slow_parameters.items() if n.startswith(other))


@pytest.mark.parametrize("name", CONFIGS)
def test_validating_changes_nothing(name):
    task = make_task(name).eval()
    state = copy.deepcopy((task.state_dict(), task.training_state()))
    with torch.no_grad():
        first = LossValidation(task, 0)
        first.update(images())
        second = LossValidation(task, 0)
        second.update(images())
    assert first.compute() == second.compute()
    for before, after in zip(state, (task.state_dict(), task.training_state()), strict=True):
        assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", CONFIGS)
def test_views_follow_torchs_seed_and_leave_numpys_random_numbers_alone(name):
    task, data = make_task(name), images()
    state = np.random.get_state()[1].copy()
    torch.manual_seed(5)
    first = task.train_transform(data)
    torch.manual_seed(5)
    second = task.train_transform(data)
    assert all(torch.equal(a, b) for a, b in zip(first.views, second.views, strict=True))
    assert np.array_equal(state, np.random.get_state()[1])
    assert all(view.min() >= 0 and view.max() <= 1 for view in first.views)
    assert first.views[0].shape == (4, 3, 64, 96)


def test_time_is_a_view():
    for name in CONFIGS:
        task = make_task(name, views="time")
        assert task.required.frames == (0, 1)
        first, second = task.train_transform(clips()).views[:2]
        assert first.max() == 0
        assert second.min() > 0
        assert make_task(name).required.frames == (0,)


def test_moco_is_the_cross_entropy_of_the_own_key_among_the_queue():
    task = make_task("moco").eval()
    data = task.eval_transform(images())
    with torch.no_grad():
        loss, logs = task.loss(data, STEP)
        query = functional.normalize(task.head(task.encoder.embed(data.views[0])), dim=1)
        key = functional.normalize(task.key_head(task.key_encoder.embed(data.views[1])), dim=1)
        logits = torch.cat([(query * key).sum(1, keepdim=True), query @ task.queue.T], 1) / 0.2
    expected = functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert logs["accuracy"].item() == (logits.argmax(1) == 0).float().mean().item()


def test_mocos_queue_takes_the_keys_and_survives_a_checkpoint():
    task = make_task("moco")
    data = task.train_transform(images())
    task.loss(data, STEP)
    state = copy.deepcopy(task.training_state())
    assert state["queue_place"].item() == 4
    assert torch.allclose(state["queue"][:4].norm(dim=1), torch.ones(4))
    other = make_task("moco", seed=3)
    other.load_training_state(state)
    assert torch.equal(other.queue, task.queue)


@pytest.mark.parametrize(("queue", "batch"), [(10, 4), (6, 4), (4, 4), (3, 4), (1, 1), (8, 1)])
def test_a_queue_that_batches_do_not_divide_holds_the_newest_keys_in_turn(queue, batch):
    """It is filled from the front; a batch that reaches its end fills what is left, and it begins anew."""
    task = make_task("moco", queue=queue)
    place, expected = 0, task.queue.clone()
    for number in range(4):
        data = task.train_transform(images(max(batch, 2)))
        data = ViewBatch(tuple(view[:batch] for view in data.views), data.index[:batch])
        with torch.no_grad():
            keys = functional.normalize(task.key_head(task.key_encoder.embed(data.views[1])), dim=1)
        loss, logs = task.loss(data, Step(number, 4))
        assert torch.isfinite(loss)
        room = queue - place
        expected[place : place + min(batch, room)] = keys[:room]
        place = 0 if batch >= room else place + batch
        assert task.training_state()["queue_place"].item() == place
        assert logs["queue_turns"].item() == pytest.approx(4 * batch / queue)
    torch.testing.assert_close(task.queue, expected)


def test_a_queue_too_long_for_the_training_or_its_images_is_told(caplog):
    task = make_task("moco", queue=1000)
    described = Description("images", "x", (64, 96), {"train": 200, "val": 2})
    assert "makes keys for 40% of the queue only" in task.diagnostics({"queue_turns": 0.4}, 1)[0]
    assert task.diagnostics({"queue_turns": 3.0}, 500) == []
    task.check_data(described)  # before the first step
    task.check_data(described)
    assert [r for r in caplog.messages if "longer than the 200 training samples" in r] == caplog.messages[:1]


def test_one_sample_has_no_spread_to_be_judged_by():
    for name in CONFIGS:
        task = make_task(name)
        views = task.train_transform(images(2)).views
        _, logs = task.loss(ViewBatch(tuple(v[:1] for v in views), torch.arange(1)), STEP)
        assert "spread" not in logs


def test_dino_without_local_views_compares_both_global_ones():
    task = make_task("dino", local_views=0).eval()
    data = task.eval_transform(images())
    assert len(data.views) == 2
    with torch.no_grad():
        loss, _ = task.loss(data, STEP)
        students = task.head(task.encoder.embed(torch.cat(data.views))).chunk(2)
        teachers = task.teacher_head(task.teacher.embed(torch.cat(data.views))).chunk(2)
        terms = [
            -(torch.softmax((t - task.criterion.center[0]) / 0.07, 1) * torch.log_softmax(s / 0.1, 1)).sum(1)
            for t, s in ((teachers[0], students[1]), (teachers[1], students[0]))
        ]
    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)


def test_dino_with_a_single_output_is_refused():
    with pytest.raises(ConfigError, match="outputs must be at least 2, not 1"):
        DINOConfig(outputs=1)


def test_dino_is_the_cross_entropy_of_other_views():
    task = make_task("dino").eval()
    task.criterion.center.copy_(torch.rand(1, 1, 32))
    data = task.eval_transform(images())
    with torch.no_grad():
        loss, _ = task.loss(data, STEP)
        wide, small = torch.cat(data.views[:2]), torch.cat(data.views[2:])
        students = [
            *task.head(task.encoder.embed(wide)).chunk(2),
            *task.head(task.encoder.embed(small)).chunk(2),
        ]
        teachers = task.teacher_head(task.teacher.embed(wide)).chunk(2)
        terms = [
            -(torch.softmax((t - task.criterion.center[0]) / 0.07, 1) * torch.log_softmax(s / 0.1, 1)).sum(1)
            for i, t in enumerate(teachers)
            for j, s in enumerate(students)
            if i != j
        ]
    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)


def test_dinos_schedules_and_its_resting_last_layer():
    task = make_task("dino")
    temperatures = [task.temperature(Step(i, 100)) for i in (0, 15, 30, 99)]
    assert temperatures == pytest.approx([0.04, 0.055, 0.07, 0.07])
    data = task.train_transform(images())
    task.loss(data, Step(0, 1000))[0].backward()
    assert task.head.last_layer.weight_v.grad is None
    task.loss(data, Step(10, 1000))[0].backward()
    assert task.head.last_layer.weight_v.grad.abs().sum() > 0
    assert local_size((224, 224)) == (96, 96)
    assert local_size((64, 96)) == (32, 32)


def test_collapse_is_told():
    for task in (make_task("moco"), make_task("dino")):
        assert "collapsed" in task.diagnostics({"spread": 0.01}, 500)[0]
        assert task.diagnostics({"spread": 0.01}, 5) == []
        assert "diverged" in task.diagnostics({"loss": math.nan}, 5)[0]
    assert "same output" in make_task("dino").diagnostics({"mean_entropy": 0.0}, 500)[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_saved_names_and_pictures(name):
    task = make_task(name).eval()
    tensors = export_state(task)
    load_state(make_task(name, seed=5), tensors, source="test")
    assert any(name.startswith("backbone.layer1.") for name in tensors)
    assert list(task.pictures(images(2))) == ["sample_00", "sample_01"]


def test_the_paper_presets():
    assert moco.PAPER.rate(256) == pytest.approx(0.03)
    assert dino.PAPER.rate(1024) == pytest.approx(2e-3)
    assert dino.PAPER.warmup(100) == 10


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_other_backbones(name, backbone):
    task = make_task(name, backbone=backbone)
    loss, _ = task.loss(task.train_transform(images(2)), STEP)
    loss.backward()
    assert torch.isfinite(loss)


def test_rank_me_counts_dimensions():
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.rand(64, 64, dtype=torch.float64))[0]
    assert rank_me(basis) == pytest.approx(64, rel=1e-3)
    assert rank_me(basis[:, :5] @ torch.linalg.qr(torch.rand(5, 5, dtype=torch.float64))[0]) == pytest.approx(
        5, rel=1e-3
    )
    assert rank_me(torch.ones(10, 7)) == pytest.approx(1, rel=1e-3)
    assert spread(torch.ones(10, 7)).item() == pytest.approx(0, abs=1e-6)
    assert spread(torch.randn(1000, 64)).item() == pytest.approx(1, abs=0.05)


def test_impossible_options_are_refused():
    for config in (MoCoConfig, DINOConfig):
        with pytest.raises(ConfigError):
            config(views="sound")


def test_a_batch_of_views_moves_and_counts():
    batch = ViewBatch((torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 2, 2)), torch.arange(2))
    assert len(batch) == 2
    assert batch.to("meta").views[1].device.type == "meta"
