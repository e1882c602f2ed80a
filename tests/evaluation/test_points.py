"""Depth against sparse points: a reconstruction's, in a unit of its own, and sparse LiDAR."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from making_clips import write_images
from native_trees import kitti_raw

from geopretrain.commands.evaluate import table
from geopretrain.data.prepare import preparation
from geopretrain.data.prepare.calibrate import clips as calibrated_clips
from geopretrain.data.prepare.calibrate.estimate import Estimate
from geopretrain.data.prepare.calibrate.reconstruction import Trajectory, _seen
from geopretrain.data.prepare.points import in_stored_frame
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.readers import open_source
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation import points as points_module
from geopretrain.evaluation.footage import Footage
from geopretrain.evaluation.points import FEWEST, POINTS, at_points, score_points

HEIGHT, WIDTH, UNIT = 64, 96, 7.3
MATRIX = np.array([[0.8 * WIDTH, 0, (WIDTH - 1) / 2], [0, 0.8 * WIDTH, (HEIGHT - 1) / 2], [0, 0, 1]])


class Guide:
    """A task that knows the depth of pictures, times a factor for each."""

    name, device = "guide", torch.device("cpu")

    def __init__(self, images, depths, factors=(1.0,), meaning="scale"):
        self.images, self.depths, self.depth_meaning = images, depths, meaning
        self.factors = [factors[i % len(factors)] for i in range(len(images))]

    def predict(self, pixels):
        shown = (255 * pixels[0].permute(1, 2, 0)).round().byte().numpy()
        at = next(i for i, one in enumerate(self.images) if np.array_equal(one, shown))
        depth = torch.from_numpy(self.depths[at]).float() * self.factors[at]
        return SimpleNamespace(disparity=1 / depth[None, None])


@pytest.fixture(scope="module")
def world():
    (clip,) = open_source(f"synthetic:rooms?frames=9&seed=1&height={HEIGHT}&width={WIDTH}&stereo=0")
    images = [frame.image for frame in clip.frames()]
    return images, [clip.depth(i) for i in range(9)], [clip.pose(i) for i in range(9)]


@pytest.fixture(scope="module")
def store(tmp_path_factory, world):
    """A store whose camera, poses and points are as if COLMAP had found them, in another unit."""
    images, depths, poses = world
    root, random = tmp_path_factory.mktemp("points"), np.random.default_rng(0)
    seen = {}
    for frame, depth in enumerate(depths):
        rows, columns = random.integers(0, HEIGHT, 700), random.integers(0, WIDTH, 700)
        rays = np.column_stack([columns, rows, np.ones(700)]) @ np.linalg.inv(MATRIX).T
        seen[frame] = (rays * depth[rows, columns, None])[depth[rows, columns] > 0] / UNIT
    seen[4] = seen[4][: FEWEST - 1]
    windows = {0: [Trajectory(np.arange(9), np.array(poses), seen)]}
    with pytest.MonkeyPatch.context() as patch:
        found = Estimate(0.8, 0.0, 0.0, 0.0, 1, 1, 1.0, 0.5)
        patch.setattr(preparation, "need_colmap", lambda: None)
        patch.setattr(calibrated_clips, "estimate_camera", lambda *_: found)
        patch.setattr(calibrated_clips, "trajectories", lambda *_: windows)
        return preparation.prepare(
            write_images(root / "clip", images),
            root / "store",
            calibrate="focal",
            size=(HEIGHT, WIDTH),
            min_motion=0,
            progress=False,
        )


def score(task, store, protocol, **more):
    return score_points(task, str(store.path), None, protocol, frames="all", **more)


@pytest.mark.parametrize("protocol", POINTS)
@pytest.mark.parametrize("factor", [1.0, 0.01])
def test_true_depth_in_any_unit_makes_no_error(store, world, protocol, factor):
    task = Guide(*world[:2], factors=(factor,))
    found = score(task, store, protocol)
    assert found["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert found["a1"] == 1
    frames = store.clips[0].point_frames
    assert found["images"] == len([frame for frame in frames if frame != 4])  # of that one too few
    assert found["points"] == sum(len(store.points(0, frame)) for frame in frames if frame != 4)
    assert found["baselines"]["constant"]["abs_rel"] > 0.1
    shown = table(found)
    assert protocol in shown
    assert f"{found['points']} sparse points, estimated by pycolmap" in shown
    assert "scale unknown" in shown


def test_one_factor_for_a_video_is_no_factor_for_each_picture(store, world):
    wavering = Guide(*world[:2], factors=(1.0, 1.5))
    assert score(wavering, store, "points-median")["abs_rel"] == pytest.approx(0, abs=1e-5)
    found = score(wavering, store, "points-video-median")
    assert found["abs_rel"] > 0.1
    assert "one factor for each video" in found["alignment"]


def test_points_lie_in_the_store_and_it_reads_as_before(store, tmp_path):
    again = FrameStore.open(store.path)
    (info,) = again.clips
    assert info.point_frames == info.pose_frames
    assert again.points(0, 0).shape == (512, 3)  # of some 700, evenly spread
    assert len(again.points(0, 4)) == FEWEST - 1
    assert again.points(0, 10**6) is None
    assert "Sparse points of 9 frames, for evaluate --protocol points-median." in store_in_words(again)
    (store.path / "points.f32").rename(tmp_path / "gone")
    try:
        with pytest.raises(DataError, match=r"points\.f32 is damaged: missing"):
            FrameStore.open(store.path)
    finally:
        (tmp_path / "gone").rename(store.path / "points.f32")


def footage_of(monkeypatch, *videos):
    """Score made-up videos: for each, the true depths of the points of each picture."""
    picture = np.zeros((8, 8, 3), np.uint8)
    places = np.column_stack([np.arange(FEWEST) % 8, np.arange(FEWEST) // 8])
    sequences = [
        Footage(
            *(f"video{n}", [(0, len(truths) - 1)], lambda _: picture, lambda _: None, lambda _: None, None),
            points=lambda at, truths=truths: np.column_stack([places, truths[at]]),
        )
        for n, truths in enumerate(videos)
    ]
    monkeypatch.setattr(points_module, "footage", lambda *_: (sequences, "all"))
    return Guide([picture], [np.full((8, 8), 5.0)])


def test_errors_by_hand(monkeypatch):
    first, second = np.array([1.0] * 6 + [2.0] * 4), np.full(FEWEST, 4.0)
    task = footage_of(monkeypatch, [first, second])
    by_picture = score_points(task, "", None, "points-median")
    # of the first picture the median is 1: four of ten points are a half off; of the second all are right
    assert by_picture["abs_rel"] == pytest.approx((0.4 * 0.5 + 0) / 2)
    assert by_picture["a1"] == pytest.approx((0.6 + 1) / 2)
    assert (by_picture["images"], by_picture["points"]) == (2, 20)
    by_video = score_points(task, "", None, "points-video-median")
    # of all twenty the median is 3: 6 points at 1, 4 at 2, 10 at 4, predicted as 3
    assert by_video["abs_rel"] == pytest.approx(((0.6 * 2 + 0.4 * 0.5) + 0.25) / 2)
    assert by_video["baselines"]["constant"]["abs_rel"] == pytest.approx(by_video["abs_rel"])
    task = footage_of(monkeypatch, [first, first], [10 * first, 10 * first])
    by_videos = score_points(task, "", None, "points-video-median")
    assert by_videos["abs_rel"] == pytest.approx(0.2)  # each has a unit of its own


def test_what_cannot_be_said_is_refused(monkeypatch, store, world, tmp_path):
    with pytest.raises(ConfigError, match="Use --protocol points-scale-shift"):
        score(Guide(*world[:2], meaning="scale_shift"), store, "points-median")
    write_images(tmp_path / "clip", world[0])
    with pytest.raises(DataError, match="has no picture with 10 sparse points"):
        score_points(Guide(*world[:2]), str(tmp_path / "clip"), None, "points-median")


def test_a_plane_is_looked_up_without_an_error():
    rows, columns = np.indices((6, 9))
    disparity = 0.3 + 0.02 * columns - 0.01 * rows
    points = np.array([[2.25, 3.5, 1], [0, 0, 1], [7.9, 4.99, 1], [8, 5, 1]])
    expected = 0.3 + 0.02 * points[:, 0] - 0.01 * points[:, 1]
    assert at_points(disparity, points, (6, 9)) == pytest.approx(expected)
    twice = cv2.resize(disparity, (18, 12), interpolation=cv2.INTER_LINEAR)  # the same picture, finer
    assert at_points(twice, points[:1], (6, 9)) == pytest.approx(expected[:1])


def test_points_follow_crop_and_size():
    points = np.array([[9.5, 4.5, 3.0], [19.5, 14.5, 3.0], [0, 0, 3.0], [12, 6, -1.0], [12, 6, np.nan]])
    placed = in_stored_frame(points, (5, 10, 20, 40), (10, 20))
    assert placed.tolist() == [[-0.5, -0.5, 3], [4.5, 4.5, 3]]


def test_a_frame_sees_what_it_was_found_to_see():
    """Not what is hidden in it, seen by few, far from where it is seen, or behind the camera."""

    def point(x, z, frames=3, error=0.5):
        track = SimpleNamespace(length=lambda: frames)
        return SimpleNamespace(xyz=np.array([x, 0.0, z]), track=track, error=error)

    listed = [point(0.1, 2), point(0.2, 9), point(0.3, 2, frames=2), point(0.4, 2, error=5), point(0, -2)]
    model = SimpleNamespace(point3D=listed.__getitem__)
    observed = [SimpleNamespace(point3D_id=i) for i in (0, 2, 3, 4)]  # number 1 is hidden here
    moved = SimpleNamespace(matrix=lambda: np.array([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]))
    image = SimpleNamespace(cam_from_world=lambda: moved, get_observation_points2D=lambda: observed)
    assert _seen(image, model).tolist() == [[1.1, 0, 2]]


def test_sparse_lidar_counts_as_points(tmp_path):
    drive = "2011_09_26_drive_0001_sync"
    kitti = kitti_raw(tmp_path / "kitti_raw", {drive: 4})
    (clip,) = open_source(str(kitti))
    images = [frame.image for frame in clip.frames()]
    walls = [np.full(image.shape[:2], 10.0 + i) for i, image in enumerate(images)]
    found = score_points(Guide(images, walls), str(kitti), None, "points-median")
    assert found["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert found["images"] == 4
    assert "single LiDAR scans" in found["truth"]
    scan = kitti / drive[:10] / drive / "velodyne_points" / "data" / "0000000002.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    found = score_points(Guide(images, walls), str(kitti), None, "points-median")
    assert found["images"] == 3
    (said,) = found["left_out"]
    assert "0000000002.bin" in said
