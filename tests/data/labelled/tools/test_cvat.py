"""CVAT's XML, as "CVAT for images 1.1" writes it."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import SIZE, picture

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError

OBJECTS = Fields(names=("boxes", "masks"))
META = "<version>1.1</version><meta><job><labels>{}</labels></job></meta>"
SQUARE = '<polygon label="hund" source="manual" points="10.00,20.00;40.00,20.00;40.00,30.00;10.00,30.00"/>'
BOX = '<box label="auto" xtl="50" ytl="10" xbr="60" ybr="50"/>'


def write(root, count, shapes, labels=("hund", "auto"), subset="", pictures="images"):
    images = []
    for i in range(count):
        picture(root / pictures / f"bild {i}.png", i)
        chosen = f' subset="{subset(i)}"' if subset else ""
        images.append(f'<image id="{i}" name="bild {i}.png"{chosen} width="96" height="64">{shapes}</image>')
    listed = "".join(f"<label><name>{name}</name></label>" for name in labels)
    text = f"<annotations>{META.format(listed)}{''.join(images)}</annotations>"
    text = f'<?xml version="1.0" encoding="utf-8"?>{text}'
    (root / "annotations.xml").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("named", ["folder", "file"])
def test_polygons_and_boxes(tmp_path, named):
    root = write(tmp_path, 10, SQUARE + BOX)
    data = LabelledSet.open(root if named == "folder" else root / "annotations.xml", SIZE, ("boxes", "masks"))
    assert data.class_names == ("hund", "auto")  # in the order of the task
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0].tolist() == [[10, 20, 40, 30], [50, 10, 60, 50]]
    assert batch.box_labels[0].tolist() == [0, 1]
    assert [int(mask.sum()) for mask in batch.masks[0]] == [300, 400]
    labels = LabelledSet.open(root, SIZE).read([0], LABELS).labels[0]
    assert labels.unique(return_counts=True)[1].tolist() == [64 * 96 - 700, 300, 400]


def test_masks_ellipses_and_turned_boxes(tmp_path):
    mask = '<mask label="hund" rle="2, 2, 1, 3" left="20" top="30" width="4" height="2"/>'
    round_ = '<ellipse label="hund" cx="60" cy="30" rx="10" ry="5" rotation="90"/>'
    turned = '<box label="auto" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"/>'
    data = LabelledSet.open(write(tmp_path, 10, mask + round_ + turned), SIZE, ("boxes", "masks"))
    batch = data.read([0], OBJECTS)
    expected = np.zeros(SIZE, bool)
    expected[30, 22:24] = expected[31, 21:24] = True
    assert (batch.masks[0][0].numpy() == expected).all()
    np.testing.assert_allclose(batch.boxes[0][1], [55, 20, 65, 40], atol=0.1)
    np.testing.assert_allclose(batch.boxes[0][2], [15, 5, 25, 25], atol=1e-3)


def test_lines_are_counted_and_subsets_are_splits(tmp_path):
    line = '<polyline label="hund" points="1,1;9,9"/>'
    splits = ["Train"] * 6 + ["Validation"] * 2 + ["Test"] * 2
    data = LabelledSet.open(write(tmp_path, 10, SQUARE + line, subset=lambda i: splits[i]), SIZE, ("boxes",))
    assert data.counts == {"train": 6, "val": 2, "test": 2}
    assert any(said.startswith("10 of 20 objects have no area") for said in data.source.warnings)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ('<polygon label="katze" points="1,1;9,9;1,9"/>', "the class 'katze', which is not in the list"),
        ('<polygon label="hund" points="1,1;9"/>', "a polygon that cannot be read"),
        ('<box label="hund" xtl="1"/>', "a box that cannot be read"),
        ('<mask label="hund" rle="9" left="0" top="0" width="4" height="2"/>', "run lengths of 9 pixels"),
        ("<polygon", "is no XML that can be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, shapes, expected):
    with pytest.raises(DataError, match=expected):
        LabelledSet.open(write(tmp_path, 10, shapes), names=("boxes",))


def test_an_export_without_its_pictures_says_where_they_belong(tmp_path):
    root = write(tmp_path, 10, SQUARE)
    (root / "images").rename(tmp_path.parent / f"{tmp_path.name} elsewhere")
    with pytest.raises(DataError, match=r"none of the 10 pictures is there.*Put them into"):
        LabelledSet.open(root, names=("boxes",))
