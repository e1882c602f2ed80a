"""Monodepth2 as a task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from multiscale_loss import multiscale_reprojection

from geopretrain import geometry
from geopretrain.data.batches import ClipBatch
from geopretrain.errors import ConfigError
from geopretrain.tasks.diagnostics import SETTLED_AFTER
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.weights import export_state, parse_init

STEP = Step(0, 1)

SMALL = MonodepthConfig(backbone="mobilenetv3_small_050")


def make_task(config=SMALL, seed=0) -> Monodepth:
    torch.manual_seed(seed)
    return Monodepth.create(config, parse_init("random"))[0]


def sliding_clips(batch=2, height=64, width=96, shift=2) -> ClipBatch:
    """A textured wall seen by a camera that moves sideways: every frame is the last one shifted."""
    rows = torch.linspace(0, 9, height).view(1, 1, height, 1)
    columns = torch.linspace(0, 14, width + 4 * shift).view(1, 1, 1, -1)
    phases = torch.arange(3 * batch).view(batch, 3, 1, 1)
    wall = 0.5 + 0.25 * torch.sin(rows * 2 + phases) + 0.25 * torch.sin(columns * 3 + 2 * phases)
    frames = [wall[..., (2 + offset) * shift : (2 + offset) * shift + width] for offset in (0, -1, 1)]
    K = torch.tensor([[80.0, 0, (width - 1) / 2], [0, 80.0, (height - 1) / 2], [0, 0, 1]])
    return ClipBatch(torch.stack(frames, 1), K.repeat(batch, 1, 1), (0, -1, 1), torch.arange(batch))


def test_the_registry_knows_the_method():
    assert task_class("monodepth") is Monodepth


def test_training_lowers_the_loss_on_a_fixed_batch():
    task, batch = make_task(), sliding_clips()
    optimiser = torch.optim.Adam(task.parameter_groups(1e-3))
    history = []
    for step in range(20):
        torch.manual_seed(step)
        loss, _ = task.loss(batch, STEP)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert np.mean(history[-3:]) < 0.9 * history[0]
    assert all(p.grad is not None for name, p in task.named_parameters() if "heads" in name)


def test_logs_are_detached_scalars_with_the_promised_names():
    loss, logs = make_task().loss(sliding_clips(), STEP)
    assert loss.requires_grad
    assert set(logs) == {
        "photometric",
        "smoothness",
        "masked_fraction",
        "identity_error",
        "reprojection_error",
        "valid_fraction",
        "pose_translation",
        "pose_rotation",
        "disparity_std",
    }
    assert all(v.shape == () and not v.requires_grad and torch.isfinite(v) for v in logs.values())


@pytest.mark.parametrize("options", [{}, {"automask": False}, {"scales": 2, "smoothness": 0.1}])
def test_the_loss_is_that_of_the_papers_sections(options):
    """Every scale by itself and the mean over them, put together another time."""
    task, batch = make_task(replace(SMALL, tie_noise=0.0, **options)).eval(), sliding_clips()
    loss, logs = task.loss(batch, STEP)
    with torch.no_grad():
        scene, _ = task._scene(batch)
        poses, intrinsics, _ = task._motion(batch.images, batch)
        expected = multiscale_reprojection(
            scene.disparities,
            batch.images[:, 0],
            batch.images[:, 1:],
            intrinsics,
            poses,
            automask=task.config.automask,
            smoothness_weight=task.config.smoothness,
            noise=0,
        )
    assert loss == expected.loss
    for name in ("photometric", "smoothness", "masked_fraction", "identity_error", "valid_fraction"):
        torch.testing.assert_close(logs[name], getattr(expected, name))


def test_the_networks_see_jittered_colours_and_the_loss_clean_ones():
    task, batch = make_task(replace(SMALL, tie_noise=0.0)).eval(), sliding_clips()
    inputs = []
    task.depth_net.backbone.register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
    darker = replace(batch, jittered=batch.images * 0.5)
    _, plain = task.loss(batch, STEP)
    _, jittered = task.loss(darker, STEP)
    assert torch.equal(inputs[1], batch.images[:, 0] * 0.5)
    assert torch.equal(plain["identity_error"], jittered["identity_error"])
    assert not torch.equal(plain["disparity_std"], jittered["disparity_std"])


def test_frames_enter_the_pose_network_in_the_order_of_time_and_the_earlier_one_is_inverted():
    task, batch = make_task().eval(), sliding_clips(batch=1)
    target, before, after = batch.images.unbind(1)
    with torch.no_grad():
        poses = task._motion(batch.images, batch)[0]
        first = geometry.pose_matrix(*task.pose_net(before, target))
        second = geometry.pose_matrix(*task.pose_net(target, after))
    torch.testing.assert_close(poses[:, 0] @ first, torch.eye(4).unsqueeze(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(poses[:, 1], second, atol=1e-6, rtol=1e-5)


def test_batched_pose_pairs_give_the_same_as_one_by_one():
    batch = sliding_clips(batch=3)
    batched = make_task(replace(SMALL, tie_noise=0.0)).eval()
    single = make_task(replace(SMALL, tie_noise=0.0, batch_pose_pairs=False)).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            batched._motion(batch.images, batch)[0],
            single._motion(batch.images, batch)[0],
            atol=1e-7,
            rtol=1e-5,
        )
        torch.testing.assert_close(batched.loss(batch, STEP)[0], single.loss(batch, STEP)[0])


def test_bfloat16_changes_the_loss_little():
    task, batch = make_task(replace(SMALL, tie_noise=0.0)).eval(), sliding_clips()
    exact, _ = task.loss(batch, STEP)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, logs = task.loss(batch, STEP)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(v.dtype == torch.float32 for v in logs.values())


def test_predict_returns_inverse_depth_of_full_size_within_the_range():
    task = make_task().eval()
    with torch.no_grad():
        disparity = task.predict(torch.rand(2, 3, 64, 96)).disparity
    assert disparity.shape == (2, 1, 64, 96)
    assert disparity.min() >= 1 / 100
    assert disparity.max() <= 1 / 0.1


def test_saved_names_are_those_of_the_run_folder():
    task = make_task()
    names = export_state(task)
    assert {name.split(".")[0] for name in names} == {"backbone", "decoder", "pose"}
    assert "backbone.conv_stem.weight" in names
    assert "pose.backbone.conv_stem.weight" in names
    buffers = {"mean", "std"}
    assert len(names) == len([n for n in task.state_dict() if n.split(".")[-1] not in buffers])


def test_pictures_show_one_row_per_sample():
    task, batch = make_task().eval(), sliding_clips()
    as_read = replace(batch, images=(batch.images * 255).round().to(torch.uint8))
    rows = task.pictures(as_read)
    assert list(rows) == ["sample_00", "sample_01"]
    row = rows["sample_01"]
    assert row.dtype == np.uint8
    assert row.shape[1] > 4 * 96
    assert (row[-64:, :96] == as_read.images[1, 0].permute(1, 2, 0).numpy()).all()


HEALTHY = {
    "photometric": 0.05,
    "identity_error": 0.1,
    "reprojection_error": 0.05,
    "valid_fraction": 0.9,
    "pose_translation": 0.02,
    "pose_rotation": 0.001,
    "disparity_std": 0.1,
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"photometric": float("nan")}, "Not a number in photometric at step 500"),
        ({"pose_translation": 1e-6, "pose_rotation": 1e-6}, "camera motion is almost zero"),
        ({"disparity_std": 1e-4}, "collapsed to one depth"),
        ({"valid_fraction": 0.2}, "Only 20% of the pixels stay in view"),
        ({"reprojection_error": 0.1}, "no better than leaving them"),
    ],
)
def test_everything_wrong_gets_one_sentence_with_advice(change, sentence):
    task = make_task()
    assert task.diagnostics(HEALTHY, 500) == []
    (found,) = task.diagnostics(HEALTHY | change, 500)
    assert sentence in found
    assert "\n" not in found
    early = task.diagnostics(HEALTHY | change, SETTLED_AFTER - 1)
    assert bool(early) == ("photometric" in change)


def test_logs_of_training_are_what_the_checks_look_at():
    task = make_task()
    _, logs = task.loss(sliding_clips(), STEP)
    assert set(HEALTHY) <= set(logs)
    still = sliding_clips()
    still = replace(still, images=still.images[:, :1].expand(-1, 3, -1, -1, -1))
    _, logs = task.loss(still, STEP)
    sentences = task.diagnostics({name: value.item() for name, value in logs.items()}, 500)
    assert any("no better than leaving them" in s for s in sentences)


@pytest.mark.parametrize(
    "options",
    [{"min_depth": 0.0}, {"min_depth": 5, "max_depth": 1}, {"ssim_weight": 2}, {"scales": 5}, {"flip": -0.1}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="must be"):
        MonodepthConfig(**options)


def test_fewer_scales_are_possible():
    task = make_task(replace(SMALL, scales=1))
    assert list(task.depth_net.decoder.heads) == ["0"]
    loss, _ = task.loss(sliding_clips(), STEP)
    assert torch.isfinite(loss)
