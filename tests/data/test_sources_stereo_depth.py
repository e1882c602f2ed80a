"""Readers of stereo pairs, depth maps and poses, on tiny files in each layout."""

import json

import cv2
import numpy as np
import pytest
from making_clips import sliding_frames, texture, write_images
from PIL import Image

from geopretrain.data.depth_maps import (
    clean_depth,
    depth_from_disparity,
    move_depth,
    read_depth,
    read_pfm,
    unit_warning,
)
from geopretrain.data.prepare import prepare
from geopretrain.data.sources import open_source
from geopretrain.data.sources.kitti_calibration import camera_of_size
from geopretrain.data.sources.stereo_calibration import read_stereo_calibration
from geopretrain.data.sources.tum_rgbd import nearest_in_time, pose_matrix
from geopretrain.errors import ConfigError, DataError

CALIBRATION = "fx: 100\nfy: 100\ncx: 63.5\ncy: 47.5\nbaseline: 0.2\n"


def write_pfm(path, values, order="<"):
    height, width = values.shape
    header = f"Pf\n{width} {height}\n{-1.0 if order == '<' else 1.0}\n".encode()
    path.write_bytes(header + values[::-1].astype(f"{order}f4").tobytes())


def write_depth(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(values, np.uint16))


def write_stereo(root, calibration=CALIBRATION, count=3):
    write_images(root / "left", sliding_frames(count, seed=1))
    write_images(root / "right", sliding_frames(count, seed=2))
    if calibration:
        (root / "calib.txt").write_text(calibration)
    return root


# ---------------------------------------------------------------- depth maps


@pytest.mark.parametrize("order", ["<", ">"])
def test_depth_maps_pfm_is_read_top_row_first_in_either_byte_order(tmp_path, order):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    values[1, 1] = np.inf
    write_pfm(tmp_path / "a.pfm", values, order)
    assert np.array_equal(read_pfm(tmp_path / "a.pfm"), values)


def test_depth_maps_damaged_files_are_named(tmp_path):
    write_pfm(tmp_path / "a.pfm", np.ones((4, 5), np.float32))
    data = (tmp_path / "a.pfm").read_bytes()
    (tmp_path / "a.pfm").write_bytes(data[:-3])
    with pytest.raises(DataError, match=r"a\.pfm is truncated: 77 bytes.*5x4 pixels need 80"):
        read_pfm(tmp_path / "a.pfm")
    (tmp_path / "b.pfm").write_bytes(data.replace(b"Pf", b"PF"))
    with pytest.raises(DataError, match="no PFM file of one channel"):
        read_pfm(tmp_path / "b.pfm")
    np.save(tmp_path / "c.npy", np.ones((2, 2, 3), np.float32))
    with pytest.raises(DataError, match="H W"):
        read_depth(tmp_path / "c.npy")
    with pytest.raises(DataError, match=r"ending '\.exr'"):
        read_depth(tmp_path / "d.exr")


def test_depth_maps_disparity_to_depth_by_hand():
    disparity = np.array([[10.0, np.inf, 0.0, -1.0, np.nan]])
    depth = depth_from_disparity(disparity, focal=100, baseline=0.5, offset=15)
    assert depth.tolist() == [[2.0, 0, 0, 0, 0]]  # 100 * 0.5 / (10 + 15)


def test_depth_maps_cleaning_says_what_it_did():
    cleaned, words = clean_depth(np.array([[1.0, np.nan, np.inf, -2.0, -np.inf, 0.0]], np.float32))
    assert cleaned.tolist() == [[1, 0, 0, 0, 0, 0]]
    assert words == "depth values are 1 not a number, 2 infinite, 1 negative: taken as not measured."
    assert clean_depth(cleaned)[1] is None


def test_depth_maps_units_that_cannot_be_are_said():
    assert "millimetres read as metres" in unit_warning(np.full((3, 3), 2500.0))
    assert "divided once too often" in unit_warning(np.full((3, 3), 0.0025))
    assert unit_warning(np.full((3, 3), 2.5)) is None
    assert unit_warning(np.zeros((3, 3))) is None


def test_depth_maps_move_to_a_camera_beside():
    depth = np.zeros((5, 9), np.float32)
    depth[2, 4] = 2.0
    camera = np.array([[10.0, 0, 4], [0, 10, 2], [0, 0, 1]])
    motion = np.eye(4)
    motion[:3, 3] = [0.4, 0, 1.0]  # 0.4 m to the right at 3 m is 1.33 px
    moved = move_depth(depth, camera, motion, camera, (5, 9))
    assert {tuple(p): float(moved[tuple(p)]) for p in np.argwhere(moved > 0)} == {(2, 5): 3.0}


# ---------------------------------------------------------------- left/ + right/


def test_sources_stereo_folder(tmp_path):
    (clip,) = open_source(write_stereo(tmp_path))
    assert (clip.kind, clip.length, clip.has_stereo, clip.has_depth) == ("stereo", 3, True, False)
    assert clip.T_to_stereo[:3, 3].tolist() == [-0.2, 0, 0]
    assert clip.intrinsics[0].tolist() == clip.stereo_intrinsics[0].tolist() == [100, 0, 63.5]
    assert np.array_equal(clip.stereo(1), sliding_frames(3, seed=2)[1])
    assert open_source(tmp_path, baseline=0.5)[0].T_to_stereo[0, 3] == -0.5


@pytest.mark.parametrize(
    ("text", "baseline", "offset"),
    [
        (CALIBRATION + "doffs = 4", 0.2, 4.0),
        ("P0: 100 0 63.5 0 0 100 47.5 0 0 0 1 0\nP1: 100 0 63.5 -54 0 100 47.5 0 0 0 1 0\n", 0.54, 0.0),
        ("cam0=[100 0 63.5; 0 100 47.5; 0 0 1]\ncam1=[100 0 70; 0 100 47.5; 0 0 1]\ndoffs=6.5\n"
         "baseline=193\nwidth=128\n", 0.193, 6.5),
    ],
)  # fmt: skip
def test_sources_stereo_calibration_spellings(tmp_path, text, baseline, offset):
    (tmp_path / "calib.txt").write_text(text)
    calibration = read_stereo_calibration(tmp_path / "calib.txt")
    assert calibration.baseline == pytest.approx(baseline)
    assert calibration.offset == pytest.approx(offset)
    assert calibration.intrinsics.tolist() == [[100, 0, 63.5], [0, 100, 47.5], [0, 0, 1]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "baseline is not known.*--baseline"),
        (CALIBRATION.replace("0.2", "0"), "baseline is 0 m"),
        (CALIBRATION.replace("0.2", "-0.2"), "Exchange left and right"),
        (CALIBRATION.replace("0.2", "193"), "in millimetres"),
        (CALIBRATION.replace("baseline", "b"), r"calib\.txt does not say baseline"),
    ],
)
def test_sources_stereo_bad_calibration_is_refused(tmp_path, text, words):
    write_stereo(tmp_path, text)
    with pytest.raises(DataError, match=words):
        open_source(tmp_path)


def test_sources_stereo_missing_partners(tmp_path):
    write_stereo(tmp_path)
    (tmp_path / "right" / "000001.png").unlink()
    (clip,) = open_source(tmp_path)
    assert clip.stereo(1) is None
    assert "1 of 3 frames have no stereo partner." in clip.notes
    for i in (0, 2):
        (tmp_path / "right" / f"{i:06d}.png").rename(tmp_path / "right" / f"z{i}.png")
    with pytest.raises(DataError, match=r"no partner of any frame.*left/000000\.png and right/z0\.png"):
        open_source(tmp_path)
    for file in (tmp_path / "right").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="holds no images; the partners"):
        open_source(tmp_path)


def test_sources_stereo_partner_of_another_size_and_named_by_side(tmp_path):
    write_images(tmp_path / "left", sliding_frames(2), "left_{:03d}.png")
    write_images(tmp_path / "right", sliding_frames(2, size=(64, 96)), "right_{:03d}.png")
    (clip,) = open_source(tmp_path, baseline=0.1)
    assert clip.intrinsics is None
    with pytest.raises(DataError, match=r"right_000\.png is 96x64, the frames are 128x96"):
        clip.stereo(0)
    with pytest.raises(ConfigError, match="baseline must be a number above 0"):
        open_source(tmp_path, baseline=0.0)


def test_sources_stereo_disparity_becomes_depth(tmp_path):
    write_stereo(tmp_path)
    disparity = np.zeros((96, 128), np.float32)
    disparity[5, 6] = 8.0
    (tmp_path / "disparity").mkdir()
    write_pfm(tmp_path / "disparity" / "000000.pfm", disparity)
    write_depth(tmp_path / "disparity" / "000001.png", disparity * 256)
    (clip,) = open_source(tmp_path)
    assert clip.depth_indices() == [0, 1]
    assert clip.depth(0)[5, 6] == clip.depth(1)[5, 6] == pytest.approx(100 * 0.2 / 8)
    assert clip.depth(2) is None


# ---------------------------------------------------------------- images/ + depth/


def test_sources_depth_folder_units(tmp_path):
    write_images(tmp_path / "images", sliding_frames(3))
    write_depth(tmp_path / "depth" / "000000.png", np.full((96, 128), 2560))
    np.save(tmp_path / "depth" / "000001.npy", np.full((96, 128), 3.5))
    (clip,) = open_source(tmp_path)
    assert (clip.kind, clip.depth_indices(), clip.depth_protocol) == ("images_depth", [0, 1], "dense")
    assert clip.depth(0)[0, 0] == pytest.approx(2.56)
    assert clip.depth(1)[0, 0] == 3.5
    assert "taken as millimetres" in clip.notes[0]
    (clip,) = open_source(tmp_path, depth_unit=256)
    assert clip.depth(0)[0, 0] == 10
    assert clip.notes == []
    (clip,) = open_source(tmp_path, depth_unit=1)
    assert "millimetres read as metres" in clip.notes[0]


def test_sources_depth_folder_problems(tmp_path):
    write_images(tmp_path / "images", sliding_frames(3))
    write_depth(tmp_path / "depth" / "000000.png", np.ones((48, 64)))
    (clip,) = open_source(tmp_path)
    with pytest.raises(DataError, match=r"000000\.png is 64x48, the frames are 128x96"):
        clip.depth(0)
    (tmp_path / "depth" / "000000.png").rename(tmp_path / "depth" / "x.png")
    with pytest.raises(DataError, match="no depth map of any image"):
        open_source(tmp_path)


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


def test_sources_middlebury_depth_takes_the_real_partner_onto_the_image(shared_data):
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
    assert "camera/ is not there" in clip.notes[0]


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


# ---------------------------------------------------------------- into a store


def test_sources_stereo_and_depth_reach_the_store(tmp_path):
    frames = sliding_frames(8, step=3.0)
    write_images(tmp_path / "in" / "left", frames)
    write_images(tmp_path / "in" / "right", [np.roll(f, -5, axis=1) for f in frames])
    for i in range(8):
        write_depth(tmp_path / "in" / "depth" / f"{i:06d}.png", np.full((96, 128), 512))
    store = prepare(
        tmp_path / "in", tmp_path / "store", size=(96, 128), holdout=0, baseline=0.25, depth_unit=256,
        target_motion=3.0, progress=False,
    )  # fmt: skip
    assert store.has("stereo")
    assert store.has("depth")
    train, _ = store.samples((0, -1, 1), ("stereo", "depth"))
    batch = store.read(train[:2], needs=("stereo", "depth"))
    assert batch.T_target_to_stereo[0, :3, 3].tolist() == [-0.25, 0, 0]
    assert np.array_equal(np.roll(batch.images[0, 0].numpy(), -5, axis=2), batch.stereo[0].numpy())
    assert (batch.depth == 2).all()
