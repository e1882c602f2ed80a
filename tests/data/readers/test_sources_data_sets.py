"""Readers of the named stereo and depth data sets, on tiny files in each layout and on the real ones."""

import json

import numpy as np
import pytest
from making_clips import sliding_frames, texture, write_depth, write_images, write_pfm
from PIL import Image

from geopretrain.data.readers import open_source
from geopretrain.data.readers.kitti_calibration import camera_of_size
from geopretrain.data.readers.tum_rgbd import nearest_in_time, pose_matrix
from geopretrain.errors import DataError

# ---------------------------------------------------------------- KITTI depth, NYU


def test_sources_kitti_depth_and_nyu_pairs(tmp_path):
    kitti, nyu = tmp_path / "kitti_depth", tmp_path / "nyu"
    write_images(kitti / "image_02" / "data", sliding_frames(2))
    write_depth(kitti / "proj_depth/groundtruth/image_02/000001.png", np.full((96, 128), 512))
    (clip,) = open_source(kitti)
    assert (clip.kind, clip.depth_protocol, clip.depth_indices()) == ("kitti_depth", "kitti", [1])
    assert clip.depth(1)[0, 0] == 2
    assert camera_of_size((375, 1242))[0, 0] == 721.5377
    write_images(nyu / "kitchen_01", [texture(480, 640)], "rgb_{:05d}.jpg")
    write_depth(nyu / "kitchen_01" / "sync_depth_00000.png", np.full((480, 640), 1500))
    (clip,) = open_source(nyu)
    assert (clip.kind, clip.name) == ("nyuv2", "nyu/kitchen_01")
    assert clip.depth(0)[0, 0] == 1.5
    assert clip.intrinsics[0, 0] == 518.8579


def test_sources_kitti_depth_selection_pairs_by_drive_and_frame(tmp_path):
    stem = "2011_09_26_drive_0002_sync_{}_0000000005_image_02"
    write_images(tmp_path / "image", sliding_frames(1), stem.format("image") + ".png")
    write_depth(
        tmp_path / "groundtruth_depth" / f"{stem.format('groundtruth_depth')}.png", np.full((96, 128), 512)
    )
    (tmp_path / "intrinsics").mkdir()
    (tmp_path / "intrinsics" / f"{stem.format('image')}.txt").write_text("100 0 63 0 100 47 0 0 1")
    (clip,) = open_source(tmp_path)
    assert (clip.kind, clip.ordered, clip.intrinsics[0, 2]) == ("kitti_depth", False, 63)
    assert clip.depth(0)[0, 0] == 2


# ---------------------------------------------------------------- Middlebury, TUM, odometry, Cityscapes


def test_sources_middlebury(tmp_path):
    folder = tmp_path / "Piano"
    write_images(folder, [texture(20, 30)], "im{}.png")
    Image.fromarray(texture(20, 30, seed=1)).save(folder / "im1.png")
    (folder / "calib.txt").write_text(
        "cam0=[90 0 15; 0 90 10; 0 0 1]\ncam1=[90 0 17; 0 90 10; 0 0 1]\ndoffs=2\nbaseline=200\n"
    )
    disparity = np.full((20, 30), np.inf, np.float32)
    disparity[3, 4] = 7.0
    write_pfm(folder / "disp0.pfm", disparity)
    (clip,) = open_source(tmp_path)
    assert (clip.kind, clip.length) == ("middlebury", 1)
    assert clip.T_to_stereo[0, 3] == -0.2
    assert clip.stereo_intrinsics[0, 2] == 17
    assert clip.depth(0)[3, 4] == pytest.approx(90 * 0.2 / 9)
    assert (clip.depth(0) > 0).sum() == 1


def test_sources_middlebury_depth_takes_the_right_image_onto_the_image(shared_data):
    (clip,) = open_source(shared_data / "stereo" / "middlebury2014")
    depth, left, right = clip.depth(0), clip.frame(0).image.astype(float), clip.stereo(0)
    y, x = np.nonzero(depth)
    points = np.linalg.inv(clip.intrinsics) @ np.stack([x, y, np.ones_like(x)]) * depth[y, x]
    moved = clip.stereo_intrinsics @ (clip.T_to_stereo[:3, :3] @ points + clip.T_to_stereo[:3, 3:])
    u = np.clip(np.rint(moved[0] / moved[2]).astype(int), 0, clip.size[1] - 1)
    error = np.abs(right[y, u] - left[y, x]).mean()
    assert error < 0.5 * np.abs(right[y, x] - left[y, x]).mean()
    assert 2.0 < depth[y, x].min() < depth.max() < 5.1


def test_sources_tum_associates_by_time(tmp_path):
    write_images(tmp_path / "rgb", sliding_frames(4))
    write_depth(tmp_path / "depth" / "a.png", np.full((96, 128), 7500))
    names = [f"{10 + 0.1 * i + (0.5 if i == 3 else 0)} rgb/{i:06d}.png" for i in range(4)]
    (tmp_path / "rgb.txt").write_text("# time file\n" + "\n".join(names))
    (tmp_path / "depth.txt").write_text("10.115 depth/a.png\n10.24 depth/missing.png\n")
    (tmp_path / "groundtruth.txt").write_text("10.09 1 2 3 0 0 0 1\n")
    (clip,) = open_source(tmp_path)
    assert (clip.kind, clip.depth_indices(), clip.has_poses) == ("tum_rgbd", [1], True)
    assert clip.depth(1)[0, 0] == 1.5
    assert clip.fps == pytest.approx(10)
    assert [clip.starts_anew(i) for i in range(4)] == [False, False, False, True]
    assert clip.pose(1)[:3, 3].tolist() == [1, 2, 3]
    assert clip.pose(0) is None
    (tmp_path / "depth.txt").write_text("10.1\n")
    with pytest.raises(DataError, match=r"depth\.txt: every line needs a time and 1 more value"):
        open_source(tmp_path)


def test_sources_tum_nearest_time_and_quaternions():
    pairs = nearest_in_time(np.array([0.0, 1.0, 2.0]), np.array([2.01, 0.985, 0.5, 1.019]))
    assert pairs == {1: 1, 2: 0}
    assert nearest_in_time(np.array([0.0, 1.0]), np.array([1.0])) == {1: 0}
    quarter = pose_matrix([0, 0, 0, 0, 0, np.sqrt(0.5), np.sqrt(0.5)])  # 90 degrees about z: x becomes y
    np.testing.assert_allclose(quarter[:3, 0], [0, 1, 0], atol=1e-12)


def test_sources_kitti_odometry(tmp_path):
    folder = tmp_path / "sequences" / "03"
    write_images(folder / "image_2", sliding_frames(3, seed=1))
    write_images(folder / "image_3", sliding_frames(3, seed=2))
    eye = "1 0 0 0 0 1 0 0 0 0 1 0"
    rows = {2: 10.0, 3: -44.0}
    calibration = "".join(f"P{c}: 100 0 63.5 {x} 0 100 47.5 0 0 0 1 0\n" for c, x in rows.items())
    (folder / "calib.txt").write_text(calibration + "Tr: 0 -1 0 0 0 0 -1 0 1 0 0 0\n")
    (folder / "velodyne").mkdir()
    np.array([[10, 0, 0, 0]], np.float32).tofile(folder / "velodyne" / "000001.bin")
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "03.txt").write_text(f"{eye}\n{eye}\n")
    (clip,) = open_source(tmp_path)
    assert (clip.kind, clip.has_stereo, clip.has_poses) == ("kitti_odometry", True, True)
    assert clip.T_to_stereo[0, 3] == pytest.approx(-0.54)
    np.testing.assert_allclose(clip.pose(1)[:3, 3], [-0.1, 0, 0], atol=1e-12)  # camera 2 is left of camera 0
    assert clip.pose(2) is None
    depth = clip.depth(1)
    assert np.argwhere(depth > 0).tolist() == [[48, 64]]  # (63.5 + 100 * 0.1 / 10, 47.5), rounded to even
    assert clip.depth(0) is None


def test_sources_kitti_odometry_real_poses(shared_data):
    (clip,) = open_source(shared_data / "kitti_odometry")
    poses = np.stack([clip.pose(i) for i in range(clip.length)])
    steps = np.linalg.inv(poses[:-1]) @ poses[1:]
    assert 0.5 < np.median(steps[:, 2, 3]) < 1.0  # m a frame, forwards
    assert clip.stereo(0).shape == (*clip.size, 3)
    assert clip.T_to_stereo[0, 3] == pytest.approx(-0.537, abs=1e-3)


def write_cityscapes(root):
    names = [("000000", i) for i in range(3)] + [("000001", i) for i in range(2)]
    frames = sliding_frames(len(names))
    for folder, kind in (("leftImg8bit_sequence", "leftImg8bit"), ("rightImg8bit_sequence", "rightImg8bit")):
        place = root / folder / "train" / "ulm"
        place.mkdir(parents=True)
        for (sequence, number), frame in zip(names, frames, strict=True):
            Image.fromarray(frame).save(place / f"ulm_{sequence}_{number:06d}_{kind}.png")
    disparity = np.zeros((96, 128))
    disparity[1, 2] = 20 * 256 + 1
    write_depth(root / "disparity" / "train" / "ulm" / "ulm_000000_000002_disparity.png", disparity)
    camera = root / "camera" / "train" / "ulm" / "ulm_000000_000002_camera.json"
    camera.parent.mkdir(parents=True)
    intrinsic = {"fx": 200.0, "fy": 201.0, "u0": 60.0, "v0": 50.0}
    camera.write_text(json.dumps({"intrinsic": intrinsic, "extrinsic": {"baseline": 0.21}}))
    return camera


def test_sources_cityscapes(tmp_path):
    camera = write_cityscapes(tmp_path)
    (clip,) = open_source(tmp_path)
    assert (clip.kind, clip.length, clip.fps) == ("cityscapes", 5, 17.0)
    assert [clip.starts_anew(i) for i in range(5)] == [False, False, False, True, False]
    assert clip.intrinsics.tolist() == [[200, 0, 60], [0, 201, 50], [0, 0, 1]]
    assert clip.T_to_stereo[0, 3] == -0.21
    assert clip.stereo(4).shape == (96, 128, 3)
    assert clip.depth_indices() == [2]
    assert clip.depth(2)[1, 2] == pytest.approx(200 * 0.21 / 20)
    assert (clip.depth(2) > 0).sum() == 1
    camera.write_text("{}")
    with pytest.raises(DataError, match="no camera file of Cityscapes"):
        open_source(tmp_path / "leftImg8bit_sequence")


def test_sources_cityscapes_without_cameras_says_what_is_lost(tmp_path):
    write_cityscapes(tmp_path).unlink()
    (clip,) = open_source(tmp_path)
    assert not clip.has_stereo
    assert "camera/ is not there" in clip.warnings[0]


# ---------------------------------------------------------------- 7-Scenes


def test_sources_seven_scenes_moves_native_depth_as_the_stored_maps_are(shared_data):
    (clip,) = open_source(shared_data / "7scenes")
    assert clip.depth_indices() == list(range(300))
    stored = clip.depth(0)
    native = clip.read_depth(clip.files[0].with_name("frame-000000.depth.png"))
    assert (native == stored).mean() > 0.9999
    assert np.isclose(np.linalg.det(clip.pose(5)[:3, :3]), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "kind", "has"),
    [("nyuv2/sync", "nyuv2", "depth"), ("tum_rgbd", "tum_rgbd", "depth"),
     ("kitti_depth", "kitti_depth", "depth"), ("stereo/middlebury2014", "middlebury", "stereo"),
     ("kitti_odometry", "kitti_odometry", "poses")],
)  # fmt: skip
def test_sources_real_stereo_and_depth_are_recognised(shared_data, name, kind, has):
    (clip,) = open_source(shared_data / name)
    assert clip.kind == kind
    assert getattr(clip, f"has_{has}")
