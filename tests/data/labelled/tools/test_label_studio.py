"""Label Studio's JSON export."""

from __future__ import annotations

import json

import numpy as np
import pytest
from native_trees import SIZE, picture

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.labelled.tools.label_studio import unpacked
from geopretrain.errors import DataError

OBJECTS = Fields(names=("boxes", "masks"))


def packed(values):
    """Pack bytes in runs, in the form of Label Studio, by the plainest of its ways: bit by bit."""
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    start = 0
    while start < len(values):
        end = start
        while end < len(values) and values[end] == values[start] and end - start < 2**16:
            end += 1
        if end - start > 1:
            bits += "1" + "11" + f"{end - start - 1:016b}" + f"{values[start]:08b}"
        else:
            bits += "0" + "00" + "000" + f"{values[start]:08b}"
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def result(kind, **value):
    return {
        "id": "x",
        "type": kind,
        "value": {**value, kind: [value.get("label", "hund")]},
        "original_width": 96,
        "original_height": 64,
    }


BOX = result("rectanglelabels", x=25, y=25, width=50, height=50, rotation=0)
POLYGON = result("polygonlabels", points=[[0, 0], [50, 0], [50, 50], [0, 50]], label="auto")


def write(root, count, results, image="/data/upload/1/0123abcd-bild {}.png", **changes):
    tasks = []
    for i in range(count):
        picture(root / "images" / f"bild {i}.png", i)
        annotations = [{"result": [], "was_cancelled": True}, {"result": results, "was_cancelled": False}]
        tasks.append({"id": i, "data": {"image": image.format(i)}, "annotations": annotations, **changes})
    (root / "project-1.json").write_text(json.dumps(tasks), encoding="utf-8")
    return root


IMAGES = [
    "/data/upload/1/0123abcd-bild {}.png",
    "/data/local-files/?d=images/bild%20{}.png",
    "https://example.org/a/bild%20{}.png",
]


@pytest.mark.parametrize("image", IMAGES)
def test_boxes_and_polygons_are_per_cent(tmp_path, image):
    data = LabelledSet.open(write(tmp_path, 10, [BOX, POLYGON], image), SIZE, ("boxes", "masks"))
    assert data.class_names == ("auto", "hund")
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0].tolist() == [[24, 16, 72, 48], [0, 0, 48, 32]]
    assert batch.box_labels[0].tolist() == [1, 0]
    assert [int(mask.sum()) for mask in batch.masks[0]] == [48 * 32, 48 * 32]


def test_brushes_ellipses_and_turned_boxes(tmp_path):
    drawn = np.zeros((*SIZE, 4), np.uint8)
    drawn[10:20, 30:50, 3] = 255
    brush = result("brushlabels", format="rle", rle=packed(drawn.reshape(-1).tolist()))
    assert (unpacked(np.array(brush["value"]["rle"], np.uint8)) == drawn.reshape(-1)).all()
    round_ = result("ellipselabels", x=50, y=50, radiusX=10, radiusY=20, rotation=0)
    turned = result("rectanglelabels", x=50, y=50, width=25, height=12.5, rotation=90)
    data = LabelledSet.open(write(tmp_path, 10, [brush, round_, turned]), SIZE, ("boxes", "masks"))
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0][0].tolist() == [30, 10, 50, 20]
    assert (batch.masks[0][0].numpy() == (drawn[..., 3] > 0)).all()
    np.testing.assert_allclose(batch.boxes[0][1], [38.4, 19.2, 57.6, 44.8], atol=0.1)
    np.testing.assert_allclose(batch.boxes[0][2], [40, 32, 48, 56], atol=1e-3)  # 24x8 px, turned


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([result("polygonlabels", points=[["a", 1]])], "a polygonlabels that cannot be read"),
        ([result("rectanglelabels", x=1, y=2)], "a rectanglelabels that cannot be read"),
        ([result("brushlabels", rle=[1, 2])], "run lengths that end too early"),
        ([result("brushlabels", rle=packed([0] * 40))], "a brush of 10 pixels on a picture of 64x96 px"),
        ("none", "annotations.*result must be a valid list"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, results, expected):
    with pytest.raises(DataError, match=rf"project-1\.json.*{expected}"):
        LabelledSet.open(write(tmp_path, 10, results), names=("boxes",))


def test_pictures_that_nobody_has_labelled_stay(tmp_path):
    root = write(tmp_path, 10, [BOX])
    tasks = json.loads((root / "project-1.json").read_text())
    tasks[0]["annotations"] = []
    (root / "project-1.json").write_text(json.dumps(tasks))
    data = LabelledSet.open(root, SIZE, ("boxes",))
    assert "1 of 10 images have no object in them" in data.source.warnings
