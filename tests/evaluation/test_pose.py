"""The motion that a task predicts, against poses of data sets, files of cameras, and estimates."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from bent_pictures import transforms, write_pictures

from geopretrain import geometry
from geopretrain.data.batches import ClipBatch
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.footage import footage
from geopretrain.evaluation.pose import score_pose
from geopretrain.geometry import pose_matrix
from geopretrain.tasks.pretext.scdepth.rectification import rotate
from geopretrain.tasks.registry import task_class
from geopretrain.weights.init import parse_init

WORLD = "synthetic:rooms?frames=12&seed=1&height=64&width=96&stereo=0"


class Guide:
    """A task that knows the motion of a clip, in another unit and turned by a little."""

    name, device, depth_meaning, predicts_motion = "guide", torch.device("cpu"), "scale", True

    def __init__(self, clip, *, factor=3.0, degrees=0.0, stride=1):
        self.images = [frame.image for frame in clip.frames()]
        self.poses = [clip.pose(i) for i in range(len(self.images))]
        self.factor, self.turn = (
            factor,
            pose_matrix(torch.tensor([[0, math.radians(degrees), 0]]), torch.zeros(1, 3)),
        )

    def camera_motion(self, first, second, intrinsics):
        a, b = (self._index(image) for image in (first, second))
        assert intrinsics.shape == (1, 3, 3)
        motion = np.linalg.inv(self.poses[b]) @ self.poses[a]
        motion[:3, 3] *= self.factor
        return self.turn @ torch.from_numpy(motion)[None].float()

    def _index(self, image):
        pixels = (255 * image[0].permute(1, 2, 0)).round().byte().numpy()
        return next(i for i, one in enumerate(self.images) if np.array_equal(one, pixels))


def test_a_task_that_knows_the_motion_up_to_scale_makes_no_error():
    (clip,) = open_source(WORLD)
    result = score_pose(Guide(clip), WORLD, run=None)
    assert (result["images"], result["trajectories"], result["frames"]) == (11, 1, "all")
    for name in ("rotation", "direction", "ate5", "ate", "ate_relative"):
        assert result[name] == pytest.approx(0, abs=2e-2)
        assert result["baselines"]["straight_ahead"][name] > 10 * result[name]
    assert (result["poses"], result["unit"]) == ("of the data set", "m")
    turned = score_pose(Guide(clip, degrees=2.0), WORLD, run=None, every=2)
    assert (turned["images"], turned["rotation"]) == (5, pytest.approx(2, abs=1e-3))


def test_a_store_has_the_poses_of_its_source(tmp_path):
    (clip,) = open_source(WORLD)
    store = prepare(WORLD, tmp_path / "store", size=(64, 96), progress=False)
    assert store.clips[0].pose_frames == store.clips[0].frames
    for frame in store.clips[0].frames:
        assert store.pose(0, frame) == pytest.approx(clip.pose(frame))
    sequences, frames = footage(str(store.path), None, "in_sample")
    assert (frames, sequences[0].pose_unit) == ("in_sample", "m")
    result = score_pose(Guide(clip), str(store.path), run=None, frames="all")
    assert result["rotation"] == pytest.approx(0, abs=2e-2)


def test_where_there_are_no_poses_or_no_motion_it_is_said(tmp_path):
    (clip,) = open_source(WORLD)
    write_pictures(tmp_path / "images", count=4)
    with pytest.raises(DataError, match="no neighbouring frames with poses"):
        score_pose(Guide(clip), str(tmp_path / "images"), run=None)
    other = Guide(clip)
    other.predicts_motion = False
    with pytest.raises(ConfigError, match="predicts no motion"):
        score_pose(other, WORLD, run=None)


def test_poses_of_a_file_are_stored_and_said_to_be_its_own(tmp_path):
    write_pictures(tmp_path / "images", count=8)
    transforms(tmp_path, count=7)
    store = prepare(tmp_path / "images", tmp_path / "store", progress=False, min_motion=0)
    (info,) = store.clips
    assert info.pose_frames == info.frames[:7]
    assert (info.pose_origin, info.pose_unit) == ("of transforms.json", "the unit of their file")
    assert store.pose(0, 7) is None
    there = np.linalg.inv(store.pose(0, 0)) @ store.pose(0, 2)
    assert there[:3, 3] == pytest.approx((0.2, 0, 1.0))


def test_poses_of_two_worlds_are_not_compared(tmp_path):
    store = prepare(WORLD, tmp_path / "store", size=(64, 96), progress=False)
    (clip,) = open_source(WORLD)
    scored = partial(score_pose, Guide(clip), str(store.path), run=None, frames="all")
    before = scored()
    index = tmp_path / "store" / "store.json"
    text = index.read_text()
    first = store.clips[0].pose_frames[6]
    index.write_text(text.replace('"pose_starts": []', f'"pose_starts": [{first}]'))
    after = scored()
    assert (before["trajectories"], after["trajectories"]) == (1, 2)
    assert after["images"] == before["images"] - 1


def test_a_damaged_picture_splits_a_trajectory(tmp_path):
    (clip,) = open_source(WORLD)
    guide = Guide(clip)
    read, known = [], guide.camera_motion

    def once_damaged(first, second, intrinsics):
        read.append(1)
        if len(read) == 6:
            raise DataError("the picture is damaged")
        return known(first, second, intrinsics)

    guide.camera_motion = once_damaged
    result = score_pose(guide, WORLD, run=None)
    assert (result["images"], result["trajectories"], len(result["left_out"])) == (10, 2, 1)


def _built(method, **options):
    task = task_class(method)
    torch.manual_seed(0)
    config = task.Config(backbone="test_resnet", pose_backbone="test_resnet", **options)
    return task.create(config, parse_init("random"))[0].eval()


def _smooth(count, seed=0):
    torch.manual_seed(seed)
    return torch.nn.functional.interpolate(torch.rand(count, 3, 4, 5), (64, 96), mode="bicubic").clamp(0, 1)


K = torch.tensor([[[60.0, 0, 47.5], [0, 60, 31.5], [0, 0, 1]]])


@pytest.mark.parametrize("shared", [False, True])
def test_monodepth_says_the_motion_that_its_loss_uses(shared):
    task = _built("monodepth", shared_encoder_pose=shared)
    frames = _smooth(4).unflatten(0, (2, 2))
    batch = ClipBatch(frames, K.expand(2, 3, 3), (0, 1), torch.arange(2))
    with torch.no_grad():
        used = task._motion(task._encode(frames)[1], batch)[0][:, 0]
        assert torch.allclose(task.camera_motion(*frames.unbind(1), None), used, atol=1e-6)


def test_the_rotation_that_scdepth_takes_out_is_part_of_its_motion(monkeypatch):
    task = _built("scdepth", version=2)
    angles, left = torch.tensor([[0.02, -0.05, 0.03]]), torch.tensor([[0.01, 0.02, -0.01, 0.1, 0.0, -0.2]])
    monkeypatch.setattr(task.rotation_net, "forward", lambda a, b: angles)
    monkeypatch.setattr(task.pose_net, "forward", lambda a, b: left.expand(len(a), -1).split(3, -1))
    first, second = _smooth(2).split(1)
    whole = task.camera_motion(first, second, K)
    rectified, _ = rotate(second, angles, K, as_released=False)
    T = geometry.euler_pose_matrix(*left.split(3, -1))
    depth = torch.full((1, 1, 64, 96), 4.0)
    by_parts, by_whole = (
        geometry.warp(image, depth, K, motion)[0] for image, motion in ((rectified, T), (second, whole))
    )
    inside = (..., slice(12, -12), slice(12, -12))
    assert (by_parts - by_whole)[inside].abs().max() < 0.02
    assert (geometry.warp(second, depth, K, T)[0] - by_whole)[inside].abs().max() > 0.1
    with pytest.raises(DataError, match="without their camera"):
        task.camera_motion(first, second, None)
