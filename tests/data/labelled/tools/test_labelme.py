"""Shapes of Labelme, in the JSON files that it writes beside the pictures."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from native_trees import SIZE, picture
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError

OBJECTS = Fields(names=("boxes", "masks"))


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def write(root, count, shapes, **changes):
    for i in range(count):
        name = f"bild {i}.png"
        picture(root / name, i + 100 * len(root.name))
        content = {
            "version": "5.4.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": name,
            "imageData": "A" * 9000,  # the picture itself, before what comes last
            "imageHeight": SIZE[0],
            "imageWidth": SIZE[1],
            **changes,
        }
        (root / f"bild {i}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
    return root


SQUARE = shape("hund", [[10, 20], [40, 20], [40, 30], [10, 30]])
RECTANGLE = shape("auto", [[60, 50], [50, 10]], "rectangle")


def test_polygons_and_rectangles_are_objects(tmp_path):
    data = LabelledSet.open(write(tmp_path, 10, [SQUARE, RECTANGLE]), SIZE, ("boxes", "masks"))
    assert data.class_names == ("auto", "hund")
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0].tolist() == [[10, 20, 40, 30], [50, 10, 60, 50]]
    assert batch.box_labels[0].tolist() == [1, 0]
    assert [int(mask.sum()) for mask in batch.masks[0]] == [300, 400]


def test_class_maps_keep_what_is_of_no_class(tmp_path):
    shapes = [SQUARE, shape("__ignore__", [[0, 0], [96, 0], [96, 10], [0, 10]])]
    shapes.append(shape("_background_", [[0, 40], [96, 40], [96, 64], [0, 64]]))
    data = LabelledSet.open(write(tmp_path, 10, shapes), SIZE)
    assert data.class_names == ("background", "hund")
    labels = data.read([0], LABELS).labels[0].numpy()
    assert (labels[:10] == 255).all()
    assert (labels[20:30, 10:40] == 1).all()
    assert (labels[40:] == 0).all()


def test_groups_circles_and_masks(tmp_path):
    parts = [
        shape("hund", [[0, 0], [10, 0], [10, 10], [0, 10]], group_id=3),
        shape("hund", [[20, 0], [30, 0], [30, 10], [20, 10]], group_id=3),
    ]
    drawn = np.zeros((5, 6), np.uint8)
    drawn[1:] = 255
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG")
    mask = shape("auto", [[70, 40], [75, 44]], "mask", mask=base64.b64encode(stream.getvalue()).decode())
    circle = shape("auto", [[50, 40], [50, 50]], "circle")
    data = LabelledSet.open(write(tmp_path, 10, [*parts, circle, mask]), SIZE, ("boxes", "masks"))
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0][0].tolist() == [0, 0, 30, 10]
    assert int(batch.masks[0][0].sum()) == 200
    assert int(batch.masks[0][1].sum()) == pytest.approx(np.pi * 100, rel=0.02)
    assert batch.boxes[0][2].tolist() == [70, 41, 76, 45]
    assert int(batch.masks[0][2].sum()) == 24


def test_lines_and_points_have_no_area_and_are_counted(tmp_path):
    shapes = [SQUARE, shape("hund", [[1, 1], [9, 9]], "line"), shape("hund", [[1, 1]], "point")]
    data = LabelledSet.open(write(tmp_path, 10, shapes), SIZE, ("boxes",))
    assert any(said.startswith("20 of 30 objects have no area (bild 0.json") for said in data.source.warnings)


def test_the_list_of_labels_gives_the_order(tmp_path):
    root = write(tmp_path, 10, [SQUARE, RECTANGLE])
    (root / "labels.txt").write_text("__ignore__\n_background_\nhund\nauto\n")
    assert LabelledSet.open(root, names=("boxes",)).class_names == ("hund", "auto")
    (root / "labels.txt").write_text("hund\n")
    with pytest.raises(DataError, match="has the class 'auto', which is not in the list of classes"):
        LabelledSet.open(root, names=("boxes",))


def test_pictures_that_are_not_there_are_counted_and_folders_are_splits(tmp_path):
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        (tmp_path / split).mkdir()
        write(tmp_path / split, count, [SQUARE])
    for split in ("train", "val", "test"):  # a bare name is looked for beside its file first
        assert (tmp_path / split / "bild 1.png").is_file()
    (tmp_path / "train" / "bild 5.png").unlink()
    data = LabelledSet.open(tmp_path, SIZE, ("boxes",))
    assert data.counts == {"train": 5, "val": 2, "test": 2}
    assert any(said.startswith("1 of 10 pictures are not there (bild 5.png") for said in data.source.warnings)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"shapes": "none"}, r"bild 0\.json' is damaged: shapes must be a valid list"),
        ({"shapes": [shape("hund", [[1, 1]], "rectangle")]}, r"shapes\[0\] is no rectangle"),
        ({"shapes": [shape("hund", [[1, 1], [5, 5]], "mask", mask="???")]}, r"shapes\[0\] is no mask"),
        ({"imagePath": "elsewhere.png"}, "none of the 10 pictures is there"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, expected):
    changes = {"shapes": [SQUARE], **change}
    shapes = changes.pop("shapes")
    with pytest.raises(DataError, match=expected):
        LabelledSet.open(write(tmp_path, 10, shapes, **changes), names=("boxes",))


def test_pictures_of_another_size_than_was_labelled_are_refused(tmp_path):
    data = LabelledSet.open(write(tmp_path, 10, [SQUARE], imageHeight=128, imageWidth=192), names=("boxes",))
    with pytest.raises(DataError, match=r"are for 128x192 px \(height x width\), but the picture has 64x96"):
        data.check([0], OBJECTS)
