"""Cameras that a user already has: read, scaled, what the lens bends undone, poses kept."""

import re

import cv2
import numpy as np
import pytest
from bent_pictures import (
    BROWN,
    CENTRE,
    FISHEYE,
    FOCAL,
    MATRIX,
    SIZE,
    bent,
    colmap,
    dots,
    found_dots,
    opencv,
    picture,
    plane,
    rays,
    ros,
    transforms,
    write_pictures,
)
from making_clips import sliding_frames, write_images, write_video

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.readers import open_source
from geopretrain.data.readers.cameras.lens import Lens, undistortion
from geopretrain.errors import DataError

CORNER = (FOCAL, FOCAL, CENTRE[0] + 0.5, CENTRE[1] + 0.5)
FOUR = BROWN[:4]
RADIAL = (-0.1, 0.0, 0.0, 0.0, 0.0)


def straight(clip) -> None:
    """The frames are what a pinhole camera with the clip's intrinsics sees of the plane, to the border."""
    for frame in clip.frames():
        assert frame.image.shape[:2] == clip.size
        expected = plane(*rays(clip.intrinsics, clip.size)).astype(float)
        difference = np.abs(frame.image - expected)
        assert difference.mean() < 1
        assert difference.max() < 8


WRITTEN = {
    "transforms": (lambda f: transforms(f, k1=BROWN[0], k2=BROWN[1], p1=BROWN[2], p2=BROWN[3]), BROWN),
    "transforms, each frame": (
        lambda f: transforms(f, per_frame=True, k1=BROWN[0], k2=BROWN[1], p1=BROWN[2], p2=BROWN[3]),
        BROWN,
    ),
    "COLMAP text": (lambda f: colmap(f / "sparse/0", "OPENCV", (*CORNER, *FOUR), binary=False), BROWN),
    "COLMAP binary": (
        lambda f: colmap(f / "sparse/0", "SIMPLE_RADIAL", (FOCAL, *CORNER[2:], -0.1), binary=True),
        RADIAL,
    ),
    "OpenCV YAML": (lambda f: opencv(f / "calibration.yml"), BROWN),
    "OpenCV XML": (lambda f: opencv(f / "camera.xml"), BROWN),
    "ROS": (lambda f: ros(f / "front.yaml"), BROWN),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_a_lens_bends_is_undone(tmp_path, kind):
    write, coefficients = WRITTEN[kind]
    write_pictures(tmp_path / "images", coefficients=coefficients)
    write(tmp_path)
    (clip,) = open_source(tmp_path / "images")
    straight(clip)
    assert "its lens bends is undone" in " ".join(clip.warnings)
    assert 0.9 < clip.size[0] * clip.size[1] / (SIZE[0] * SIZE[1]) <= 1.01


@pytest.mark.parametrize("kind", ["transforms", "COLMAP", "OpenCV", "ROS"])
def test_a_fisheye_lens_is_undone(tmp_path, kind):
    write_pictures(tmp_path / "images", coefficients=FISHEYE, fisheye=True)
    if kind == "transforms":
        k1, k2, k3, k4 = FISHEYE
        transforms(tmp_path, camera_model="OPENCV_FISHEYE", k1=k1, k2=k2, k3=k3, k4=k4)
    elif kind == "COLMAP":
        colmap(tmp_path / "colmap/sparse/0", "OPENCV_FISHEYE", (*CORNER, *FISHEYE), binary=True)
    elif kind == "OpenCV":
        opencv(tmp_path / "calibration.yml", FISHEYE, fisheye=True)
    else:
        ros(tmp_path / "camera_info.yaml", FISHEYE, model="equidistant")
    (clip,) = open_source(tmp_path / "images")
    straight(clip)


WIDE = {"fisheye": (340.0, FISHEYE), "brown": (300.0, (-0.22, 0.06, 0.0005, -0.0005, -0.006))}
"""Ultra-wide cameras of phones, over 105 degrees: focal length at 640 px, and what the lens bends."""


@pytest.mark.parametrize("lens", WIDE)
def test_the_frames_of_a_wide_video_are_those_of_a_pinhole_camera_to_a_fraction_of_a_pixel(tmp_path, lens):
    (focal, coefficients), size = WIDE[lens], (360, 640)
    matrix = np.array([[focal, 0, 322.0], [0, focal, 177.5], [0, 0, 1]])
    grid = np.stack(np.meshgrid(np.linspace(-1.2, 1.2, 11), np.linspace(-0.5, 0.5, 6)), -1).reshape(-1, 2)
    moments = [grid + shift for shift in (0.0, 0.03, 0.06)]
    there = [np.stack(bent(*seen.T, coefficients, lens == "fisheye"), -1) for seen in moments]
    pixels = [focal * at + matrix[:2, 2] for at in there]
    write_video(tmp_path / "walk.mp4", [dots(at, size) for at in pixels])
    opencv(tmp_path / "walk.yaml", coefficients, fisheye=lens == "fisheye", matrix=matrix, size=size)
    (clip,) = open_source(tmp_path / "walk.mp4")
    wide = np.degrees(2 * np.arctan(clip.size[1] / 2 / clip.intrinsics[0, 0]))
    assert wide > 100
    for frame, seen in zip(clip.frames(), moments, strict=True):
        expected = seen * np.diag(clip.intrinsics)[:2] + clip.intrinsics[:2, 2]
        inside = ((expected > 12) & (expected < np.array(clip.size[::-1]) - 13)).all(1)
        off = np.abs(found_dots(frame.image, expected[inside]) - expected[inside])
        assert inside.sum() >= 30
        assert off.mean() < 0.1
        assert off.max() < 0.5
    assert np.abs(pixels[0] - (moments[0] * focal + matrix[:2, 2])).max() > 50  # what was undone


def test_a_very_wide_lens_keeps_what_a_pinhole_camera_can_show():
    wide = Lens(np.array([[100.0, 0, 159.5], [0, 100.0, 119.5], [0, 0, 1]]), (0.0,) * 4, True)  # 183 degrees
    straightened = undistortion([wide], SIZE)
    half = np.degrees(np.arctan(straightened.size[1] / 2 / straightened.intrinsics[0, 0]))
    assert straightened.cut
    assert 55 < half < 61
    seen = straightened(picture((0.0,) * 4, True, wide.intrinsics))
    expected = plane(*rays(straightened.intrinsics, straightened.size)).astype(float)
    assert np.abs(seen - expected).mean() < 1.5


def test_pinhole_cameras_change_no_pixel(tmp_path):
    frames = [picture()] * 3
    write_images(tmp_path / "images", frames, "frame_{:05d}.png")
    colmap(tmp_path / "sparse", "PINHOLE", CORNER, binary=False)
    (clip,) = open_source(tmp_path / "images")
    assert all(np.array_equal(frame.image, frames[0]) for frame in clip.frames())
    assert np.allclose(clip.intrinsics, MATRIX)


@pytest.mark.parametrize("kind", ["transforms", "text", "binary"])
def test_poses_are_camera_to_world_with_y_down(tmp_path, kind):
    write_pictures(tmp_path / "images", count=4)
    if kind == "transforms":
        transforms(tmp_path, count=3)
    else:
        colmap(tmp_path / "sparse/0", "PINHOLE", CORNER, binary=kind == "binary")
    (clip,) = open_source(tmp_path / "images")
    assert clip.has_poses
    assert clip.pose(3) is None  # not named in the file
    move = np.linalg.inv(clip.pose(0)) @ clip.pose(2)  # from camera 2 into camera 0
    assert np.allclose(move[:3, 3], (0.2, 0, 1.0), atol=1e-9)  # to the right, and forward
    assert np.allclose(move[:3, :3], np.eye(3))


def world(count=40):
    """Points in front of the pictures of `colmap`, and four that do not count."""
    random = np.random.default_rng(0)
    places = random.uniform((-1, -1, 4), (1, 1, 9), (count, 3))
    bad = [
        (0, 0, 5, 9.0, 3),
        (0, 0, 5, 0.3, 2),
        (0, 0, -3, 0.3, 3),
        (99, 0, 5, 0.3, 3),
    ]  # far, few, behind, outside
    return [(*place, -1.0 if k % 2 else 0.5, 3) for k, place in enumerate(places)] + bad


class TestPointsOfAModel:
    @pytest.mark.parametrize("binary", [False, True])
    @pytest.mark.parametrize("lens", ["PINHOLE", "OPENCV"])
    def test_are_where_the_pictures_see_them(self, tmp_path, binary, lens):
        write_pictures(tmp_path / "images", coefficients=BROWN if lens == "OPENCV" else (0.0,) * 5, count=4)
        values = (*CORNER, *FOUR) if lens == "OPENCV" else CORNER
        colmap(tmp_path / "sparse/0", lens, values, binary=binary, points=world())
        (clip,) = open_source(tmp_path / "images")
        assert clip.points(3) is None, "not named in the model"
        for frame in range(3):
            found = clip.points(frame)
            places = np.array(world())[:40, :3] + (-0.1 * frame, 0.2, -0.5 * frame)
            assert found[:, 2] == pytest.approx(places[: len(found), 2])
            pixels = places @ clip.intrinsics.T
            inside = [
                (0 <= x < clip.size[1]) and (0 <= y < clip.size[0]) for x, y in pixels[:, :2] / pixels[:, 2:]
            ]
            assert len(found) >= sum(inside) >= 30
            assert found[:, :2] == pytest.approx((pixels / pixels[:, 2:])[: len(found), :2])
        assert "with the poses of 3 of 4 frames and the points that 3 of these see." in clip.warnings[-1]
        assert clip.camera_origin == "from sparse/0"

    def test_lie_in_the_store_for_a_check_of_depth(self, tmp_path):
        write_images(tmp_path / "images", sliding_frames(12, size=SIZE), "frame_{:05d}.png")
        colmap(tmp_path / "sparse/0", "PINHOLE", CORNER, binary=True, count=12, points=world())
        store = prepare(tmp_path / "images", tmp_path / "store", size=SIZE, progress=False)
        assert re.search(
            r"Sparse points of \d+ frames, for evaluate --protocol points-med", store_in_words(store)
        )
        assert len(store.points(0, 2)) >= 30

    @pytest.mark.parametrize("binary", [False, True])
    def test_that_are_damaged_leave_camera_and_poses(self, tmp_path, binary):
        write_pictures(tmp_path / "images", count=3)
        folder = colmap(tmp_path / "sparse/0", "PINHOLE", CORNER, binary=binary, points=world())
        file = folder / ("points3D.bin" if binary else "points3D.txt")
        file.write_bytes(file.read_bytes()[:200] if binary else b"7 1 2 x\n")
        (clip,) = open_source(tmp_path / "images")
        assert clip.has_poses
        assert clip.points(0) is None
        assert "The points of the model are left out: " in clip.warnings[-1]
        assert "points3D" in clip.warnings[-1]


def test_pictures_made_smaller_have_their_camera_made_smaller(tmp_path):
    small = [cv2.resize(picture(BROWN), (160, 120), interpolation=cv2.INTER_AREA)] * 3
    write_images(tmp_path / "images_2", small, "frame_{:05d}.png")
    transforms(tmp_path, k1=BROWN[0], k2=BROWN[1], p1=BROWN[2], p2=BROWN[3])
    (clip,) = open_source(tmp_path / "images_2")
    straight(clip)
    assert clip.size[1] < 170
    assert "calibrated for pictures of 240x320, these are of 120x160 px (height x width)" in " ".join(
        clip.warnings
    )


def test_frames_of_two_cameras_are_brought_to_one(tmp_path):
    other = MATRIX.copy()
    other[0, 0] = other[1, 1] = 200.0
    write_pictures(tmp_path / "images", coefficients=BROWN)
    write_images(tmp_path / "images", [picture(matrix=other)] * 2, "zoom_{:05d}.png")
    file = transforms(tmp_path, per_frame=True, k1=BROWN[0], k2=BROWN[1], p1=BROWN[2], p2=BROWN[3])
    import json

    values = json.loads(file.read_text())
    first = {
        name: value for name, value in values["frames"][0].items() if name not in ("k1", "k2", "p1", "p2")
    }
    values["frames"] += [
        first | {"file_path": f"images/zoom_0000{i}.png", "fl_x": 200, "fl_y": 200} for i in (0, 1)
    ]
    file.write_text(json.dumps(values))
    (clip,) = open_source(tmp_path / "images")
    assert clip.length == 5
    straight(clip)


def test_a_video_and_a_store_say_where_the_camera_is_from(tmp_path):
    write_video(tmp_path / "walk.mp4", sliding_frames(30, size=(240, 320)))
    write_video(tmp_path / "run.mp4", sliding_frames(30, size=(240, 320)))
    opencv(tmp_path / "walk.yaml")
    store = prepare(tmp_path / "walk.mp4", tmp_path / "store", progress=False)
    assert store.intrinsics_known
    assert store.clips[0].camera == "from walk.yaml"
    assert store.clips[0].original_size != SIZE
    assert "degrees (from walk.yaml)" in store_in_words(store)
    (run,) = open_source(tmp_path / "run.mp4")
    assert run.intrinsics is None  # the calibration is that of the other video
    other = prepare(
        tmp_path / "run.mp4", tmp_path / "other", progress=False, camera_file=tmp_path / "walk.yaml"
    )
    assert other.clips[0].intrinsics == store.clips[0].intrinsics
    given = prepare(tmp_path / "walk.mp4", tmp_path / "given", progress=False, intrinsics="200,200,160,120")
    assert given.clips[0].original_size == SIZE
    assert given.clips[0].camera == "given by the user"


def test_depth_goes_the_same_way(tmp_path):
    write_pictures(tmp_path / "images", coefficients=BROWN)
    x, _ = rays(MATRIX, SIZE, BROWN)
    (tmp_path / "depth").mkdir()
    for i in range(3):
        np.save(tmp_path / "depth" / f"frame_{i + 1:05d}.npy", np.float32(3 + x))
    ros(tmp_path / "camera.yaml")
    (clip,) = open_source(tmp_path)
    depth = clip.depth(0)
    assert depth.shape == clip.size
    assert np.abs(depth - (3 + rays(clip.intrinsics, clip.size)[0])).max() < 0.01


def cut(path, length=-7):
    path.write_bytes(path.read_bytes()[:length])


BAD = {
    "cut off": (lambda f: cut(colmap(f, "PINHOLE", CORNER, binary=True) / "images.bin"), "cut off"),
    "cameras cut off": (lambda f: cut(colmap(f, "PINHOLE", CORNER, binary=True) / "cameras.bin"), "cut off"),
    "empty": (lambda f: (f / "transforms.json").write_text(""), "is empty"),
    "no JSON": (lambda f: (f / "transforms.json").write_text('{"frames": ['), "no JSON"),
    "no frames": (lambda f: (f / "transforms.json").write_text('{"fl_x": 100}'), "frames is missing"),
    "NaN": (lambda f: transforms(f, fl_x=float("nan")), "finite"),
    "focal length 0": (lambda f: transforms(f, fl_x=0), "fl_x must be"),
    "no focal length": (lambda f: transforms(f, fl_x=None, fl_y=None), "no fl_x"),
    "another model": (
        lambda f: transforms(f, camera_model="EQUIRECTANGULAR"),
        "EQUIRECTANGULAR, which cannot",
    ),
    "FOV": (lambda f: colmap(f, "FOV", (*CORNER, 0.9), binary=False), "FOV, which cannot"),
    "too few numbers": (lambda f: colmap(f, "OPENCV", CORNER, binary=False), "has 8 parameters, not 4"),
    "cropped": (lambda f: colmap(f, "PINHOLE", CORNER, binary=True, size=(240, 400)), "another shape"),
    "folded": (lambda f: ros(f / "camera.yaml", (-4.0, 0, 0, 0)), "fold the picture over"),
    "ROS without numbers": (lambda f: ros(f / "camera.yaml", numbers=(1, 2, 3)), "holds 3 numbers"),
    "ROS NaN": (lambda f: ros(f / "camera.yaml", (".nan", 0, 0, 0, 0)), "finite numbers"),
    "two": (lambda f: (ros(f / "left.yaml"), ros(f / "right.yaml")), "holds 2 calibrations"),
    "XML": (lambda f: (f / "camera.xml").write_text("<opencv_storage><a>"), "cannot be read as XML"),
    "unknown lens": (lambda f: ros(f / "camera.yaml", model="mei"), "lens model mei"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_used_is_told(tmp_path, kind):
    write, words = BAD[kind]
    folder = write_pictures(tmp_path / "images")
    write(folder)
    (clip,) = open_source(folder)
    assert words in clip.camera_problem
    with pytest.raises(DataError, match=re.escape(words)):
        prepare(folder, tmp_path / "store", progress=False)
    prepare(folder, tmp_path / "store", progress=False, intrinsics="170,170,160,120", min_motion=0)


def test_files_of_others_are_no_cameras(tmp_path):
    folder = write_pictures(tmp_path / "images")
    (folder / "config.yaml").write_text("k: 3\nwidth: 100\nlayers: [1, 2]\n")
    (folder / "broken.yaml").write_text("a: [1, 2\n")
    (folder / "mkdocs.yml").write_text("site: !!python/name:x.y\n")
    (folder / "gone.yaml").symlink_to(folder / "nowhere.yaml")
    (folder / "cameras.txt").write_text("front left right\n")
    (clip,) = open_source(folder)
    assert clip.camera_problem is None
    assert clip.intrinsics is None


def test_a_file_that_is_named_must_be_there(tmp_path):
    folder = write_pictures(tmp_path / "images")
    for name, words in (("none.json", "does not exist"), ("images", "no COLMAP model")):
        with pytest.raises(DataError, match=words):
            open_source(folder, camera_file=tmp_path / name)
