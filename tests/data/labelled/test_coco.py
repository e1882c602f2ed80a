"""COCO's panoptic annotations as class maps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.labelled.detect import open_labelled_source
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError

CATEGORIES = [
    {"id": 3, "name": "car", "isthing": 1, "color": [0, 0, 142], "supercategory": "vehicle"},
    {"id": 149, "name": "road", "isthing": 0, "color": [128, 64, 128], "supercategory": "ground"},
]
SIZE = (64, 80)
CAR, ROAD = 70_000, 513  # numbers of segments that need all three colours


def write_coco(root, splits=(("train2017", 12), ("val2017", 3)), below=""):
    """Write pictures, their segments (none in the upper quarter, a car on the left) and the JSON files."""
    for split, count in splits:
        pictures, maps = root / below / split, root / "annotations" / f"panoptic_{split}"
        pictures.mkdir(parents=True)
        maps.mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            rng = np.random.default_rng([i, count])
            Image.fromarray(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(pictures / f"{i:012d}.jpg")
            numbers = np.full(SIZE, ROAD)
            numbers[:, : 20 + i] = CAR
            numbers[:16] = 0
            rgb = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], -1).astype(np.uint8)
            Image.fromarray(rgb).save(maps / f"{i:012d}.png")
            images.append({"id": i, "file_name": f"{i:012d}.jpg", "width": 80, "height": 64})
            segments = [{"id": CAR, "category_id": 3, "area": 1}, {"id": ROAD, "category_id": 149, "area": 1}]
            annotations.append({"image_id": i, "file_name": f"{i:012d}.png", "segments_info": segments})
        content = {"images": images, "annotations": annotations, "categories": CATEGORIES, "info": {}}
        (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
    return root


def changed(root, change, split="train2017"):
    path = root / "annotations" / f"panoptic_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("below", ["", "images"])
def test_segments_become_classes(tmp_path, below):
    data = LabelledSet.open(write_coco(tmp_path, below=below), size=SIZE)
    assert data.class_names == ("car", "road")
    assert data.class_colours.tolist() == [[0, 0, 142], [128, 64, 128]]
    assert data.source.class_ids == (3, 149)
    assert sum(data.counts[split] for split in ("train", "val")) == 12
    assert data.counts["test"] == 3
    for position, name in enumerate(data.names(range(15))):
        labels = data.read([position], LABELS).labels[0]
        border = 20 + int(name.split("/")[-1][:-4])
        assert (labels[:16] == 255).all()
        assert (labels[16:, :border] == 0).all()
        assert (labels[16:, border:] == 1).all()


def test_pictures_that_are_not_there_are_counted_and_left_out(tmp_path):
    write_coco(tmp_path)
    for i in range(4):
        (tmp_path / "train2017" / f"{i:012d}.jpg").unlink()
    source = open_labelled_source(str(tmp_path))
    assert source.counts["train"] + source.counts["val"] == 8
    assert "4 of 12 pictures of panoptic_train2017.json are not there" in source.warnings


def test_other_categories_of_segments_are_other_data(tmp_path):
    write_coco(tmp_path)
    before = open_labelled_source(str(tmp_path))
    changed(tmp_path, lambda c: c["annotations"][0]["segments_info"][0].update(category_id=149))
    after = open_labelled_source(str(tmp_path))
    assert before.fingerprint() != after.fingerprint()
    assert before.unread() != after.unread()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.pop("categories"), "categories is missing"),
        (lambda c: c["annotations"][2]["segments_info"][0].update(category_id=7), "category 7, which is not"),
        (lambda c: c["annotations"][2]["segments_info"][0].update(id="x"), r"segments_info\[0\].id must be"),
        (lambda c: c["categories"].pop(), "1 categories; 2 to"),
        (lambda c: c["categories"][0].update(id=4), "category 3, which is not listed"),
    ],
)
def test_damaged_annotations_are_refused_with_what_is_wrong(tmp_path, change, match):
    with pytest.raises(DataError, match=match):
        open_labelled_source(str(changed(write_coco(tmp_path), change)))


def test_a_segment_that_nobody_names_is_refused_with_its_file(tmp_path):
    write_coco(tmp_path)
    changed(tmp_path, lambda c: [a["segments_info"].pop() for a in c["annotations"]])
    source = open_labelled_source(str(tmp_path))
    with pytest.raises(DataError, match=r"png holds the segment 513, which its JSON file does not name"):
        source.read("train", 0, SIZE)


def test_annotations_without_pictures_are_refused(tmp_path):
    write_coco(tmp_path)
    for picture in tmp_path.glob("*2017/*.jpg"):
        picture.unlink()
    with pytest.raises(DataError, match="none of the pictures is there"):
        open_labelled_source(str(tmp_path))


def test_the_first_picture_being_damaged_does_not_decide_on_the_size(tmp_path):
    write_coco(tmp_path)
    source = open_labelled_source(str(tmp_path))
    (tmp_path / source.name("train", 0)).write_bytes(b"no picture")
    assert open_labelled_source(str(tmp_path)).original_size() == SIZE
