"""Raw dumps of NYU Depth v2: order of bytes, times, both lenses, and depth in the colour camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from native_trees import nyu_raw

from geopretrain.data.readers import open_source
from geopretrain.data.readers.kinect import COLOUR, DEPTH, DEPTH_TO_COLOUR, depth_of_values
from geopretrain.errors import DataError

SIZE, TOP, LEFT = (427, 561), 44, 40


def grey(value=90):
    return np.full((480, 640, 3), value, np.uint8)


def values(value=800):
    return np.full((480, 640), value, np.uint16)


def straight(lens, pixel):
    """Return where a pixel of a lens is in the pinhole camera of the same numbers."""
    found = cv2.undistortPoints(
        np.array([[pixel]], float), lens.intrinsics, np.array(lens.coefficients), P=lens.intrinsics
    )
    return found.reshape(2)


def test_depth_is_of_the_toolboxs_formula():
    given = np.array([[0, 600, 741, 1057, 1058, 1092, 1093, 2047]])
    expected = [0, 351.3 / 492.5, 351.3 / 351.5, 351.3 / 35.5, 0, 0, 0, 0]
    assert depth_of_values(given)[0] == pytest.approx(expected)


def test_each_picture_has_the_depth_that_is_nearest_in_time(tmp_path):
    pictures = [(0.1 * i, grey(10 * i)) for i in range(5)] + [(2.0, grey(200))]
    depths = [(0.01, values(700)), (0.13, values(800)), (0.31, values(900)), (1.9, values(600))]
    (clip,) = open_source(nyu_raw(tmp_path / "basement_0001a", pictures, depths))
    assert (clip.kind, clip.length, clip.size, clip.fps) == (
        "nyuv2_raw",
        6,
        SIZE,
        pytest.approx(10, rel=1e-3),
    )
    assert clip.depth_indices() == [0, 1, 3]
    middles = [float(np.median(clip.depth(i)[clip.depth(i) > 0])) for i in (0, 1, 3)]
    assert middles == pytest.approx([351.3 / (1092.5 - value) for value in (700, 800, 900)], rel=0.01)
    assert clip.depth(2) is None
    assert [clip.starts_anew(i) for i in range(6)] == [False] * 5 + [True]
    assert clip.time(5) == pytest.approx(2.0)
    assert clip.frame(2).image[200, 200].tolist() == [20] * 3


@pytest.mark.parametrize("pixel", [(120, 90), (330, 240), (560, 400)])
def test_what_the_lenses_bend_is_undone_and_depth_lies_on_the_picture(tmp_path, pixel):
    image, depth = grey(), values(800)
    x, y = pixel
    image[y - 3 : y + 4, x - 3 : x + 4] = 250
    depth[y - 3 : y + 4, x - 3 : x + 4] = 700  # nearer: 0.895 m before 1.201 m
    (clip,) = open_source(nyu_raw(tmp_path / "scene", [(0.0, image)] * 1, [(0.0, depth)]))
    rows, columns = np.nonzero(clip.frame(0).image[..., 0] > 170)
    assert [columns.mean(), rows.mean()] == pytest.approx(straight(COLOUR, pixel) - [LEFT, TOP], abs=0.5)
    near = 351.3 / (1092.5 - 700)
    ray = np.linalg.inv(DEPTH.intrinsics) @ [*straight(DEPTH, pixel), 1]
    moved = DEPTH_TO_COLOUR[:3, :3] @ (near * ray) + DEPTH_TO_COLOUR[:3, 3]
    expected = (clip.intrinsics @ (moved / moved[2]))[:2]
    measured = clip.depth(0)
    rows, columns = np.nonzero((measured > 0) & (measured < 1.0))
    assert [columns.mean(), rows.mean()] == pytest.approx(expected, abs=0.6)
    assert measured[rows, columns].mean() == pytest.approx(moved[2], rel=0.002)
    np.testing.assert_allclose(clip.intrinsics[:2, 2], [325.58 - LEFT, 253.74 - TOP], atol=0.01)


def test_files_whose_bytes_are_in_order_are_read_too_and_others_refused(tmp_path):
    folder = nyu_raw(tmp_path / "scene", [(0.0, grey())], [(0.0, values(0x0290).byteswap())])
    (clip,) = open_source(folder)
    assert np.median(clip.depth(0)) == pytest.approx(351.3 / (1092.5 - 0x290), rel=0.01)
    (file,) = folder.glob("d-*.pgm")
    file.write_bytes(file.read_bytes()[:-640] + b"\xff\xff" * 320)
    with pytest.raises(DataError, match="more than the 11 bits of a Kinect"):
        clip.depth(0)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read"):
        clip.depth(0)


def test_scenes_are_found_below_and_pictures_of_another_size_are_refused(tmp_path):
    for name in ("office_0002", "office_0010"):
        nyu_raw(tmp_path / "raw" / name, [(0.0, grey())], [(0.0, values())])
    assert [clip.name for clip in open_source(tmp_path)] == [
        f"{tmp_path.name}/raw/office_00{n}" for n in ("02", "10")
    ]
    nyu_raw(tmp_path / "small", [(0.0, grey()[::2, ::2])], [])
    with pytest.raises(DataError, match="pictures of the Kinect are 480x640"):
        open_source(tmp_path / "small")
