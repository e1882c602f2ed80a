"""Boxes and masks in windows of their images: as torchvision cuts and resizes them, and only what is seen."""

from __future__ import annotations

import pytest
import torch
from object_sets import listed, rectangles
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from geopretrain.data.augment.objects import objects_in
from geopretrain.data.augment.views import labelled_views, scaled_crops
from geopretrain.data.dataset import Fields

SIZE = (60, 100)
BOXES = [(10, 10, 30, 40), (50, 20, 90, 50), (4, 50, 12, 58)]
BOTH = Fields(names=("boxes", "masks"))


def batch(images=None, masks=True):
    images = [rectangles(BOXES, SIZE, [0, 1, 0])] if images is None else images
    data = listed({"train": images, "val": [], "test": []}, size=SIZE, masks=masks)
    return data.read(range(len(images)), BOTH if masks else Fields(names=("boxes",)))


def seen(given, window, size, mirror=False):
    """Return the objects of a first image in a window (left, top, right, bottom in px)."""
    height, width = given.images.shape[-2:]
    fractions = torch.tensor([window]) / torch.tensor([width, height, width, height])
    return {n: v[0] for n, v in objects_in(given, fractions, size, torch.tensor([mirror])).items()}


@pytest.mark.parametrize(
    ("window", "size"),
    [((20, 10, 80, 50), (40, 60)), ((20, 10, 80, 50), (80, 120)), ((0, 0, 100, 60), (30, 50))],
)
@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_and_masks_are_where_torchvision_puts_them(window, size, mirror):
    given, (left, top, right, bottom) = batch(), window
    found = seen(given, window, size, mirror)
    boxes = tv_tensors.BoundingBoxes(given.boxes[0], format="XYXY", canvas_size=SIZE, clamping_mode=None)
    masks = tv_tensors.Mask(given.masks[0])
    for step in (
        lambda one: v2.crop(one, top, left, bottom - top, right - left),
        lambda one: v2.resize(one, list(size), interpolation=v2.InterpolationMode.NEAREST_EXACT),
        v2.horizontal_flip if mirror else lambda one: one,
    ):
        boxes, masks = step(boxes), step(masks)
    boxes = v2.clamp_bounding_boxes(boxes, clamping_mode="hard")
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    torch.testing.assert_close(found["boxes"], torch.as_tensor(boxes)[kept], atol=1e-4, rtol=0)
    assert torch.equal(found["masks"], torch.as_tensor(masks)[kept])
    assert found["box_labels"].tolist() == given.box_labels[0][kept].tolist()


def test_an_object_that_was_cut_has_the_box_of_what_is_left_of_its_mask():
    given = batch()
    given.masks[0][0, 10:30, 20:30] = False  # an L: the right half has its lower part only
    found = seen(given, (20, 0, 100, 60), (60, 80))
    assert found["boxes"][0].tolist() == pytest.approx([0, 30, 10, 40])
    given.masks[0][0, :, 20:] = False  # and nothing at all
    assert seen(given, (20, 0, 100, 60), (60, 80))["box_labels"].tolist() == [1]
    alone = seen(batch(masks=False), (20, 0, 100, 60), (60, 80))
    assert alone["boxes"][0].tolist() == pytest.approx([0, 10, 10, 40])
    assert "masks" not in alone


def test_a_window_that_shows_no_object_leaves_none():
    found = seen(batch(), (30, 0, 50, 20), (20, 20))
    assert found["boxes"].shape == (0, 4)
    assert found["masks"].shape == (0, 20, 20)
    none = seen(batch([rectangles([], SIZE)]), (0, 0, 100, 60), (60, 100), mirror=True)
    assert none["boxes"].shape == (0, 4)


@pytest.mark.parametrize("way", ["crops", "views"])
def test_objects_stay_on_what_is_seen_of_them(way):
    torch.manual_seed(4)
    given = batch([rectangles(BOXES, SIZE, [0, 1, 0], seed=k) for k in range(12)])
    if way == "crops":
        shown = scaled_crops(given, zoom=(0.5, 2.0), size=(48, 64), flip=0.5, fill=torch.zeros(3))
    else:
        shown = labelled_views(given, scale=(0.3, 1.0))
    assert sum(map(len, shown.boxes)) > 12
    for image, boxes, labels, masks in zip(
        shown.images, shown.boxes, shown.box_labels, shown.masks, strict=True
    ):
        assert len(boxes) == len(labels) == len(masks)
        height, width = image.shape[-2:]
        assert (boxes >= 0).all()
        assert (boxes[:, [0, 2]] <= width).all()
        assert (boxes[:, [1, 3]] <= height).all()
        for box, label, mask in zip(boxes, labels, masks, strict=True):
            assert mask.any()
            rows, columns = mask.nonzero().unbind(1)
            around = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (box - around).abs().max() <= 1.01
            assert image[2 if label else 0][mask].mean() > 0.6  # blue or red, but for a blended rim
