"""Supervised depth as a task: its loss by hand, its meanings, convergence on synthetic worlds."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geopretrain import losses
from geopretrain.data.batches import ClipBatch
from geopretrain.data.store.pseudo_depth import PseudoDepthInfo
from geopretrain.errors import ConfigError
from geopretrain.synthetic import make_world
from geopretrain.tasks.diagnostics import SETTLED_AFTER
from geopretrain.tasks.pretext.depth_supervised import DepthSupervised, DepthSupervisedConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.weights import export_state, parse_init, save_weights

STEP = Step(0, 1)

SMALL = DepthSupervisedConfig(backbone="test_resnet")


def make_task(seed=0, **options) -> DepthSupervised:
    torch.manual_seed(seed)
    return DepthSupervised.create(replace(SMALL, **options), parse_init("random"))[0]


def random_batch(count=2, height=64, width=96, seed=0) -> ClipBatch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 3, height, width, generator=generator)
    depth = 1 + 9 * torch.rand(count, 1, height, width, generator=generator)
    depth[torch.rand(depth.shape, generator=generator) < 0.9] = 0  # as sparse as LiDAR
    return ClipBatch(images, torch.eye(3).repeat(count, 1, 1), (0,), torch.arange(count), depth=depth)


def test_the_registry_knows_the_method_and_what_it_needs():
    assert task_class("depth_supervised") is DepthSupervised
    assert make_task().required.names == ("depth",)
    assert make_task(target="pseudo_depth").required.names == ("pseudo_depth",)
    assert make_task().required.frames == (0,)


def test_patches_keep_pictures_and_depth_together():
    task, whole = make_task(crop=64, flip=0.0, jitter=0.0), random_batch(height=96, width=128)
    torch.manual_seed(1)
    batch = task.train_transform(whole)
    assert batch.images.shape[-2:] == batch.depth.shape[-2:] == (64, 64)
    moved = (whole.intrinsics - batch.intrinsics)[:, :2, 2].round().long().tolist()
    for i, (left, top) in enumerate(moved):
        assert torch.equal(whole.depth[i, ..., top : top + 64, left : left + 64], batch.depth[i])
    assert task.loss(batch, STEP)[0].isfinite()
    assert task.eval_transform(whole).images.shape[-2:] == (96, 128)
    with pytest.raises(ConfigError, match="crop must be 0 or at least 64, not 50"):
        make_task(crop=50)


def test_the_loss_is_the_weighted_mean_of_l1_over_scales_at_full_size():
    task, batch = make_task().eval(), random_batch()
    loss, logs = task.loss(batch, STEP)
    valid, expected = batch.depth > 0, 0.0
    for scale, sigmoid in enumerate(task.depth_net(batch.images[:, 0])):
        whole = torch.nn.functional.interpolate(sigmoid, (64, 96), mode="bilinear")
        depth = 1 / (0.01 + 9.99 * whole)
        expected += (depth - batch.depth)[valid].abs().mean().item() / 2**scale
        if scale == 0:
            relative = ((depth - batch.depth).abs()[valid] / batch.depth[valid]).mean().item()
    assert loss.item() == pytest.approx(expected / 1.875, rel=1e-5)
    assert logs["abs_rel"].item() == pytest.approx(relative, rel=1e-5)
    assert logs["valid_fraction"].item() == pytest.approx(valid.float().mean().item())


def test_the_released_mean_divides_by_all_pixels():
    batch = random_batch()
    ours, _ = make_task().eval().loss(batch, STEP)
    released, _ = make_task(mean_over="all_pixels").eval().loss(batch, STEP)
    share = (batch.depth > 0).float().mean().item()
    assert released.item() == pytest.approx(share * ours.item(), rel=1e-5)


def test_only_pixels_with_a_target_matter_and_far_ones_count_as_max_depth():
    task, batch = make_task().eval(), random_batch()
    depth = batch.depth.clone()
    depth[:, :, :8] = 500.0
    far, logs = task.loss(replace(batch, depth=depth), STEP)
    depth[:, :, :8] = 100.0
    clamped, _ = task.loss(replace(batch, depth=depth), STEP)
    assert far.item() == pytest.approx(clamped.item())
    assert logs["beyond_fraction"] > 0.1


def test_smoothness_adds_to_the_loss():
    batch = random_batch()
    plain, _ = make_task(scales=1).eval().loss(batch, STEP)
    task = make_task(scales=1, smoothness=2.0).eval()
    smoothed, _ = task.loss(batch, STEP)
    disparity = task.predict(batch.images[:, 0]).disparity
    term = losses.edge_aware_smoothness(losses.mean_normalised(disparity), batch.images[:, 0])
    assert smoothed.item() == pytest.approx(plain.item() + 2 * term.item(), rel=1e-4)


@pytest.mark.parametrize("loss", ["ssi", "ssi_trimmed", "affine"])
def test_relative_losses_ignore_the_scale_of_measured_depth_and_work_in_disparity(loss):
    task, batch = make_task(loss=loss).eval(), random_batch()
    first, logs = task.loss(batch, STEP)
    assert "abs_rel" not in logs
    assert task.depth_meaning == "scale_shift"
    exact = 1 / task.predict(batch.images[:, 0]).disparity.detach()
    zero, _ = make_task(loss=loss, scales=1).eval().loss(replace(batch, depth=7 * exact), STEP)
    assert zero.item() < 0.01 * first.item()


def store_with(quantity, meaning):
    return SimpleNamespace(path="store", pseudo_depth=PseudoDepthInfo("tutor", quantity, meaning))


@pytest.mark.parametrize(
    ("quantity", "meaning", "of_disparity"),
    [
        ("disparity", "scale_shift", lambda q: 3 * q + 1),
        ("depth", "scale_shift", lambda q: 3 / q + 1),
        ("depth", "scale", lambda q: 3 / q),
    ],
)
def test_a_teachers_maps_are_compared_in_the_quantity_they_are_known_in(quantity, meaning, of_disparity):
    task = make_task(loss="ssi", target="pseudo_depth", scales=1).eval()
    task.check_data(store_with(quantity, meaning))
    batch = random_batch()
    disparity = task.predict(batch.images[:, 0]).disparity.detach()
    loss, _ = task.loss(replace(batch, depth=None, pseudo_depth=of_disparity(disparity)), STEP)
    assert loss.item() == pytest.approx(0, abs=2e-4)


def test_a_loss_in_metres_refuses_a_teacher_without_scale():
    task = make_task(target="pseudo_depth")
    task.check_data(store_with("depth", "metric"))
    with pytest.raises(ConfigError, match="loss=l1 needs depth"):
        task.check_data(store_with("disparity", "scale_shift"))


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ({}, "metric"),
        ({"loss": "silog"}, "metric"),
        ({"target": "pseudo_depth"}, "scale"),
        ({"loss": "affine"}, "scale_shift"),
    ],
)
def test_a_run_says_what_its_depth_means(options, meaning):
    assert make_task(**options).depth_meaning == meaning


@pytest.mark.parametrize("loss", ["l1", "silog", "ssi", "ssi_trimmed", "affine"])
def test_empty_targets_give_no_nan_and_are_said(loss):
    task, batch = make_task(loss=loss), random_batch()
    value, logs = task.loss(replace(batch, depth=torch.zeros_like(batch.depth)), STEP)
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
    (sentence,) = task.diagnostics({name: v.item() for name, v in logs.items()}, 1)
    assert "100% of the samples have no pixel with a target" in sentence


HEALTHY = {
    "loss": 1.0,
    "abs_rel": 0.2,
    "empty_fraction": 0.0,
    "beyond_fraction": 0.01,
    "disparity_spread": 0.4,
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loss": float("nan")}, "Not a number in loss at step 500"),
        ({"empty_fraction": 0.2}, "20% of the samples have no pixel"),
        ({"beyond_fraction": 0.9}, "90% of the targets lie beyond max_depth (100)"),
        ({"disparity_spread": 0.001}, "collapsed to one depth"),
    ],
)
def test_every_illness_gets_one_sentence(change, sentence):
    task = make_task()
    assert task.diagnostics(HEALTHY, 500) == []
    (found,) = task.diagnostics(HEALTHY | change, 500)
    assert sentence in found
    early = task.diagnostics(HEALTHY | change, SETTLED_AFTER - 1)
    assert bool(early) == ("disparity_spread" not in change)


def test_bfloat16_changes_the_loss_little():
    task, batch = make_task().eval(), random_batch()
    exact, _ = task.loss(batch, STEP)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, _ = task.loss(batch, STEP)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)


def test_pictures_show_frame_prediction_and_target_with_gaps():
    task, batch = make_task().eval(), random_batch()
    depth = torch.full_like(batch.depth, 2.0)
    depth[1, 0, 10:30] = 0
    batch = replace(batch, depth=depth)
    rows = task.pictures(replace(batch, images=(batch.images * 255).to(torch.uint8)))
    assert list(rows) == ["sample_00", "sample_01"]
    target = rows["sample_01"][-64:, -96:]
    gaps = (batch.depth[1, 0] == 0).numpy()
    assert (target[gaps] == 128).all()


def test_saved_names_and_impossible_options():
    assert {name.split(".")[0] for name in export_state(make_task())} == {"backbone", "decoder"}
    for options in ({"loss": "l2"}, {"target": "dept"}, {"scales": 0}, {"min_depth": 0}, {"silog_focus": 2}):
        with pytest.raises(ConfigError):
            replace(SMALL, **options)
    with pytest.raises(ConfigError, match="belongs to loss=l1"):
        replace(SMALL, loss="silog", mean_over="all_pixels")
    with pytest.raises(ConfigError, match="read it with task"):
        make_task().loss(replace(random_batch(), depth=None), STEP)


def street(seed: int, frames: int) -> ClipBatch:
    world = make_world("street", seed, frames, size=(64, 96))
    made = [world.frame(i) for i in range(frames)]
    images = torch.from_numpy(np.stack([frame.image for frame in made])).permute(0, 3, 1, 2).float() / 255
    depth = torch.from_numpy(np.stack([frame.depth for frame in made]).astype(np.float32))
    depth = torch.where(torch.isfinite(depth), depth, 0)[:, None]
    K = torch.eye(3).repeat(frames, 1, 1)
    return ClipBatch(images[:, None], K, (0,), torch.arange(frames), depth=depth)


def abs_rel(predicted: torch.Tensor, depth: torch.Tensor) -> float:
    valid = depth > 0
    return ((predicted - depth)[valid].abs() / depth[valid]).mean().item()


@pytest.mark.parametrize("sparse", [False, True])
def test_depth_of_an_unseen_street_beats_the_best_constant_by_forty_percent(sparse):
    parts, unseen = [street(seed, 24) for seed in range(4)], street(9, 8)
    images, depth = torch.cat([p.images for p in parts]), torch.cat([p.depth for p in parts])
    generator = torch.Generator().manual_seed(0)
    if sparse:  # one pixel in twenty, as LiDAR
        depth = torch.where(torch.rand(depth.shape, generator=generator) < 0.05, depth, 0)
    task = make_task()
    optimiser = torch.optim.Adam(task.parameter_groups(7e-4))
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / 140)
    for _ in range(140):
        chosen = torch.randint(0, len(images), (4,), generator=generator)
        batch = ClipBatch(images[chosen], torch.eye(3).repeat(4, 1, 1), (0,), chosen, depth=depth[chosen])
        loss, _ = task.loss(batch, STEP)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
    with torch.no_grad():
        found = abs_rel(1 / task.eval().predict(unseen.images[:, 0]).disparity, unseen.depth)
    constants = [abs_rel(torch.full_like(unseen.depth, c), unseen.depth) for c in np.linspace(1, 60, 60)]
    assert found < 0.6 * min(constants)


def test_a_fresh_decoder_leaves_that_of_the_run_and_keeps_the_backbone(tmp_path):
    before = make_task(seed=3)
    save_weights(before, tmp_path)
    lineage = {"backbone": "test_resnet", "method": "depth_supervised", "chain": [], "normalisation": None}
    (tmp_path / "lineage.json").write_text(json.dumps(lineage))
    made = {}
    for decoder in ("init", "fresh"):
        torch.manual_seed(4)
        made[decoder], report = DepthSupervised.create(replace(SMALL, decoder=decoder), parse_init(tmp_path))
        skipped = {name.split(".")[0] for name, _ in report.skipped}
        assert skipped == ({"decoder"} if decoder == "fresh" else set())
    states = {name: export_state(task) for name, task in made.items()}
    old = export_state(before)
    for name, tensor in old.items():
        assert torch.equal(states["init"][name], tensor)
        if name.startswith("backbone."):
            assert torch.equal(states["fresh"][name], tensor)
    assert not torch.equal(states["fresh"]["decoder.heads.0.weight"], old["decoder.heads.0.weight"])
    with pytest.raises(ConfigError, match="decoder 'old'"):
        make_task(decoder="old")
