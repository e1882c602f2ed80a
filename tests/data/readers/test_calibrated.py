"""A calibration is that of the pictures it was made for; to resized pictures the camera is scaled."""

import json
import re

import cv2
import numpy as np
import pytest
from making_clips import sliding_frames, texture, write_images, write_kitti, write_stereo
from PIL import Image

from geopretrain.data.prepare import inspection
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.verdict import judge_store
from geopretrain.data.readers import open_source
from geopretrain.data.readers.calibrated import resizing
from geopretrain.errors import DataError

KITTI = "721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884"
RIGHT = "721.5377 0 609.5593 -339.5242 0 721.5377 172.854 2.199936 0 0 1 0.002729905"


def kitti_raw(root, size, extra="S_rect_02: 1.242000e+03 3.750000e+02\n"):
    """A KITTI drive at another (height, width)."""
    drive = root / "2011_09_26" / "2011_09_26_drive_0001_sync"
    for camera, seed in (("02", 0), ("03", 1)):
        write_images(drive / f"image_{camera}" / "data", [texture(*size, seed)] * 3, "{:010d}.png")
    text = f"R_rect_00: 1 0 0 0 1 0 0 0 1\n{extra}P_rect_02: {KITTI}\nP_rect_03: {RIGHT}\n"
    (drive.parent / "calib_cam_to_cam.txt").write_text(text)
    return drive


def test_resizing_keeps_the_border_in_place():
    corners = np.array([[-0.5, -0.5, 1], [1241.5, 374.5, 1]]).T
    assert np.allclose((resizing((375, 1242), (192, 640)) @ corners)[:2], [[-0.5, 639.5], [-0.5, 191.5]])


@pytest.mark.parametrize("extra", ["S_rect_02: 1.242000e+03 3.750000e+02\n", ""])
def test_kitti_raw_made_smaller(tmp_path, extra):
    drive = kitti_raw(tmp_path, (192, 640), extra)
    (drive.parent / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    (drive / "velodyne_points" / "data").mkdir(parents=True)
    np.array([[10, 0, 0, 0.5]], np.float32).tofile(drive / "velodyne_points" / "data" / f"{0:010d}.bin")
    (clip,) = open_source(tmp_path)
    x, y = 640 / 1242, 192 / 375
    expected = (721.5377 * x, 721.5377 * y, (609.5593 + 0.5) * x - 0.5, (172.854 + 0.5) * y - 0.5)
    for camera in (clip.intrinsics, clip.stereo_intrinsics):
        assert np.allclose((camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2]), expected)
    assert -clip.T_to_stereo[0, 3] == pytest.approx(0.5327, abs=1e-3)  # m, whatever the pictures
    assert any("calibrated for pictures of 375x1242, these are of 192x640 px" in w for w in clip.warnings)
    seen = np.argwhere(clip.depth(0) > 0)
    assert np.abs(seen[0] - (expected[3], expected[2])).max() < 4  # a point straight ahead
    assert "field of view 81 x 29" in inspection.inspect(str(tmp_path)).text()


def test_pictures_as_released_keep_their_camera(tmp_path):
    kitti_raw(tmp_path, (375, 1242))
    (clip,) = open_source(tmp_path)
    assert clip.intrinsics[0, 0] == 721.5377
    assert clip.warnings == []


def test_cropped_pictures_have_no_camera(tmp_path):
    kitti_raw(tmp_path, (320, 640))
    (clip,) = open_source(tmp_path)
    assert clip.intrinsics is None
    report = inspection.inspect(str(tmp_path))
    assert "320x640 px (height x width), but their calibration is of 375x1242" in report.text()
    assert not report.fit
    with pytest.raises(DataError, match=r"drive_0001_sync: .*cannot be told how they were cut.*--intrinsics"):
        prepare(tmp_path, tmp_path / "out", progress=False)
    camera = "400,400,319.5,150"
    store = prepare(tmp_path, tmp_path / "store", progress=False, intrinsics=camera, still_images=True)
    assert store.intrinsics_known


def kitti_depth(root, name, size, maps):
    """KITTI depth's layout, with pictures and depth maps of given (height, width)."""
    write_images(root / name / "image_02" / "data", [texture(*size)] * 2, "{:010d}.png")
    folder = root / name / "proj_depth" / "groundtruth" / "image_02"
    folder.mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(folder / f"{number:010d}.png"), np.full(maps, 2560, np.uint16))
    return open_source(root)[0]


@pytest.mark.parametrize(
    ("name", "maps", "released", "focal"),
    [
        ("2011_09_26_drive_0001_sync", (192, 640), (375, 1242), 721.5377),
        ("2011_10_03_drive_0034_sync", (192, 640), (376, 1241), 718.856),
        ("drive", (370, 1224), (370, 1224), 707.0493),  # the day is that of the depth maps
    ],
)
def test_kitti_depth_made_smaller(tmp_path, name, maps, released, focal):
    clip = kitti_depth(tmp_path, name, (192, 640), maps)
    assert clip.intrinsics[0, 0] == pytest.approx(focal * 640 / released[1])
    assert clip.intrinsics[1, 1] == pytest.approx(focal * 192 / released[0])
    said = f"calibrated for pictures of {released[0]}x{released[1]}, these are of 192x640 px"
    assert any(said in warning for warning in clip.warnings)


def test_kitti_depth_of_other_shape_or_no_day_has_no_camera_and_says_so(tmp_path):
    clip = kitti_depth(tmp_path / "a", "2011_09_26_drive_0001_sync", (320, 640), (320, 640))
    assert clip.intrinsics is None
    assert "320x640 px (height x width), but their calibration is of 375x1242" in clip.camera_problem
    clip = kitti_depth(tmp_path / "b", "drive", (192, 640), (192, 640))
    assert clip.intrinsics is None
    assert "no KITTI day has images of 192x640 px" in clip.warnings[0]
    clip = kitti_depth(tmp_path / "c", "drive", (375, 1242), (375, 1242))
    assert clip.intrinsics[0, 0] == 721.5377


def test_kitti_odometry_made_smaller(tmp_path):
    sequence = tmp_path / "sequences" / "00"
    write_images(sequence / "image_2", [texture(188, 620)] * 3)
    (sequence / "calib.txt").write_text("P2: 718.856 0 607.1928 45.38 0 718.856 185.2157 -0.11 0 0 1 0.004\n")
    (clip,) = open_source(tmp_path)
    assert clip.intrinsics[0, 0] == pytest.approx(718.856 * 620 / 1241)


@pytest.mark.parametrize("disparity", [False, True])
def test_stereo_folder_with_kitti_calibration_made_smaller(tmp_path, disparity):
    for side, seed in (("left", 1), ("right", 2)):
        write_images(tmp_path / side, [texture(188, 621, seed)] * 2)
    (tmp_path / "calib.txt").write_text(f"P2: {KITTI}\nP3: {RIGHT}\n")
    if disparity:
        (tmp_path / "disparity").mkdir()
        cv2.imwrite(str(tmp_path / "disparity" / "000000.png"), np.full((188, 621), 100 * 256, np.uint16))
    (clip,) = open_source(tmp_path)
    assert clip.intrinsics[0, 0] == pytest.approx(721.5377 / 2)
    if disparity:  # the values are px of the pictures that were calibrated
        assert np.allclose(clip.depth(0), 721.5377 * 0.5327 / 100, rtol=1e-3)


def test_cityscapes_at_half_size(tmp_path):
    city = tmp_path / "leftImg8bit" / "train" / "aachen"
    write_images(city, [texture(512, 1024)] * 2, "aachen_000000_{:06d}_leftImg8bit.png")
    camera = tmp_path / "camera" / "train" / "aachen" / "aachen_000000_000000_camera.json"
    camera.parent.mkdir(parents=True)
    intrinsic = {"fx": 2262.52, "fy": 2265.3, "u0": 1096.98, "v0": 513.137}
    camera.write_text(json.dumps({"intrinsic": intrinsic, "extrinsic": {"baseline": 0.209313}}))
    maps = tmp_path / "disparity" / "train" / "aachen"
    maps.mkdir(parents=True)
    values = np.full((512, 1024), 50 * 256 + 1, np.uint16)
    cv2.imwrite(str(maps / "aachen_000000_000000_disparity.png"), values)
    (clip,) = open_source(tmp_path)
    assert clip.intrinsics[0, 2] == pytest.approx(1097.48 / 2 - 0.5)
    assert np.allclose(clip.depth(0), 2262.52 * 0.209313 / 50)
    assert any("1024x2048, these are of 512x1024 px" in warning for warning in clip.warnings)


@pytest.mark.parametrize("layout", ["tum", "7scenes", "nyu"])
def test_depth_cameras_at_half_size(tmp_path, layout):
    folder = tmp_path / "rgbd_dataset_freiburg1_xyz"
    names = {"tum": "{}.png", "7scenes": "frame-{:06d}.color.png", "nyu": "rgb_{:05d}.png"}
    write_images(folder, [texture(240, 320)] * 3, names[layout])
    if layout == "tum":
        for name in ("rgb", "depth"):
            (folder / f"{name}.txt").write_text("".join(f"{i / 10} {i}.png\r\n" for i in range(3)))
    if layout == "7scenes":
        (folder / "camera-intrinsics-color.txt").write_text("530 0 320\n0 530 240\n0 0 1\n")
    if layout == "nyu":
        cv2.imwrite(str(folder / "sync_depth_00000.png"), np.full((240, 320), 1000, np.uint16))
    (clip,) = open_source(tmp_path)
    focal = {"tum": 517.3, "7scenes": 530.0, "nyu": 518.8579}[layout]
    assert clip.intrinsics[0, 0] == pytest.approx(focal / 2)
    assert any("480x640, these are of 240x320 px" in warning for warning in clip.warnings)


def test_intrinsics_file_may_say_its_size(tmp_path):
    write_images(tmp_path, sliding_frames(3))
    (tmp_path / "intrinsics.txt").write_text("\ufeff200, 200, 127.5, 95.5\r\n256 192\r\n", encoding="utf-8")
    (clip,) = open_source(tmp_path)
    assert np.allclose(clip.intrinsics, [[100, 0, 63.5], [0, 100, 47.5], [0, 0, 1]])


def test_middlebury_says_its_size(tmp_path):
    for name in ("im0", "im1"):
        Image.fromarray(texture(100, 150)).save(tmp_path / f"{name}.png")
    text = "cam0=[400 0 149.5; 0 400 99.5; 0 0 1]\ncam1=[400 0 159.5; 0 400 99.5; 0 0 1]\n"
    (tmp_path / "calib.txt").write_text(f"{text}doffs=10\nbaseline=100\nwidth=300\nheight=200\n")
    (clip,) = open_source(tmp_path)
    assert clip.intrinsics[0, 0] == 200
    assert clip.stereo_intrinsics[0, 2] - clip.intrinsics[0, 2] == pytest.approx(5)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ("200 200 127.5 95.5", "far from the middle.*of about 192x256.*--intrinsics 100,100,63.5,47.5"),
        (
            "300 300 300 40",
            "is outside the pictures of 96x128 px .height x width.: the intrinsics are of other",
        ),
        ("2000 100 63.5 47.5", "horizontal field of view is 4 degrees"),
        ("100 2000 63.5 47.5", "vertical field of view is 3 degrees"),
    ],
)
def test_a_camera_that_cannot_be_right_is_loud_everywhere(tmp_path, numbers, words, caplog):
    write_images(tmp_path / "in", sliding_frames(6))
    (tmp_path / "in" / "intrinsics.txt").write_text(numbers)
    report = inspection.inspect(str(tmp_path / "in"))
    assert not report.fit
    store = prepare(tmp_path / "in", tmp_path / "store")
    for text in (report.text(), caplog.text, "\n".join(store.warnings)):
        assert re.search(f"Check the camera: .*{words}", " ".join(text.split()))


def test_a_camera_of_cut_pictures_is_loud_but_fit(tmp_path):
    write_images(tmp_path / "in", sliding_frames(6))
    (tmp_path / "in" / "intrinsics.txt").write_text("100 100 63.5 20")
    report = inspection.inspect(str(tmp_path / "in"))
    assert "WARNING    Check the camera: " in report.text()
    assert "Look at the WARNING above first. Fit with little data" in report.text()
    store = prepare(tmp_path / "in", tmp_path / "store", progress=False)
    assert any("cut out of larger ones" in warning for warning in store.warnings)
    assert judge_store(store) == report.verdict
    (tmp_path / "in" / "intrinsics.txt").write_text("100 100 63.5 20 128 96")  # said to be of these
    assert "WARNING" not in inspection.inspect(str(tmp_path / "in")).text()


def test_given_cameras_of_synthetic_and_stereo_data_are_quiet(tmp_path):
    write_kitti(tmp_path / "kitti")
    write_stereo(tmp_path / "stereo")
    for spec in (tmp_path / "kitti", tmp_path / "stereo", "synthetic:street?frames=3"):
        assert all("Check the camera" not in problem for problem in inspection.inspect(str(spec)).problems)
