"""The drawing helpers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from geopretrain import pictures
from geopretrain.errors import RunFolderError
from geopretrain.files import write_picture


def test_near_is_bright_and_broken_pixels_are_grey():
    disparity = np.linspace(0, 1, 200).reshape(10, 20)
    disparity[0, 0] = np.nan
    picture = pictures.colour_depth(disparity)
    assert picture.shape == (10, 20, 3)
    assert picture.dtype == np.uint8
    assert picture[-1, -1].sum() > picture[5, 0].sum() > picture[0, 1].sum()
    assert picture[0, 0].tolist() == [128, 128, 128]


def test_a_few_very_near_pixels_do_not_darken_the_rest():
    disparity = np.linspace(0, 1, 400).reshape(20, 20)
    spiked = disparity.copy()
    spiked[0, 0] = 1000
    difference = pictures.colour_depth(spiked).astype(int) - pictures.colour_depth(disparity)
    assert np.abs(difference)[1:].max() < 10


def test_flat_and_empty_depth_can_be_drawn():
    assert len(np.unique(pictures.colour_depth(np.ones((4, 4))).reshape(-1, 3), axis=0)) == 1
    assert (pictures.colour_depth(np.full((4, 4), np.nan)) == 128).all()


def test_labels_take_the_colours_given_and_unknown_ids_are_black():
    colours = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    picture = pictures.colour_labels(np.array([[0, 1], [2, 255]]), colours)
    assert picture.tolist() == [[[10, 20, 30], [40, 50, 60]], [[0, 0, 0], [0, 0, 0]]]


def test_palette_colours_are_distinct():
    palette = pictures.class_palette(30)
    assert len({tuple(colour) for colour in palette.tolist()}) == 30


def test_layout_keeps_the_pictures_whole():
    red, blue = np.zeros((6, 8, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    row = pictures.side_by_side([red, blue])
    assert (row[:6, :8] == red).all()
    assert (row[:4, -5:] == blue).all()
    captioned = pictures.side_by_side([red, blue], ["a", "b"])
    assert (captioned[-6:, :8] == red).all()
    assert captioned.shape[0] > row.shape[0]
    both = pictures.grid([row, blue])
    assert (both[-4:, :5] == blue).all()


def test_png_is_written_whole_and_failure_is_explained(tmp_path):
    picture = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    write_picture(tmp_path / "new" / "a.png", picture)
    assert (np.asarray(Image.open(tmp_path / "new" / "a.png")) == picture).all()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_picture(tmp_path / "file" / "a.png", picture)


def test_flow_has_a_colour_for_each_direction_and_white_for_none():
    flow = np.zeros((2, 8, 8))
    flow[0, 0, 0], flow[1, 0, 1], flow[0, 0, 2], flow[1, 0, 3] = 4, 4, -4, -4
    flow[:, 7, 7] = np.nan
    picture = pictures.colour_flow(flow, largest=4)
    right, down, left, up = picture[0, :4].astype(int)
    assert right.tolist() == [255, 0, 0]
    assert down.tolist() == [128, 255, 0]
    assert left.tolist() == [0, 255, 255]
    assert up.tolist() == [128, 0, 255]
    assert picture[3, 3].tolist() == [255, 255, 255]
    assert picture[7, 7].tolist() == [128, 128, 128]


def test_tiny_flow_stays_pale():
    assert pictures.colour_flow(np.full((2, 4, 4), 0.01)).min() > 245


def test_numbers_that_are_none_are_grey():
    values = np.array([[[0.0, 1.0, np.nan, np.inf, -1.0, 2.0]]] * 3, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pictures.image(values)[0, :, 0].tolist() == [0, 255, 128, 128, 0, 255]
        assert pictures.grey(values[0])[0, :, 1].tolist() == [0, 255, 128, 128, 0, 255]
