"""Augmentation of images with depth: strips of depth, windows, colours."""

from __future__ import annotations

import colorsys

import pytest
import torch

from geopretrain.data.augment.depth import (
    from_hsv,
    random_colours,
    random_depth_windows,
    to_hsv,
    vertical_cut_depth,
)
from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError


def batch(count=6, size=(20, 30)):
    depth = (
        torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size).repeat(count, 1, 1, 1) / 100
    )
    images = (torch.rand(count, 3, *size) * 255).byte()
    return LabelledBatch(images, None, torch.arange(count), depth=depth)


def test_a_strip_shows_depth_in_whole_columns_of_all_channels():
    torch.manual_seed(0)
    before = batch(40)
    after = vertical_cut_depth(before, 1.0, 12.0)
    changed = (after.images != before.images / 255).any(1)
    assert after.depth is before.depth
    shown = (before.depth / 12).clamp(0, 1)
    for image, old, mask, depth in zip(after.images, before.images / 255, changed, shown, strict=True):
        columns = torch.nonzero(mask.any(0))[:, 0]
        first, last = int(columns.min()), int(columns.max())
        inside = slice(first, last + 1)
        torch.testing.assert_close(image[:, :, inside], depth.expand(3, -1, -1)[:, :, inside])
        assert (image[:, :, :first] == old[:, :, :first]).all()
        assert last + 1 - first <= 0.75 * (30 - first) + 1
    widths = changed.any(1).sum(-1)
    assert widths.min() < 5 < widths.max()


def test_strips_are_as_frequent_as_asked_for():
    torch.manual_seed(1)
    before = batch(400, (4, 8))
    after = vertical_cut_depth(before, 0.25, 12.0)
    assert 60 < int((after.images != before.images / 255).flatten(1).any(1).sum()) < 140
    assert (vertical_cut_depth(before, 0.0, 12.0).images == before.images / 255).all()


def test_as_released_the_millimetres_lose_all_but_eight_bits():
    torch.manual_seed(0)
    before = LabelledBatch(
        torch.zeros(8, 3, 2, 9, dtype=torch.uint8), None, torch.arange(8), depth=torch.full((8, 1, 2, 9), 1.3)
    )
    shown = vertical_cut_depth(before, 1.0, 10.0, as_released=True).images.unique()
    assert shown.tolist() == pytest.approx([0, (1300 % 256) / 255])


def test_windows_of_image_and_depth_are_the_same():
    torch.manual_seed(0)
    whole = batch()
    tied = LabelledBatch(whole.depth.repeat(1, 3, 1, 1), None, whole.index, depth=whole.depth)
    cut = random_depth_windows(tied, (8, 12))
    assert cut.images.shape[-2:] == (8, 12)
    assert (cut.images[:, :1] == cut.depth).all()
    corners = cut.depth[:, 0, 0, 0]
    assert len(corners.unique()) > 3
    assert torch.allclose(cut.depth[:, 0, 1, 0] - corners, torch.tensor(0.3), atol=1e-5)
    with pytest.raises(ConfigError, match="does not fit"):
        random_depth_windows(tied, (21, 12))


def test_hue_saturation_and_value_are_those_of_colorsys():
    colours = torch.cat([torch.rand(50, 3), torch.eye(3), torch.zeros(1, 3), torch.ones(1, 3)]).double()
    found = to_hsv(colours[:, :, None, None])[..., 0, 0]
    expected = torch.tensor(
        [colorsys.rgb_to_hsv(*colour) for colour in colours.tolist()], dtype=torch.float64
    )
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(from_hsv(found[:, :, None, None])[..., 0, 0], colours)


def test_colours_change_only_what_is_chosen_and_stay_in_range():
    torch.manual_seed(0)
    images = torch.rand(30, 3, 6, 7)
    assert (random_colours(images, 0.0) == images).all()
    changed = random_colours(images, 0.5)
    assert changed.min() >= 0
    assert changed.max() <= 1
    same = (changed == images).flatten(1).all(1)
    assert 0 < int(same.sum()) < 15
