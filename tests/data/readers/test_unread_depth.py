"""Pictures and depth maps of kinds that are not read are named."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import grey, picture
from PIL import Image

from geopretrain.data.readers import open_source
from geopretrain.errors import DataError


def test_depth_maps_beside_pictures_that_are_not_read(tmp_path):
    (tmp_path / "depth").mkdir()
    for k in range(3):
        picture(tmp_path / "images" / f"{k}.png", k, (96, 128))
        Image.fromarray(np.ones((96, 128), np.float32)).save(tmp_path / "depth" / f"{k}.tif")
    (clip,) = open_source(tmp_path)
    assert not clip.has_depth
    assert "depth holds .tif files, which are not read as depth" in " ".join(clip.warnings)
    for k in range(3):
        grey(tmp_path / "depth" / f"{k}.png", np.full((96, 128), 900, np.uint16))
    (clip,) = open_source(tmp_path)
    assert clip.has_depth
    assert "not read as depth" not in " ".join(clip.warnings)


def test_pictures_beside_depth_that_are_not_read(tmp_path):
    for k in range(3):
        grey(tmp_path / "depth" / f"{k}.png", np.full((96, 128), 900, np.uint16))
        picture(tmp_path / "images" / f"{k}.png", k, (96, 128))
        (tmp_path / "images" / f"{k}.png").rename(tmp_path / "images" / f"{k}.heic")
    with pytest.raises(DataError, match=r"3 pictures in .*images are of a kind that is not read"):
        open_source(tmp_path)
