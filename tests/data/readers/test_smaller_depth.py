"""Depth maps that are smaller than their pictures, as phones give them."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import grey, picture

from geopretrain.data.readers import open_source
from geopretrain.data.readers.cityscapes import read_disparity
from geopretrain.errors import DataError

SMALL, LARGE = (192, 256), (480, 640)


def write(root, shape, suffix=".png"):
    depth = np.full(shape, 2000, np.uint16)
    depth[: shape[0] // 2] = 1000
    depth[0] = 0
    for i in range(3):
        picture(root / "images" / f"{i}.png", i, LARGE)
        if suffix == ".png":
            grey(root / "depth" / f"{i}.png", depth)
        else:
            (root / "depth").mkdir(exist_ok=True)
            np.save(root / "depth" / f"{i}.npy", depth.astype(np.float32) / 1000)
    return root


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_each_measurement_is_repeated_and_that_is_said(tmp_path, suffix):
    (clip,) = open_source(write(tmp_path, SMALL, suffix))
    depth = clip.depth(1)
    assert depth.shape == LARGE
    assert set(np.unique(depth).tolist()) == {0, 1, 2}  # nothing is averaged
    assert (depth[3:240] == 1).all()
    assert (depth[240:] == 2).all()
    assert any(
        "Depth maps are 192x256 px (height x width), smaller than the images" in said
        for said in clip.warnings
    )


@pytest.mark.parametrize("shape", [(240, 240), (960, 1280)])
def test_another_view_or_a_larger_map_is_refused(tmp_path, shape):
    (clip,) = open_source(write(tmp_path, shape))
    with pytest.raises(DataError, match=rf"is {shape[0]}x{shape[1]} px .*, the frames are 480x640"):
        clip.depth(0)


def test_disparities_of_65535_are_unknown(tmp_path):
    values = np.array([[0, 1, 257, 65535]] * 2, np.uint16)
    assert read_disparity(grey(tmp_path / "d.png", values))[0].tolist() == [0, 0, 1, 0]
