"""Boxes and masks: on their way from a reader into batches, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from object_sets import listed, rectangles

from geopretrain.console import console
from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.object_census import check_objects
from geopretrain.errors import DataError

BOTH = Fields(names=("boxes", "masks"))
EMPTY = rectangles([])


def only(image, **more):
    return listed({"train": [image], "val": [], "test": []}, **more)


def test_images_with_none_one_and_several_objects_make_one_batch():
    images = [
        rectangles([(4, 8, 20, 30), (50, 10, 90, 60)], labels=[1, 0]),
        EMPTY,
        rectangles([(0, 0, 96, 64)]),
    ]
    data = listed({"train": images, "val": [], "test": []}, size=(64, 96))
    for _ in range(2):  # as read, and as kept
        batch = data.read([2, 0, 1], BOTH)
        assert [len(boxes) for boxes in batch.boxes] == [1, 2, 0]
        assert [labels.tolist() for labels in batch.box_labels] == [[0], [1, 0], []]
        assert batch.boxes[1].tolist() == [[4, 8, 20, 30], [50, 10, 90, 60]]
        assert [tuple(masks.shape) for masks in batch.masks] == [(1, 64, 96), (2, 64, 96), (0, 64, 96)]
        assert batch.boxes[2].shape == (0, 4)
        assert [crowd.dtype for crowd in batch.box_crowd] == [torch.bool] * 3
    assert data.read([0], Fields(names=("boxes",))).masks is None


@pytest.mark.parametrize("size", [(32, 48), (96, 96), (64, 192), (50, 70)])
def test_boxes_and_masks_stay_on_the_object_at_another_size(size):
    data = only(rectangles([(12, 8, 36, 40), (60, 20, 90, 61)]), size=size)
    batch = data.read([0], BOTH)
    scale = torch.tensor([size[1] / 96, size[0] / 64] * 2)
    for box, mask, first in zip(
        batch.boxes[0], batch.masks[0], [(12, 8, 36, 40), (60, 20, 90, 61)], strict=True
    ):
        assert torch.allclose(box, torch.tensor(first).float() * scale)
        rows, columns = mask.nonzero().unbind(1)
        around = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert (around - box).abs().max() <= 1
        inside = batch.images[0, 0].float()[mask]
        assert (inside > 120).float().mean() > 0.85  # red, where the mask is


def test_boxes_are_cut_at_the_border_and_those_with_no_area_are_left_out_and_counted():
    boxes = [(-5, -3, 10, 12), (90, 50, 130, 80), (20, 20, 20, 40), (100, 3, 120, 9), (5, 5, 25, 25)]
    data = only(rectangles(boxes), size=(64, 96))
    batch = data.read([0], BOTH)
    assert batch.boxes[0].tolist() == [[0, 0, 10, 12], [90, 50, 96, 64], [5, 5, 25, 25]]
    assert len(batch.masks[0]) == len(batch.box_labels[0]) == 3
    assert data.object_counts([0]).dropped == 2


def test_without_boxes_those_around_the_masks_are_taken():
    image = replace(rectangles([(7, 9, 31, 22)]), boxes=None)
    assert only(image, size=(64, 96)).read([0], BOTH).boxes[0].tolist() == [[7, 9, 31, 22]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"masks": np.ones((1, 32, 48), bool)}, "masks are of 32x48 px .* the image of 64x96"),
        ({"masks": np.ones((2, 64, 96), bool)}, "1 boxes and 2 masks"),
        ({"boxes": np.array([[1, 2, np.nan, 9]], np.float32)}, "four numbers"),
        ({"boxes": np.array([[1, 2, 9]], np.float32)}, "four numbers"),
        ({"box_labels": np.array([2])}, "a box of class 2, but the classes are 0 to 1"),
        ({"box_labels": np.array([-1])}, "class -1"),
        ({"box_labels": None}, "1 boxes and 0 classes"),
        ({"box_crowd": np.zeros(3, bool)}, "1 boxes and 3 marks of crowds"),
    ],
)
def test_what_does_not_belong_together_is_said_with_the_name_of_the_image(change, said):
    data = only(replace(rectangles([(4, 8, 20, 30)]), **change))
    with pytest.raises(DataError, match=f"train/000.png.*{said}"):
        data.check([0], BOTH)


def test_an_image_without_any_list_of_boxes_is_no_image_without_objects():
    with pytest.raises(DataError, match="no list of boxes, not even an empty one"):
        only(replace(EMPTY, boxes=None), masks=False).read([0], Fields(names=("boxes",)))


def test_damaged_files_of_objects_are_made_again():
    data = only(rectangles([(4, 8, 20, 30)]), size=(64, 96))
    first = data.read([0], BOTH)
    (file,) = data._objects.folder.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:60])
    again = data.read([0], BOTH)
    assert torch.equal(again.boxes[0], first.boxes[0])
    assert torch.equal(again.masks[0], first.masks[0])


def test_census_says_what_there_is_and_what_cannot_be_found(capsys):
    train = [rectangles([(4, 8, 20, 30)], seed=1), replace(EMPTY, image=rectangles([], seed=2).image)]
    test = [rectangles([(4, 8, 20, 30)], labels=[1], seed=3)]
    data = listed({"train": train, "val": [], "test": test})
    with console.showing(True):
        check_objects(data, np.array([0, 1]), np.array([2]))
    out, err = capsys.readouterr()
    assert "1 object in 2 training images (car 1); 1 of these images show none." in out + err
    assert "person: in the test images and in no image that is learned from" in out + err


def test_census_refuses_what_cannot_be_meant():
    inside, outside = (
        rectangles([(4, 8, 20, 30)], seed=1),
        rectangles([(4, 8, 20, 30), (200, 3, 240, 9)], seed=4),
    )
    for train, test, said in (
        (
            [replace(EMPTY, image=rectangles([], seed=5).image)],
            [inside],
            "none of the 1 training images shows an object",
        ),
        ([inside], [EMPTY], "none of the 1 test images shows an object"),
        ([outside], [inside], "1 of 2 boxes in the training images have no area"),
        ([inside], [inside], "both in train and in test"),
    ):
        data = listed({"train": train, "val": [], "test": test})
        with pytest.raises(DataError, match=said):
            check_objects(data, np.array([0]), np.array([1]))
