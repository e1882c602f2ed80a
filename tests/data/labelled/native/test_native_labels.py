"""Data sets of class maps and boxes in their own layouts: what is read is what was written."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import (
    SIZE,
    bdd100k,
    camvid,
    cityscapes,
    coco_stuff,
    grey,
    halves,
    kitti_semantics,
    sbd,
    voc,
)
from PIL import Image
from scipy.io import savemat

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.detect import open_labelled_source
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.labelled.native.sbd import read_map as sbd_map
from geopretrain.data.labelled.palettes import CAMVID_32, voc_palette
from geopretrain.errors import ConfigError, DataError

BOXES, DEPTH = Fields(names=("boxes",)), Fields(names=("depth",))


def sides(data, row=0):
    """Return the class in the middle of the left and of the right half, and all that occur."""
    labels = data.read([row], LABELS).labels[0]
    middle = SIZE[0] // 2
    return int(labels[middle, 20]), int(labels[middle, 76]), set(labels.unique().tolist())


# ---------------------------------------------------------------- Cityscapes


def test_cityscapes_gives_19_classes_and_depth_from_disparity(tmp_path):
    data = LabelledSet.open(cityscapes(tmp_path, {"train": 12, "val": 3, "test": 2}), SIZE)
    assert data.class_names[0] == "road"
    assert len(data.class_names) == 19
    assert data.counts == {"train": 11, "val": 1, "test": 3}  # labels of the test split are not published
    assert sides(data) == (0, 13, {0, 13})
    depth = data.read([0], DEPTH).depth[0, 0]
    assert float(depth[5, 5]) == pytest.approx(2000 * 0.2 / 20)  # disparity (p - 1) / 256
    assert float(depth[0, 0]) == 0


def test_cityscapes_without_cameras_has_labels_alone(tmp_path):
    data = LabelledSet.open(cityscapes(tmp_path, {"train": 12, "val": 3}, depth=False), SIZE)
    assert data.source.fields == ("labels",)


def test_ids_of_cityscapes_that_are_not_learned_are_ignored(tmp_path):
    root = cityscapes(tmp_path, {"train": 12, "val": 3}, depth=False)
    for file in root.rglob("*_labelIds.png"):
        grey(file, halves(0, 34 - 1))
    assert sides(LabelledSet.open(root, SIZE)) == (255, 18, {18, 255})


@pytest.mark.parametrize("kind", ["labelTrainIds", "color"])
def test_other_label_files_of_cityscapes_are_read_where_the_ids_are_not_there(tmp_path, kind):
    root = cityscapes(tmp_path, {"train": 12, "val": 3}, depth=False)
    for file in list(root.rglob("*_labelIds.png")):
        path = file.with_name(file.name.replace("labelIds", kind))
        if kind == "labelTrainIds":
            grey(path, halves(0, 13))
        else:
            colours = np.zeros((*SIZE, 3), np.uint8)
            colours[:, :48], colours[:, 48:] = (128, 64, 128), (0, 0, 142)
            Image.fromarray(colours).save(path)
        file.unlink()
    data = LabelledSet.open(root, SIZE)
    assert sides(data) == (0, 13, {0, 13})
    assert any("labels are colours" in said for said in data.source.warnings) == (kind == "color")


def test_pictures_of_cityscapes_without_labels_are_left_out_and_said(tmp_path):
    root = cityscapes(tmp_path, {"train": 12, "val": 3}, depth=False)
    next(root.glob("gtFine/train/aachen/*labelIds.png")).unlink()
    data = LabelledSet.open(root, SIZE)
    assert len(data) == 14
    assert any(said.startswith("1 picture has no label: left out") for said in data.source.warnings)


def test_cityscapes_without_its_pictures_says_which_archive_is_missing(tmp_path):
    root = cityscapes(tmp_path, {"train": 12, "val": 3}, depth=False)
    (root / "leftImg8bit").rename(root / "elsewhere")
    with pytest.raises(DataError, match=r"no leftImg8bit/.*leftImg8bit_trainvaltest\.zip"):
        LabelledSet.open(root)


# ---------------------------------------------------------------- KITTI


def test_kitti_semantics_has_the_classes_of_cityscapes(tmp_path):
    data = LabelledSet.open(kitti_semantics(tmp_path, 10), SIZE)
    assert data.counts == {"train": 7, "val": 1, "test": 2}
    assert sides(data) == (0, 8, {0, 8})


def test_kitti_semantics_can_be_split_as_lao_et_al_did(tmp_path):
    root = kitti_semantics(tmp_path, 10)
    data = LabelledSet.open(f"{root}?train=4", SIZE)
    assert data.counts == {"train": 4, "val": 6, "test": 6}
    assert data.names(range(4)) == [f"training/image_2/{i:06d}_10.png" for i in range(4)]
    for spec, expected in (
        ("train=10", "leave none"),
        ("train=x", "whole number"),
        ("trian=4", "Did you mean"),
    ):
        with pytest.raises((ConfigError, DataError), match=expected):
            LabelledSet.open(f"{root}?{spec}")


# ---------------------------------------------------------------- VOC


@pytest.mark.parametrize("level", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_is_read_by_its_lists_from_any_of_its_folders(tmp_path, level):
    data = LabelledSet.open(voc(tmp_path, voc_palette(256)) / level, SIZE)
    assert data.counts == {"train": 11, "val": 1, "test": 4}
    assert data.class_names[12] == "dog"
    assert data.class_colours[12].tolist() == [64, 0, 128]
    assert sides(data) == (0, 12, {0, 12, 255})


def test_voc_gives_boxes_counted_from_0(tmp_path):
    data = LabelledSet.open(voc(tmp_path, voc_palette(256)), SIZE, ("boxes",))
    assert data.counts == {"train": 11, "val": 1, "test": 4}
    batch = data.read([0], BOXES)
    assert batch.boxes[0].tolist() == [[10, 20, 40, 50]]
    assert data.class_names[int(batch.box_labels[0][0])] == "dog"


def test_voc_learns_from_sbd_too_but_never_from_val(tmp_path):
    root = voc(tmp_path, voc_palette(256))
    folder = root / "VOCdevkit" / "VOC2012"
    with pytest.raises(DataError, match="train=aug needs SegmentationClassAug"):
        LabelledSet.open(f"{root}?train=aug")
    for file in list((folder / "SegmentationClass").iterdir()):
        grey(folder / "SegmentationClassAug" / file.name, halves(0, 12))
    lists = folder / "ImageSets" / "Segmentation"
    everything = (lists / "train.txt").read_text() + (lists / "val.txt").read_text()
    listed = [f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png" for n in everything.split()]
    (lists / "train_aug.txt").write_text("\n".join(listed))
    data = LabelledSet.open(f"{root}?train=aug", SIZE)
    assert data.counts == {"train": 11, "val": 1, "test": 4}
    assert sides(data) == (0, 12, {0, 12})


def test_voc_learns_from_sbd_as_it_is_released(tmp_path):
    root = voc(tmp_path / "voc", voc_palette(256))
    sbd(tmp_path, ["2007_000001", "2008_009000"], ["2008_000000", "2009_000001"])
    data = LabelledSet.open(f"{root}?train=aug", SIZE)
    assert data.counts["train"] + data.counts["val"] == 12 + 2  # its own and two; not what val holds
    names = data.names(range(len(data)))
    assert {name.rsplit("/", 1)[-1] for name in names if "2008_000000" not in name} >= {
        "2008_009000.jpg",
        "2009_000001.jpg",
    }
    (row,) = (row for row, name in enumerate(names) if name.endswith("2009_000001.jpg"))
    assert sides(data, row) == (0, 12, {0, 12})


def test_sbd_is_a_data_set_of_its_own(tmp_path):
    root = sbd(tmp_path, [f"2008_{i:06d}" for i in range(12)], ["2009_000001", "2009_000002"])
    data = LabelledSet.open(root, SIZE)
    assert sum(data.counts.values()) == 14
    assert data.class_names[12] == "dog"
    assert sides(data) == (0, 12, {0, 12})
    file = root / "benchmark_RELEASE" / "dataset" / "cls" / "2008_000003.mat"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"2008_000003.mat is no file of MATLAB that can be read"):
        sbd_map(file)
    savemat(file, {"GTcls": {"Segmentation": halves(0, 21)}})
    with pytest.raises(DataError, match="the class 21 is none of VOC's, 0 to 20"):
        sbd_map(file)
    savemat(file, {"GTinst": 1})
    with pytest.raises(DataError, match=r"holds no GTcls.Segmentation"):
        sbd_map(file)
    file.unlink()
    with pytest.raises(DataError, match=r"2008_000003.mat and 0 other files are not there"):
        LabelledSet.open(root)


def test_voc_labels_in_colours_are_looked_up(tmp_path):
    root = voc(tmp_path, voc_palette(256))
    for file in root.rglob("SegmentationClass/*.png"):
        colours = voc_palette(256)[np.array(Image.open(file))]
        Image.fromarray(colours).save(file)
    assert sides(LabelledSet.open(root, SIZE)) == (0, 12, {0, 12, 255})


def test_a_list_of_voc_that_names_what_is_not_there_is_said(tmp_path):
    root = voc(tmp_path, voc_palette(256))
    min(root.rglob("JPEGImages/2008*.jpg")).unlink()
    with pytest.raises(DataError, match=r"val\.txt names 4 pictures, but JPEGImages/2008_000000\.jpg"):
        LabelledSet.open(root)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("</annotation>", "", "is no XML that can be read"),
        ("<xmin>11</xmin>", "", "an object without a box"),
        ("<name>dog</name>", "", "an object without a name"),
    ],
)
def test_damaged_boxes_of_voc_name_their_file(tmp_path, old, new, expected):
    root = voc(tmp_path, voc_palette(256))
    file = sorted(root.rglob("*.xml"))[3]
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(DataError, match=rf"{file.name}.*{expected}"):
        LabelledSet.open(root, names=("boxes",))


# ---------------------------------------------------------------- CamVid, BDD100K


@pytest.mark.parametrize("listed", [True, False])
def test_the_original_camvid_has_32_colours_and_the_usual_splits(tmp_path, listed):
    data = LabelledSet.open(camvid(tmp_path, CAMVID_32, listed=listed), SIZE)
    assert data.counts == {"train": 5, "val": 2, "test": 3}
    assert len(data.class_names) == 31  # void is ignored
    lane, suv = data.class_names.index("LaneMkgsDriv"), data.class_names.index("SUVPickupTruck")
    assert sides(data) == (lane, suv, {lane, suv, 255})


def test_the_colours_of_camvid_can_be_grouped_into_11_classes(tmp_path):
    root = camvid(tmp_path, CAMVID_32)
    data = LabelledSet.open(f"{root}?classes=11", SIZE)
    assert len(data.class_names) == 11
    assert sides(data) == (data.class_names.index("Road"), data.class_names.index("Car"), {3, 8, 255})
    with pytest.raises(ConfigError, match="classes must be one of 11, 32, not '12'"):
        LabelledSet.open(f"{root}?classes=12")


def test_a_list_of_colours_that_cannot_be_read_names_the_line(tmp_path):
    root = camvid(tmp_path, CAMVID_32)
    (root / "label_colors.txt").write_text("64 128 64\tAnimal\n300 0 0\tArchway\n")
    with pytest.raises(DataError, match=r"label_colors\.txt, line 2"):
        LabelledSet.open(root)


def test_bdd100k_gives_class_maps_and_boxes(tmp_path):
    root = bdd100k(tmp_path, {"train": 12, "val": 3})
    assert sides(LabelledSet.open(root, SIZE)) == (0, 13, {0, 13})
    data = LabelledSet.open(root, SIZE, ("boxes",))
    batch = data.read([0], BOXES)
    assert batch.boxes[0].tolist() == [[10, 20, 40, 30]]
    assert data.class_names[int(batch.box_labels[0][0])] == "car"


def test_the_older_layout_of_bdd100k_is_read(tmp_path):
    new = bdd100k(tmp_path / "new", {"train": 12, "val": 3})
    root = tmp_path / "bdd"
    (root / "seg").mkdir(parents=True)
    (new / "images" / "10k").rename(root / "seg" / "images")
    (new / "labels" / "sem_seg" / "masks").rename(root / "seg" / "labels")
    for file in (root / "seg" / "labels").rglob("*.png"):
        file.rename(file.with_name(f"{file.stem}_train_id.png"))
    assert sides(LabelledSet.open(root, SIZE)) == (0, 13, {0, 13})


def test_paths_with_spaces_and_any_letters_are_paths(tmp_path):
    root = tmp_path / "mes données 日本"
    data = LabelledSet.open(f"{kitti_semantics(root, 10)}?train=4", SIZE)
    assert data.counts["train"] == 4
    assert open_labelled_source(str(cityscapes(root / "c s", {"train": 4, "val": 1}))).kind == "Cityscapes"


# ---------------------------------------------------------------- COCO-Stuff


@pytest.mark.parametrize("level", ["", "stuffthingmaps"])
def test_coco_stuff_has_171_classes_without_those_that_coco_left_out(tmp_path, level):
    data = LabelledSet.open(coco_stuff(tmp_path, {"train": 12, "val": 3}) / level, SIZE)
    assert len(data.class_names) == 171
    assert (data.class_names[0], data.class_names[-1]) == ("person", "wood")
    assert sides(data) == (0, 170, {0, 170, 255})
    assert data.counts == {"train": 11, "val": 1, "test": 3}


def test_maps_of_coco_stuff_without_pictures_are_counted(tmp_path):
    root = coco_stuff(tmp_path, {"train": 12, "val": 3})
    (root / "train2017" / "000000000000.jpg").unlink()
    assert "1 maps have no picture and are left out" in open_labelled_source(str(root)).warnings
