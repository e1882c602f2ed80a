"""Boxes and outlines in YOLO's text files."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import SIZE, picture

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError

BOXES, OBJECTS = Fields(names=("boxes",)), Fields(names=("boxes", "masks"))
BOX = "1 0.5 0.5 0.25 0.5\n"  # 24 px of 96, 32 px of 64
OUTLINE = "0 0 0 0.5 0 0.5 0.5 0 0.5\n"


def write(root, split, count, text, first=0, images="images/{}", labels="labels/{}"):
    for i in range(first, first + count):
        picture(root / images.format(split) / f"p {i}.png", i)
        label = root / labels.format(split) / f"p {i}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(text)
    return root


def dataset(root, text=BOX, names="[cat, dog]", train="images/train", val="images/val"):
    write(root, "train", 8, text)
    write(root, "val", 3, text, first=20)
    (root / "data.yaml").write_text(f"path: .\ntrain: {train}\nval: {val}\nnames: {names}\n")
    return root


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}"])
@pytest.mark.parametrize("named", ["folder", "file"])
def test_boxes_are_parts_of_width_and_height(tmp_path, names, named):
    root = dataset(tmp_path, names=names)
    data = LabelledSet.open(root if named == "folder" else root / "data.yaml", SIZE, ("boxes",))
    assert data.class_names == ("cat", "dog")
    assert data.counts == {"train": 7, "val": 1, "test": 3}
    batch = data.read([0], BOXES)
    assert batch.boxes[0].tolist() == [[36, 16, 60, 48]]
    assert batch.box_labels[0].tolist() == [1]


def test_outlines_give_masks_and_class_maps(tmp_path):
    root = dataset(tmp_path, OUTLINE + "1 0.25 0.25 0.75 0.25 0.75 1 0.25 1\n")
    masks = LabelledSet.open(root, SIZE, ("boxes", "masks")).read([0], OBJECTS).masks[0].numpy()
    expected = np.zeros((2, *SIZE), bool)
    expected[0, :32, :48] = expected[1, 16:, 24:72] = True
    assert (masks == expected).all()
    data = LabelledSet.open(root, SIZE)
    assert data.class_names == ("background", "cat", "dog")
    labels = data.read([0], LABELS).labels[0].numpy()
    assert (labels[expected[0]] == 1).all()  # the smaller one is on top
    assert (labels[expected[1] & ~expected[0]] == 2).all()
    assert (labels[~expected.any(0)] == 0).all()


def test_oriented_boxes_become_masks_and_upright_boxes_around_them(tmp_path):
    # a square of 32 px turned by 45 degrees around the middle of a picture of 96 x 64, one corner outside
    root = dataset(tmp_path, "1 0.5 -0.1 0.75 0.5 0.5 1 0.25 0.5\n")
    data = LabelledSet.open(root, SIZE, ("boxes", "masks"))
    assert any(
        "oriented boxes are read as masks of four corners" in said for said in data.describe().sentences
    )
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0].tolist() == [[24, 0, 72, 64]]
    mask = batch.masks[0][0].numpy()
    assert mask[32, 48]
    assert not mask[0, 24]  # a corner of the upright box
    assert 0.45 < mask.mean() / 0.5 < 0.6  # of the upright box, half of the picture wide


def test_key_points_behind_boxes_are_left_out(tmp_path):
    root = dataset(tmp_path, BOX.strip() + " 0.1 0.2 2 0.3 0.4 1\n")
    (root / "data.yaml").write_text((root / "data.yaml").read_text() + "kpt_shape: [2, 3]\n")
    data = LabelledSet.open(root, SIZE, ("boxes",))
    assert data.read([0], BOXES).boxes[0].tolist() == [[36, 16, 60, 48]]
    assert any("key points are left out" in said for said in data.describe().sentences)


def test_roboflows_relative_folders_and_lists_of_pictures_are_found(tmp_path):
    root = write(tmp_path, "train", 6, BOX, images="{}/images", labels="{}/labels")
    write(root, "valid", 2, BOX, first=20, images="{}/images", labels="{}/labels")
    (root / "data.yaml").write_text("train: ../train/images\nval: [valid.txt]\nnames: [cat, dog]\n")
    (root / "valid.txt").write_text("./valid/images/p 20.png\n./valid/images/p 21.png\n")
    data = LabelledSet.open(root, SIZE, ("boxes",))
    assert data.counts == {"train": 5, "val": 1, "test": 2}
    assert len(data.read([6], BOXES).boxes[0]) == 1


def test_without_settings_the_list_of_classes_serves(tmp_path):
    root = write(tmp_path, "", 10, BOX)
    (root / "classes.txt").write_text("cat\ndog\n")
    data = LabelledSet.open(root, SIZE, ("boxes",))
    assert sum(data.counts.values()) == 10
    assert data.class_names == ("cat", "dog")


def test_pictures_without_a_file_and_empty_files_have_no_objects(tmp_path):
    root = dataset(tmp_path)
    (root / "labels" / "train" / "p 0.txt").unlink()
    (root / "labels" / "train" / "p 1.txt").write_text("")
    data = LabelledSet.open(root, SIZE, ("boxes",))
    assert "2 of 11 images have no object in them" in data.source.warnings
    empty = ("images/train/p 0.png", "images/train/p 1.png")
    rows = [row for row, name in enumerate(data.names(range(len(data)))) if name in empty]
    assert [len(boxes) for boxes in data.read(rows, BOXES).boxes] == [0, 0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2 0.5 0.5 0.1 0.1", r"the class 2 is not one of the 2 .* from 0 \(cat\) to 1 \(dog\)"),
        ("0 50 60 20 20", "from 0 to 1, not pixels"),
        ("0 0.5 0.5 0.1", "4 numbers .a box. or 3 and more pairs"),
        ("0 0.5 0.5 0.1 0.1 0.9", "4 numbers .a box. or 3 and more pairs"),
        ("cat 0.5 0.5 0.1 0.1", "is no class with numbers"),
        ("0 nan 0.5 0.1 0.1", "from 0 to 1"),
        ("nan 0.5 0.5 0.1 0.1", "the class nan is not one of the 2"),
        ("inf 0.5 0.5 0.1 0.1", "the class inf is not one of the 2"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path, line, expected):
    root = dataset(tmp_path)
    (root / "labels" / "val" / "p 21.txt").write_text(f"{BOX}{line}\n")
    with pytest.raises(DataError, match=rf"p 21\.txt, line 2: .*{expected}"):
        LabelledSet.open(root, names=("boxes",))


def test_boxes_without_area_are_counted_and_left_out(tmp_path):
    data = LabelledSet.open(dataset(tmp_path, f"{BOX}0 0.5 0.5 0 0.1\n"), SIZE, ("boxes",))
    assert any("11 of 22 objects have no area (p" in said for said in data.source.warnings)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"names": "{1: cat, 2: dog}"}, "numbered from 0 on"),
        ({"names": "3"}, "names must list the classes"),
        ({"train": "elsewhere"}, "names elsewhere, which is not there"),
    ],
)
def test_settings_that_cannot_be_used_are_said(tmp_path, changes, expected):
    with pytest.raises(DataError, match=expected):
        LabelledSet.open(dataset(tmp_path, **changes), names=("boxes",))
