"""SC-Depth V1, V2, V3 and their union as a task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geopretrain import geometry
from geopretrain.data.batches import ClipBatch
from geopretrain.data.store.pseudo_depth import PseudoDepthInfo
from geopretrain.errors import ConfigError, DataError
from geopretrain.losses import ConsistencyOptions
from geopretrain.tasks.diagnostics import SETTLED_AFTER
from geopretrain.tasks.pretext.scdepth import SCDepth, SCDepthConfig
from geopretrain.tasks.pretext.scdepth.rectification import Views, rectified
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.weights import export_state, parse_init, save_weights

STEP = Step(0, 1)

TINY = "test_resnet"
VERSIONS = [{"version": 1}, {"version": 2}, {"version": 3}, {"version": 3, "rectify": True}]


def small(**options) -> SCDepthConfig:
    return SCDepthConfig(backbone=TINY, pose_backbone=TINY, **options)


def make_task(seed=0, **options) -> SCDepth:
    torch.manual_seed(seed)
    return SCDepth.create(small(**options), parse_init("random"))[0]


def sliding_clips(batch=2, height=64, width=96, shift=2) -> ClipBatch:
    """A textured wall seen by a camera that moves sideways, with a teacher's depth of a slope."""
    rows = torch.linspace(0, 9, height).view(1, 1, height, 1)
    columns = torch.linspace(0, 14, width + 4 * shift).view(1, 1, 1, -1)
    phases = torch.arange(3 * batch).view(batch, 3, 1, 1)
    wall = 0.5 + 0.25 * torch.sin(rows * 2 + phases) + 0.2 * torch.sin(columns * 3 + 2 * phases)
    frames = [wall[..., (2 + offset) * shift : (2 + offset) * shift + width] for offset in (0, -1, 1)]
    K = torch.tensor([[80.0, 0, (width - 1) / 2], [0, 80.0, (height - 1) / 2], [0, 0, 1]])
    teacher = (2 + 0.05 * torch.arange(width).float()).expand(batch, 1, height, width)
    return ClipBatch(
        torch.stack(frames, 1), K.repeat(batch, 1, 1), (0, -1, 1), torch.arange(batch), pseudo_depth=teacher
    )


def test_the_registry_knows_the_method_and_its_recipes():
    assert task_class("scdepth") is SCDepth
    assert make_task(version=1).presets["paper"].size == (256, 832)
    assert make_task(version=2).presets["paper"].size == (256, 320)
    assert make_task(version=3).required.names == ("pseudo_depth",)


@pytest.mark.parametrize("options", VERSIONS)
def test_training_lowers_the_loss_and_every_part_learns(options):
    task, batch = make_task(**options), sliding_clips()
    optimiser = torch.optim.Adam(task.parameter_groups(3e-4))
    history = []
    for step in range(16):
        torch.manual_seed(step)
        loss, logs = task.loss(batch, STEP)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert np.mean(history[-4:]) < np.mean(history[:4])
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters() if p.ndim > 1)
    assert all(v.shape == () and not v.requires_grad and torch.isfinite(v) for v in logs.values())


def test_the_terms_are_those_of_the_version():
    common = {"photometric", "geometry"}
    expected = {
        1: common | {"smoothness"},
        2: common | {"smoothness", "rotation_consistency", "rotation_triplet"},
        3: common | {"normals", "ranking", "relative_normals"},
    }
    every = set.union(*expected.values())
    for version, terms in expected.items():
        task, batch = make_task(version=version).eval(), sliding_clips()
        loss, logs = task.loss(batch, STEP)
        assert set(logs) & every == terms
        weighted = sum(task.config.weights[name] * logs[name] for name in terms)
        assert loss.item() == pytest.approx(weighted.item(), rel=1e-5)


def test_frames_and_pairs_in_one_batch_give_the_same_as_one_by_one():
    for version in (1, 2):
        losses = []
        for batch_frames in (True, False):
            task = make_task(version=version, batch_frames=batch_frames).eval()
            torch.manual_seed(1)
            losses.append(task.loss(sliding_clips(), STEP)[0])
        torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)


def test_both_directions_are_predicted_and_given_to_their_pairs():
    task, batch = make_task().eval(), sliding_clips()
    target, before, after = batch.images.unbind(1)
    with torch.no_grad():
        forward, backward, _ = task._poses(batch.images)
        for i, source in enumerate((before, after)):
            angles, shift = task.pose_net(target, source)
            torch.testing.assert_close(forward[:, i], geometry.euler_pose_matrix(angles, shift))
            angles, shift = task.pose_net(source, target)
            torch.testing.assert_close(backward[:, i], geometry.euler_pose_matrix(angles, shift))


def test_a_rotated_neighbour_is_rotated_back_and_its_border_masked():
    """With the true rotation in place of the network's guess the neighbour becomes the target."""
    height, width = 64, 96
    K = torch.tensor([[[70.0, 0, 47.5], [0, 70.0, 31.5], [0, 0, 1]]])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    target = (0.5 + 0.4 * torch.sin(rows / 6) * torch.cos(columns / 7)).expand(1, 3, -1, -1)
    angles = torch.tensor([[0.03, -0.06, 0.05]])
    R = geometry.rotation_from_euler(angles)
    neighbour, _ = geometry.warp_rotated(
        target, R.mT, K
    )  # target -> neighbour is R, so read with its inverse
    frames = torch.stack([target, neighbour, neighbour], 1)
    views = rectified(Views(frames, frames), angles.expand(2, 1, 3), K, as_released=False)
    error = (views.images[:, 1] - target).abs().mean(1, keepdim=True)
    assert error[views.valid[:, 1]][50:-50].mean() < 0.02
    assert 0.7 < views.valid[:, 1].float().mean() < 0.98


def test_the_networks_see_jittered_colours_only_where_asked_for():
    batch = sliding_clips()
    darker = replace(batch, jittered=batch.images * 0.5)
    for jitter, factor in ((0.0, 1.0), (0.5, 0.5)):
        task, inputs = make_task(jitter=jitter).eval(), []
        task.depth_net.backbone.register_forward_pre_hook(lambda _, x, inputs=inputs: inputs.append(x[0]))
        task.loss(darker, STEP)
        torch.testing.assert_close(inputs[0][:2], batch.images[:, 0] * factor)


def test_bfloat16_changes_the_loss_little():
    for version in (1, 3):
        task, batch = make_task(version=version).eval(), sliding_clips()
        torch.manual_seed(1)
        exact, _ = task.loss(batch, STEP)
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough, logs = task.loss(batch, STEP)
        assert rough.dtype == torch.float32
        assert rough.item() == pytest.approx(exact.item(), rel=0.03)
        assert all(v.dtype == torch.float32 for v in logs.values())


def test_augmentation_moves_the_camera_with_the_picture():
    torch.manual_seed(0)
    batch = make_task(version=3).train_transform(sliding_clips(batch=6))
    assert batch.images.shape == (6, 3, 3, 64, 96)
    assert batch.pseudo_depth.shape == (6, 1, 64, 96)
    focal = batch.intrinsics[:, 0, 0]
    assert focal.min() >= 80
    assert 80 < focal.max() <= 80 * 1.15
    plain = make_task().eval_transform(sliding_clips())
    assert torch.equal(plain.intrinsics, sliding_clips().intrinsics)


def test_predict_returns_inverse_depth_within_the_range():
    task = make_task().eval()
    with torch.no_grad():
        disparity = task.predict(torch.rand(2, 3, 64, 96)).disparity
    assert disparity.shape == (2, 1, 64, 96)
    assert disparity.min() >= 0.01
    assert disparity.max() <= 10.01
    assert task.depth_meaning == "scale"


def test_a_run_of_version_2_hands_its_parts_to_version_3(tmp_path):
    first = make_task(version=2)
    names = {name.split(".")[0] for name in export_state(first)}
    assert names == {"backbone", "decoder", "pose", "rotation"}
    save_weights(first, tmp_path)
    (tmp_path / "lineage.json").write_text(f'{{"backbone": "{TINY}"}}')
    union, report = SCDepth.create(small(version=3, rectify=True), parse_init(tmp_path))
    assert not report.skipped
    for ours, theirs in zip(union.parameters(), first.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    plain, report = SCDepth.create(small(version=3), parse_init(tmp_path))
    assert plain.rotation_net is None
    assert {name.split(".")[0] for name, _ in report.skipped} == {"rotation"}


@pytest.mark.parametrize(("options", "captions"), list(zip(VERSIONS, (4, 5, 5, 6), strict=True)))
def test_pictures_show_one_row_per_sample(options, captions):
    task, batch = make_task(**options).eval(), sliding_clips()
    rows = task.pictures(replace(batch, images=(batch.images * 255).round().to(torch.uint8)))
    assert list(rows) == ["sample_00", "sample_01"]
    assert rows["sample_01"].dtype == np.uint8
    assert captions * 96 < rows["sample_01"].shape[1] < (captions + 1) * 96


def test_a_teacher_of_relative_disparity_teaches_order_and_where_it_fits_normals():
    task, batch = make_task(version=3).eval(), sliding_clips()
    task.teacher = PseudoDepthInfo("x", "disparity", "scale_shift")
    with torch.no_grad():
        own = task.predict(batch.images[:, 0]).disparity
    _, logs = task.loss(replace(batch, pseudo_depth=50 * own + 3), STEP)
    assert logs["aligned_fraction"] > 0.9
    assert logs["normals"] < 1e-3
    _, logs = task.loss(replace(batch, pseudo_depth=1 / batch.pseudo_depth), STEP)
    assert logs["ranked_fraction"] > 0.3
    with pytest.raises(DataError, match="pseudo-depth STORE"):
        task.loss(replace(batch, pseudo_depth=None), STEP)


HEALTHY = {
    "photometric": 0.05,
    "identity_error": 0.1,
    "reprojection_error": 0.05,
    "valid_fraction": 0.9,
    "empty_mask": 0.0,
    "pose_translation": 0.02,
    "pose_rotation": 0.001,
    "disparity_std": 0.1,
    "rotation_before": 0.05,
    "teacher_fraction": 1.0,
    "ranked_fraction": 0.5,
}


@pytest.mark.parametrize(
    ("change", "sentence", "at_once"),
    [
        ({"photometric": float("nan")}, "Not a number in photometric at step 500", True),
        ({"empty_mask": 0.2}, "In 20% of the last steps (almost) no pixel was left", True),
        ({"valid_fraction": 0.2}, "Only 20% of the pixels stay in view", False),
        ({"rotation_before": 0.5}, "rotates the neighbours by 29 degrees", False),
        ({"teacher_fraction": 0.01}, "covers 1% of the pixels", False),
        ({"ranked_fraction": 0.01}, "almost flat", False),
        ({"unaligned_batch": 0.5}, "In 50% of the last steps no picture of the teacher's", False),
    ],
)
def test_everything_wrong_gets_one_sentence_with_advice(change, sentence, at_once):
    task = make_task()
    assert task.diagnostics(HEALTHY, 500) == []
    (found,) = task.diagnostics(HEALTHY | change, 500)
    assert sentence in found
    early = task.diagnostics(HEALTHY | change, SETTLED_AFTER - 1)
    assert bool(early) == at_once


def test_logs_of_training_are_what_the_checks_look_at():
    logs = make_task(version=3, rectify=True).loss(sliding_clips(), STEP)[1]
    assert set(HEALTHY) <= set(logs)


@pytest.mark.parametrize(
    "options",
    [
        {"version": 4},
        {"min_depth": 0.0},
        {"ssim_window": 4},
        {"enlarge": 0.9},
        {"flip": -0.1},
        {"ranking": -1.0},
        {"smoothness": -1.0},
        {"version": 2, "rectify": False},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError):
        SCDepthConfig(**options)


def test_options_of_the_terms_reach_them():
    config = SCDepthConfig(automask=False, ssim_window=3, minimum=False, as_released=True)
    assert config.consistency == ConsistencyOptions(
        automask=False, ssim_window=3, minimum=False, as_released=True
    )
    assert SCDepthConfig().weights["smoothness"] == 0.1
    assert SCDepthConfig(version=3).weights["smoothness"] == 0
    assert SCDepthConfig(version=3, smoothness=0.2).weights["smoothness"] == 0.2
