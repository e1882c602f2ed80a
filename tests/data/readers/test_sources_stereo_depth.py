"""Readers of depth maps, of left/ + right/ and of images/ + depth/, on tiny files."""

import numpy as np
import pytest
from making_clips import CALIBRATION, sliding_frames, write_depth, write_images, write_pfm, write_stereo

from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.data.readers.depth_maps import (
    clean_depth,
    depth_from_disparity,
    move_depth,
    read_depth,
    read_pfm,
    unit_warning,
)
from geopretrain.data.readers.stereo_calibration import read_stereo_calibration
from geopretrain.errors import ConfigError, DataError

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
    with pytest.raises(DataError, match=r"a\.pfm is truncated: 77 bytes.*4x5 px \(height x width\) need 80"):
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


def test_sources_stereo_missing_right_images(tmp_path):
    write_stereo(tmp_path)
    (tmp_path / "right" / "000001.png").unlink()
    (clip,) = open_source(tmp_path)
    assert clip.stereo(1) is None
    assert "1 of 3 frames have no right image." in clip.warnings
    for i in (0, 2):
        (tmp_path / "right" / f"{i:06d}.png").rename(tmp_path / "right" / f"z{i}.png")
    with pytest.raises(DataError, match=r"no right image of any frame.*left/000000\.png and right/z0\.png"):
        open_source(tmp_path)
    for file in (tmp_path / "right").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="holds no images; the right images"):
        open_source(tmp_path)


def test_sources_stereo_right_image_of_another_size_and_named_by_side(tmp_path):
    write_images(tmp_path / "left", sliding_frames(2), "left_{:03d}.png")
    write_images(tmp_path / "right", sliding_frames(2, size=(64, 96)), "right_{:03d}.png")
    (clip,) = open_source(tmp_path, baseline=0.1)
    assert clip.intrinsics is None
    with pytest.raises(
        DataError, match=r"right_000\.png is 64x96 px \(height x width\), the frames are 96x128"
    ):
        clip.stereo(0)
    with pytest.raises(ConfigError, match="baseline must be a positive number"):
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
    assert "taken as millimetres" in clip.warnings[0]
    (clip,) = open_source(tmp_path, depth_unit=256)
    assert clip.depth(0)[0, 0] == 10
    assert clip.warnings == []
    (clip,) = open_source(tmp_path, depth_unit=1)
    assert "millimetres read as metres" in clip.warnings[0]


def test_sources_depth_folder_problems(tmp_path):
    write_images(tmp_path / "images", sliding_frames(3))
    write_depth(tmp_path / "depth" / "000000.png", np.ones((48, 48)))
    (clip,) = open_source(tmp_path)
    with pytest.raises(DataError, match=r"000000\.png is 48x48 px \(height x width\), the frames are 96x128"):
        clip.depth(0)
    (tmp_path / "depth" / "000000.png").rename(tmp_path / "depth" / "x.png")
    with pytest.raises(DataError, match="no depth map of any image"):
        open_source(tmp_path)


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
    fields = Fields((0, -1, 1), ("stereo", "depth"))
    batch = store.read(store.splits(fields)["train"][:2], fields)
    assert batch.T_target_to_stereo[0, :3, 3].tolist() == [-0.25, 0, 0]
    assert np.array_equal(np.roll(batch.images[0, 0].numpy(), -5, axis=2), batch.stereo[0].numpy())
    assert (batch.depth == 2).all()
