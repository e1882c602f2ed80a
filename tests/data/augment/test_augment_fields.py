"""Augmentation of right images, depth and cameras, and the crops: geometry must survive each of them."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from geopretrain.data.augment.batches import augment_clip
from geopretrain.data.augment.crops import random_crop, random_scale_crop
from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.errors import ConfigError
from geopretrain.geometry.camera import backproject, project

SIZE = (64, 96)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    store = prepare(
        "synthetic:street?frames=6&seed=3&height=64&width=96",
        tmp_path_factory.mktemp("world") / "store",
        size=SIZE,
        still_images=True,
        progress=False,
    )
    return store.read([0, 2, 4], Fields(names=("stereo", "depth")))


def float_images(batch):
    return replace(batch, images=batch.images.float() / 255, stereo=batch.stereo.float() / 255)


def stereo_error(batch):
    """Mean difference of the target and its right image warped by the measured depth, where it is visible."""
    points = backproject(batch.depth, batch.intrinsics)
    moved = (batch.T_target_to_stereo[:, :3, :3] @ points.flatten(2)).unflatten(-1, points.shape[-2:])
    moved = moved + batch.T_target_to_stereo[:, :3, 3, None, None]
    pixels, z = project(moved, batch.stereo_intrinsics)
    height, width = points.shape[-2:]
    scale = torch.tensor([2 / (width - 1), 2 / (height - 1)])[:, None, None]
    grid = (pixels * scale - 1).permute(0, 2, 3, 1)
    warped = functional.grid_sample(batch.stereo, grid, align_corners=True)
    seen = (batch.depth > 0) & (z > 0) & (grid.abs().amax(-1) < 1)[:, None]
    return ((warped - batch.images[:, 0]).abs().mean(1, keepdim=True))[seen].mean().item()


def test_augment_right_image_matches_through_depth_before_and_after(batch):
    before = stereo_error(float_images(batch))
    assert before < 0.02  # warping without depth leaves about 0.07
    assert stereo_error(augment_clip(batch, flip=1.0, jitter=0.0)) == pytest.approx(before, rel=1e-3)
    torch.manual_seed(0)
    assert stereo_error(random_scale_crop(batch)) < 1.5 * before
    assert stereo_error(float_images(random_crop(batch, (48, 80)))) < 1.5 * before
    assert stereo_error(augment_clip(random_scale_crop(random_crop(batch, (48, 64))))) < 2 * before


def test_augment_wrong_pose_after_a_flip_would_show(batch):
    flipped = augment_clip(batch, flip=1.0, jitter=0.0)
    forgotten = replace(flipped, T_target_to_stereo=batch.T_target_to_stereo)
    assert stereo_error(forgotten) > 3 * stereo_error(flipped)


def test_augment_flip_mirrors_only_the_chosen_samples(batch):
    torch.manual_seed(1)
    out = augment_clip(batch, flip=0.5, jitter=0.0)
    chosen = out.T_target_to_stereo[:, 0, 3] > 0
    assert 0 < chosen.sum() < 3
    for i in range(3):
        expected = batch.depth[i].flip(-1) if chosen[i] else batch.depth[i]
        assert torch.equal(out.depth[i], expected)
        cx = batch.stereo_intrinsics[i, 0, 2]
        assert out.stereo_intrinsics[i, 0, 2] == (95 - cx if chosen[i] else cx)


def test_augment_right_image_gets_the_colours_of_the_frames(batch):
    torch.manual_seed(2)
    same = replace(batch, stereo=batch.images[:, 0].clone())
    out = augment_clip(same, flip=0.5, jitter=1.0)
    assert torch.equal(out.stereo_jittered, out.jittered[:, 0])
    assert torch.equal(out.stereo, out.images[:, 0])
    assert not torch.allclose(out.stereo_jittered, out.stereo, atol=1e-2)


def test_augment_crop_by_hand(batch):
    torch.manual_seed(5)
    out = random_crop(batch, (40, 56))
    assert out.images.dtype == torch.uint8
    assert out.images.shape == (3, 1, 3, 40, 56)
    places = (batch.intrinsics - out.intrinsics)[:, :2, 2]
    assert len({tuple(place.tolist()) for place in places}) == 3  # a place of its own for each sample
    for i, (left, top) in enumerate(places.round().int().tolist()):
        window = (..., slice(top, top + 40), slice(left, left + 56))
        assert torch.equal(out.images[i], batch.images[i][window])
        assert torch.equal(out.stereo[i], batch.stereo[i][window])
        assert torch.equal(out.depth[i], batch.depth[i][window])
    whole = random_crop(batch, SIZE)
    assert torch.equal(whole.images, batch.images)
    assert torch.equal(whole.intrinsics, batch.intrinsics)
    with pytest.raises(ConfigError, match="does not fit into frames of 64x96"):
        random_crop(batch, (128, 64))


def test_augment_scale_crop_by_hand(batch):
    same = random_scale_crop(batch, max_scale=1.0)
    assert torch.allclose(same.images, batch.images.float() / 255, atol=1e-5)
    assert torch.equal(same.depth, batch.depth)
    torch.manual_seed(4)
    out = random_scale_crop(batch, max_scale=1.15)
    zoom = out.intrinsics[:, [0, 1], [0, 1]] / batch.intrinsics[:, [0, 1], [0, 1]]
    assert ((zoom >= 1) & (zoom <= 1.15)).all()
    assert not torch.allclose(zoom[:, 0], zoom[:, 1])
    assert set(out.depth.unique().tolist()) <= set(batch.depth.unique().tolist())  # nothing is averaged
    # a point keeps its colour: pixel (50, 30) of the first sample, through its ray
    ray = torch.linalg.inv(out.intrinsics[0]) @ torch.tensor([50.0, 30.0, 1.0])
    x, y, _ = (batch.intrinsics[0] @ ray).tolist()
    grid = torch.tensor([[[[x * 2 / 95 - 1, y * 2 / 63 - 1]]]])
    expected = functional.grid_sample(batch.images[:1, 0].float() / 255, grid, align_corners=True)
    assert torch.allclose(out.images[0, 0, :, 30, 50], expected.flatten(), atol=1e-4)
    with pytest.raises(ConfigError, match="not above 1"):
        random_scale_crop(batch, max_scale=0.9)
