"""COCO's JSON files of objects: boxes, masks and class maps, in the places where tools put them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.detect import open_labelled_source
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.labelled.outlines import Polygons, filled, polygon, run_lengths
from geopretrain.data.opening import open_dataset
from geopretrain.errors import DataError

OBJECTS = Fields(names=("boxes", "masks"))
SIZE = (64, 80)
CATEGORIES = [{"id": 7, "name": "car", "supercategory": "vehicle"}, {"id": 3, "name": "person"}]
SQUARE = {
    "category_id": 7,
    "bbox": [10, 20, 30, 10],
    "segmentation": [[10, 20, 40, 20, 40, 30, 10, 30]],
    "iscrowd": 0,
    "area": 300,
}
RUNS = {  # columns 50 to 59 whole
    "category_id": 3,
    "bbox": [50, 0, 10, 64],
    "segmentation": {"size": [64, 80], "counts": [50 * 64, 10 * 64, 20 * 64]},
    "iscrowd": 1,
}


def picture(path, number=0, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write(file, pictures, names, annotations=(SQUARE, RUNS), first=0, **changes):
    """Write pictures, each with these annotations, and the JSON file of them."""
    images, listed = [], []
    for number, name in enumerate(names, first):
        picture(pictures / name, number)
        images.append({"id": number, "file_name": name, "width": SIZE[1], "height": SIZE[0]})
        listed += [{**one, "id": len(listed), "image_id": number} for one in annotations]
    content = {"images": images, "annotations": listed, "categories": CATEGORIES, **changes}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file.parent


def names(count, first=0):
    return [f"{number:012d}.png" for number in range(first, first + count)]


def coco(root):
    write(root / "annotations" / "instances_train2017.json", root / "train2017", names(12))
    write(root / "annotations" / "instances_val2017.json", root / "val2017", names(3, 20), first=20)
    return root


def test_boxes_masks_and_classes_of_cocos_own_layout(tmp_path):
    data = open_dataset(coco(tmp_path), OBJECTS, size=SIZE)
    assert data.class_names == ("person", "car")
    assert data.counts == {"train": 11, "val": 1, "test": 3}
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0].tolist() == [[10, 20, 40, 30], [50, 0, 60, 64]]
    assert batch.box_labels[0].tolist() == [1, 0]
    assert batch.box_crowd[0].tolist() == [False, True]  # the crowd is no object of its own
    expected = np.zeros(SIZE, bool)
    expected[20:30, 10:40] = True
    assert (batch.masks[0][0].numpy() == expected).all()


def test_objects_become_class_maps_where_these_are_wanted(tmp_path):
    data = LabelledSet.open(coco(tmp_path), size=SIZE)
    assert data.class_names == ("background", "person", "car")
    labels = data.read([0], LABELS).labels[0].numpy()
    expected = np.zeros(SIZE, int)
    expected[:, 50:60] = 1
    expected[20:30, 10:40] = 2
    assert (labels == expected).all()
    both = LabelledSet.open(tmp_path, SIZE, ("labels", "boxes"))
    assert both.read([0], Fields(names=("labels", "boxes"))).box_labels[0].tolist() == [2, 1]


def test_boxes_and_masks_follow_the_working_size(tmp_path):
    data = open_dataset(coco(tmp_path), OBJECTS, size=(32, 40))
    batch = data.read([0], OBJECTS)
    assert batch.boxes[0][0].tolist() == [5, 10, 20, 15]
    assert batch.masks[0].shape == (2, 32, 40)
    assert int(batch.masks[0][0].sum()) == 15 * 5


@pytest.mark.parametrize("tool", ["Roboflow", "Label Studio", "CVAT", "the file itself"])
def test_exports_of_tools_are_found_where_they_put_them(tmp_path, tool):
    opened = tmp_path
    if tool == "Roboflow":
        for split, count, first in (("train", 6, 0), ("valid", 2, 10), ("test", 2, 20)):
            folder = tmp_path / split
            write(folder / "_annotations.coco.json", folder, names(count, first), first=first)
    elif tool == "Label Studio":
        write(
            tmp_path / "result.json", tmp_path, [f"images\\é {n}.png".replace("\\", "/") for n in range(10)]
        )
    elif tool == "CVAT":
        write(tmp_path / "annotations" / "instances_default.json", tmp_path / "images", names(10))
    else:
        opened = write(tmp_path / "mine.json", tmp_path / "images", names(10)) / "mine.json"
    data = open_dataset(opened, OBJECTS, size=SIZE)
    assert sum(data.counts.values()) == 10
    if tool == "Roboflow":
        assert data.counts == {"train": 6, "val": 2, "test": 2}
    assert len(data.read([0], OBJECTS).boxes[0]) == 2


def test_images_without_objects_stay_and_are_said(tmp_path):
    root = coco(tmp_path)
    file = root / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] > 3]
    file.write_text(json.dumps(content))
    data = open_dataset(root, OBJECTS, size=SIZE)
    assert "4 of 15 images have no object in them" in data.source.warnings
    empty = [row for row, name in enumerate(data.names(range(15))) if int(name[-8:-4]) < 4]
    batch = data.read(empty, OBJECTS)
    assert [boxes.shape for boxes in batch.boxes] == [(0, 4)] * 4
    assert batch.masks[0].shape == (0, *SIZE)


def test_boxes_without_area_and_polygons_of_two_corners_are_left_out_and_said(tmp_path):
    flat = {**SQUARE, "bbox": [5, 5, 0, 4], "segmentation": []}
    line = {**SQUARE, "bbox": None, "segmentation": [[1, 1, 9, 9]]}
    write(tmp_path / "a.json", tmp_path / "images", names(10), (SQUARE, flat, line))
    data = open_dataset(tmp_path, OBJECTS, size=SIZE)
    assert any(said.startswith("20 of 30 objects have no area (a.json") for said in data.source.warnings)
    assert len(data.read([0], OBJECTS).boxes[0]) == 1


def test_objects_that_cover_no_pixel_leave_the_others_their_masks(tmp_path):
    two_corners = {**SQUARE, "segmentation": [[10, 20, 40, 30]]}
    slanted = {**SQUARE, "segmentation": [[10, 20, 20, 30, 30, 40, 40, 50]]}
    between = {
        **SQUARE,
        "bbox": [10.1, 20.1, 0.2, 0.2],
        "segmentation": [[10.1, 20.1, 10.3, 20.1, 10.3, 20.3]],
    }
    write(tmp_path / "a.json", tmp_path / "images", names(10), (SQUARE, two_corners, slanted, between))
    for size in (SIZE, (32, 40)):
        data = open_dataset(tmp_path, OBJECTS, size=size)
        assert any(said.startswith("10 of 40 objects have no area") for said in data.source.warnings)
        batch = data.read([0], OBJECTS)
        assert len(batch.boxes[0]) == 1
        assert batch.masks[0].any()
        assert data.object_counts([0]).dropped == 2


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([[0.1, 0.2, 0.3, 0.1], [0.5, 0, 0.5, 1]], "all boxes lie between 0 and 1. COCO has pixels"),
        ([[10, 20, 70, 30], [50, 2, 60, 64]], "10 of 20 boxes reach beyond their image.* x0, y0, x1, y1"),
    ],
)
def test_boxes_in_another_form_are_refused(tmp_path, boxes, expected):
    annotations = [{**SQUARE, "bbox": box, "segmentation": []} for box in boxes]
    write(tmp_path / "a.json", tmp_path / "images", names(10), annotations)
    with pytest.raises(DataError, match=expected):
        open_dataset(tmp_path, Fields(names=("boxes",)))


def test_some_boxes_over_the_edge_are_only_cut(tmp_path):
    over = {**SQUARE, "bbox": [60, 20, 40, 10], "segmentation": []}
    write(tmp_path / "a.json", tmp_path / "images", names(10), [over, {**SQUARE, "segmentation": []}])
    batch = open_dataset(tmp_path, Fields(names=("boxes",)), size=SIZE).read([0], Fields(names=("boxes",)))
    assert batch.boxes[0].tolist() == [[60, 20, 80, 30], [10, 20, 40, 30]]


def test_boxes_elsewhere_than_their_outlines_are_said(tmp_path):
    other = {**SQUARE, "bbox": [50, 40, 10, 10]}
    write(tmp_path / "a.json", tmp_path / "images", names(10), (SQUARE, other))
    said = " ".join(open_dataset(tmp_path, OBJECTS, size=SIZE).source.warnings)
    assert "10 of 20 boxes do not lie around their outlines (a.json: annotations[1], for one)" in said


def test_ids_may_be_text_and_paths_those_of_another_machine(tmp_path):
    root = write(tmp_path / "a.json", tmp_path / "images", names(10), (SQUARE,))
    content = json.loads((root / "a.json").read_text())
    for image in content["images"]:
        image.update(id=str(image["id"]), file_name=rf"C:\Users\me\{image['file_name']}")
    (root / "a.json").write_text(json.dumps(content))
    assert len(open_dataset(tmp_path, OBJECTS, size=SIZE).read([0], OBJECTS).boxes[0]) == 1


def test_what_is_remarkable_is_told(tmp_path, capsys):
    root = write(tmp_path / "a.json", tmp_path / "images", names(10), (SQUARE,))
    (tmp_path / "images" / names(1)[0]).unlink()
    LabelledSet.open(root).tell()
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 10 pictures of a.json are not there" in said
    assert "70/10/20" in said


def test_no_object_at_all_is_refused_with_the_reason(tmp_path):
    inverted = {**SQUARE, "bbox": [30, 30, -5, -5], "segmentation": []}
    write(tmp_path / "a.json", tmp_path / "images", names(4), (inverted,))
    with pytest.raises(DataError, match=r"none of the 4 images has an object .*4 of 4 objects have no area"):
        open_dataset(tmp_path, Fields(names=("boxes",)))


def test_boxes_alone_give_no_masks_and_say_why(tmp_path):
    write(tmp_path / "a.json", tmp_path / "images", names(10), (SQUARE, {**SQUARE, "segmentation": []}))
    data = open_dataset(tmp_path, Fields(names=("boxes",)), size=SIZE)
    assert len(data.read([0], Fields(names=("boxes",))).boxes[0]) == 2
    with pytest.raises(DataError, match=r"no masks of objects.*10 of the 20 objects have a box only"):
        open_dataset(tmp_path, OBJECTS).splits(OBJECTS)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c["annotations"][0].update(category_id=99), "category 99, which is not listed"),
        (lambda c: c["annotations"][0].update(image_id=99), "image 99, which is not listed"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "bbox must be x, y, width and height"),
        (lambda c: c["annotations"][0].update(segmentation=[["a", 1]]), "corners must be numbers"),
        (lambda c: c["annotations"][0].update(segmentation={"size": [64, 80], "counts": [5]}), "add up to 5"),
        (lambda c: c["annotations"][0].update(segmentation=7), "a segmentation is a list of corners"),
        (
            lambda c: c["annotations"][0].update(segmentation={"size": [64, 80], "counts": [-5, 5125]}),
            "a number below 0",
        ),
        (lambda c: c["categories"].append(CATEGORIES[0]), "different categories"),
        (lambda c: c["images"][1].update(id=0), "gives the id 0 to 0+.png and to 0+1.png"),
        (lambda c: c["images"][1].update(file_name=names(1)[0]), "lists the picture 0+.png twice"),
        (lambda c: c.update(annotations="none"), "annotations must be a valid list"),
        (
            lambda c: [i.update(file_name=f"x{i['id']}.png") for i in c["images"]],
            "annotation file of another",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_and_place(tmp_path, change, expected):
    root = coco(tmp_path)
    file = root / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=expected) as caught:
        open_dataset(root, OBJECTS)
    assert "instances_train2017.json" in str(caught.value)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    root = coco(tmp_path)
    file = root / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text()[:-40])
    with pytest.raises(DataError, match=r"instances_val2017\.json' cannot be read: it is no JSON"):
        open_dataset(root, OBJECTS)


@pytest.mark.parametrize("what", ["picture", "run lengths"])
def test_annotations_of_another_size_are_refused(tmp_path, what):
    write(tmp_path / "a.json", tmp_path / "images", names(10))
    for number, name in enumerate(names(10)):
        picture(tmp_path / "images" / name, number, (96, 96))
    if what == "run lengths":  # the file does not say the sizes of its images
        content = json.loads((tmp_path / "a.json").read_text())
        content["images"] = [{k: v for k, v in one.items() if "h" not in k} for one in content["images"]]
        crowd = [{**one, "iscrowd": 0} for one in content["annotations"]]
        (tmp_path / "a.json").write_text(json.dumps({**content, "annotations": crowd}))
    expected = {
        "picture": r"are for 64x80 px \(height x width\), but the picture has 96x96",
        "run lengths": r"drawn on an image of 64x80 px \(height x width\), but the image is 96x96",
    }[what]
    data = open_dataset(tmp_path, OBJECTS)
    with pytest.raises(DataError, match=expected):
        data.check([0], OBJECTS)


def test_panoptic_segments_stay_the_class_maps_of_coco(tmp_path):
    root = coco(tmp_path)
    (root / "annotations" / "panoptic_train2017.json").write_text("{}")
    with pytest.raises(DataError, match="panoptic"):
        open_labelled_source(str(root))
    assert open_labelled_source(str(root), ("boxes",)).kind == "COCO objects"


def test_run_lengths_and_polygons_are_those_of_cocos_own_library():
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for _ in range(20):
        height, width = rng.integers(5, 60, 2)
        drawn = np.asfortranarray(rng.random((height, width)) > 0.6, np.uint8)
        assert (run_lengths(mask.encode(drawn)).mask((height, width)) == drawn).all()
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        corners = 64 + rng.uniform(20, 60, (9, 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
        theirs = mask.decode(mask.merge(mask.frPyObjects([corners.reshape(-1).tolist()], 128, 128)))
        ours = filled(corners, (128, 128))
        assert (ours != theirs).sum() <= 0.03 * ours.sum()  # of the border alone, where its rule is rounder


def test_polygons_cover_the_pixels_whose_centres_are_inside():
    triangle = polygon([0, 0, 10, 0, 0, 10])
    y, x = np.mgrid[:12, :12] + 0.5
    assert (filled(triangle, (12, 12)) == (x + y < 10)).all()
    two = Polygons((polygon([0, 0, 4, 0, 4, 4, 0, 4]), polygon([2, 2, 6, 2, 6, 6, 2, 6])))
    assert int(two.mask((8, 8)).sum()) == 16 + 16 - 4
    assert two.box().tolist() == [0, 0, 6, 6]
    outside = filled(polygon([-5, -5, 30, -5, 30, 30, -5, 30]), (8, 8))
    assert outside.all()


def test_run_lengths_as_text_are_those_of_coco():
    # the text that COCO's own tool writes for counts 6, 1, 40, 4, 5, 4, 5, 4, 21 of an image of 9x10
    runs = run_lengths({"size": [9, 10], "counts": "61X13mN000`0"})
    assert runs.counts.tolist() == [6, 1, 40, 4, 5, 4, 5, 4, 21]
    assert runs.mask((9, 10)).sum() == 13
    with pytest.raises(ValueError, match="counts"):
        run_lengths({"size": [9, 10], "counts": "61X13mN000`"})
