"""Class maps in colours that the class list does not give, and ids that count from 1."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import SIZE, grey, halves, picture
from PIL import Image

from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.labelled.palettes import known_colours
from geopretrain.errors import DataError


def folder(root, labels, classes, count=10):
    for i in range(count):
        picture(root / "images" / f"{i}.png", i)
        (root / "labels").mkdir(exist_ok=True)
        Image.fromarray(labels).save(root / "labels" / f"{i}.png")
    (root / "classes.txt").write_text(classes)
    return root


def coloured(left, right):
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[:, :40], colours[:, 40:90] = left, right
    return colours


@pytest.mark.parametrize(
    ("classes", "left", "right", "title"),
    [
        ("car\nroad\n", (0, 0, 142), (128, 64, 128), "Cityscapes"),
        ("Sky\nPavement\n", (128, 128, 128), (60, 40, 222), "CamVid"),
        ("cat\ndog\n", (64, 0, 0), (64, 0, 128), "PASCAL VOC"),
    ],
)
def test_known_colours_are_taken_and_that_is_said(tmp_path, classes, left, right, title):
    data = LabelledSet.open(folder(tmp_path, coloured(left, right), classes), SIZE)
    labels = data.read([0], LABELS).labels[0]
    assert [int(labels[5, x]) for x in (5, 60, 95)] == [0, 1, 255]  # black is of no class
    expected = f"labels are colours, which classes.txt does not give: those of {title} are taken"
    assert expected in data.source.warnings


def test_colours_of_classes_that_nobody_knows_are_refused_as_before(tmp_path):
    root = folder(tmp_path, coloured((0, 0, 142), (128, 64, 128)), "car\nmy own class\n")
    with pytest.raises(DataError, match="colour image, but the class list has no colours"):
        LabelledSet.open(root, SIZE).read([0], LABELS)
    assert known_colours(("car", "my own class"), ()) is None


def test_a_colour_outside_the_classes_says_so(tmp_path):
    root = folder(tmp_path, coloured((0, 0, 142), (70, 130, 180)), "car\nroad\n")  # the sky of Cityscapes
    with pytest.raises(DataError, match=r"holds the colour \(70, 130, 180\)"):
        LabelledSet.open(root, SIZE).read([0], LABELS)


def test_ids_that_count_from_1_are_recognised(tmp_path):
    root = folder(tmp_path, halves(1, 3), "road\nsky\ncar\n")
    with pytest.raises(DataError, match=r"Ids may count from 1: then write '1: road' to '3: car'"):
        LabelledSet.open(root, SIZE).read([0], LABELS)
    (root / "classes.txt").write_text("0: ignore\n1: road\n2: sky\n3: car\n")
    assert LabelledSet.open(root, SIZE).read([0], LABELS).labels.unique().tolist() == [0, 2]
    for file in (root / "labels").iterdir():
        grey(file, halves(1, 9))
    (root / "classes.txt").write_text("road\nsky\ncar\n")
    with pytest.raises(DataError, match="holds the id 9") as caught:
        LabelledSet.open(root, SIZE).read([0], LABELS)
    assert "count from 1" not in str(caught.value)
