from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.sizes import working_size
from geopretrain.data.subsets import nested_subset
from geopretrain.errors import ConfigError, DataError


def write_pair(root, split, stem, labels, image_size=None, mode=None):
    images, maps = (root / "images" / split, root / "labels" / split)
    images.mkdir(parents=True, exist_ok=True)
    maps.mkdir(parents=True, exist_ok=True)
    height, width = image_size or labels.shape[:2]
    rng = np.random.default_rng(abs(hash(stem)) % 1000)
    Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(images / f"{stem}.png")
    picture = Image.fromarray(labels)
    if mode == "P":
        picture.putpalette([3 * k % 256 for k in range(768)])
    picture.save(maps / f"{stem}.png")
    return maps / f"{stem}.png"


def folder(tmp_path, count=10, classes="road\nsky\ncar\n", labels=None, split=""):
    labels = np.zeros((64, 96), dtype=np.uint8) if labels is None else labels
    for number in range(count):
        write_pair(tmp_path, split, f"{number:03d}", labels)
    (tmp_path / "classes.txt").write_text(classes)
    return tmp_path


def read(data, split, numbers):
    return data.read(data.splits()[split][list(numbers)])


def test_flat_folder_gets_fixed_disjoint_splits(tmp_path):
    root = folder(tmp_path, 20)
    first, second = LabelledSet.open(root), LabelledSet.open(root)
    assert first.counts == {"train": 14, "val": 2, "test": 4}
    names = [first.names(positions) for positions in first.splits().values()]
    assert names == [second.names(positions) for positions in second.splits().values()]
    assert len({name for split in names for name in split}) == 20
    assert "70/10/20" in first.describe().in_words(remarks=True)


def test_batch_has_the_stated_shapes_and_types(tmp_path):
    data = LabelledSet.open(folder(tmp_path), size=(32, 64))
    batch = read(data, "train", np.array([1, 0]))
    assert batch.images.shape == (2, 3, 32, 64)
    assert str(batch.images.dtype) == "torch.uint8"
    assert batch.labels.shape == (2, 32, 64)
    assert str(batch.labels.dtype) == "torch.int64"
    assert batch.index.tolist() == data.splits()["train"][[1, 0]].tolist()


def test_images_are_reduced_with_antialiasing_and_labels_with_nearest(tmp_path):
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 2
    root = folder(tmp_path, 3, labels=stripes)
    for path in (root / "images").rglob("*.png"):
        Image.fromarray(np.repeat((stripes * 100)[..., None], 3, axis=2)).save(path)
    batch = read(LabelledSet.open(root, size=(32, 32)), "train", [0])
    assert set(batch.labels.unique().tolist()) <= {0, 2}  # no class is invented between 0 and 2
    inner = batch.images[..., 2:-2].float()
    assert (inner - 100).abs().max() < 30  # one-pixel stripes of 0 and 200 become grey


def test_what_was_read_once_needs_the_files_no_more(tmp_path):
    root = folder(tmp_path)
    data = LabelledSet.open(root, size=(32, 32))
    first = read(data, "train", [0]).images
    for path in root.rglob("*.png"):
        path.unlink()
    assert (read(data, "train", [0]).images == first).all()


def test_labels_that_were_mended_are_read_again_also_by_a_relative_path(tmp_path, monkeypatch):
    folder(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    before = LabelledSet.open("mine", size=(32, 32))
    fingerprint = before.fingerprint()
    assert fingerprint == LabelledSet.open(tmp_path / "mine", size=(32, 32)).fingerprint()
    assert set(read(before, "train", [0]).labels.unique().tolist()) == {0}
    for path in (tmp_path / "mine" / "labels").glob("*.png"):
        Image.fromarray(np.full((64, 96), 1, np.uint8)).save(path)
    after = LabelledSet.open("mine", size=(32, 32))
    assert set(read(after, "train", [0]).labels.unique().tolist()) == {1}
    assert after.fingerprint() != fingerprint


def test_palette_images_give_ids_and_255_is_ignored(tmp_path):
    labels = np.full((64, 64), 2, dtype=np.uint8)
    labels[:32] = 255
    root = folder(tmp_path, 9)
    for path in (root / "labels").glob("*.png"):
        write_pair(root, "", path.stem, labels, mode="P")
    assert set(read(LabelledSet.open(root, size=(32, 32)), "train", [0]).labels.unique().tolist()) == {2, 255}


def test_colour_maps_are_looked_up_in_the_class_list(tmp_path):
    colours = np.zeros((64, 64, 3), dtype=np.uint8)
    colours[:16] = (128, 64, 128)
    colours[16:32] = (70, 130, 180)
    root = folder(tmp_path, 5, classes="road 128 64 128\nsky, 70, 130, 180\n", labels=colours)
    labels = read(LabelledSet.open(root, size=(64, 64)), "test", [0]).labels[0]
    assert [int(labels[row, 0]) for row in (0, 20, 40)] == [0, 1, 255]
    (root / "classes.txt").write_text("way\nair\n")  # nobody knows their colours
    with pytest.raises(DataError, match="no colours"):
        read(LabelledSet.open(root), "train", [0])
    (root / "classes.txt").write_text("road 128 64 128\nsky 1 2 3\n")
    with pytest.raises(DataError, match=r"\(70, 130, 180\)"):
        read(LabelledSet.open(root), "train", [0])


def test_class_ids_can_be_listed_and_void_is_ignored(tmp_path):
    labels = np.full((64, 64), 13, dtype=np.uint8)
    labels[:20] = 0
    root = folder(tmp_path, 5, classes="0: unlabeled\n7: traffic light\n13: stop sign\n", labels=labels)
    data = LabelledSet.open(root, size=(64, 64))
    assert data.class_names == ("traffic light", "stop sign")
    assert set(read(data, "train", [0]).labels.unique().tolist()) == {1, 255}


def test_an_id_outside_the_list_names_file_and_id(tmp_path):
    root = folder(tmp_path, 4)
    bad = sorted((root / "labels").glob("*.png"))
    for path in bad:
        write_pair(root, "", path.stem, np.full((64, 64), 7, dtype=np.uint8))
    with pytest.raises(DataError, match=r"\d+\.png holds the id 7, which is outside.*3 classes, ids 0-2"):
        read(LabelledSet.open(root), "train", [0])


def test_label_and_image_of_different_size_name_the_file(tmp_path):
    root = folder(tmp_path, 4)
    for path in (root / "labels").glob("*.png"):
        write_pair(root, "", path.stem, np.zeros((64, 64), dtype=np.uint8), image_size=(64, 80))
    with pytest.raises(DataError, match=r"\.png is 64x64 px .*, but its image .*\.png is 64x80"):
        read(LabelledSet.open(root), "train", [0])


@pytest.mark.parametrize(
    "case", ["no classes", "no label", "no folder", "empty folder", "unreadable", "tiny"]
)
def test_what_is_wrong_is_said(tmp_path, case):
    root = folder(tmp_path, 4)
    expected = {
        "no classes": r"classes\.txt is missing",
        "no label": r"have no label there.*000\.png",
        "no folder": "is not a folder",
        "empty folder": "is no known labelled data set",
        "unreadable": r"\.png cannot be read",
        "tiny": "at least 64 pixels a side",
    }[case]
    if case == "no classes":
        (root / "classes.txt").unlink()
    if case == "no label":
        (root / "labels" / "000.png").unlink()
    if case == "no folder":
        root = root / "missing"
    if case == "empty folder":
        root = tmp_path / "nothing"
        root.mkdir()
    for path in (root / "labels").glob("*.png"):
        if case == "unreadable":
            path.write_bytes(b"not an image")
        if case == "tiny":
            write_pair(root, "", path.stem, np.zeros((40, 40), dtype=np.uint8))
    with pytest.raises(DataError, match=expected):
        read(LabelledSet.open(root), "train", [0])


def test_splits_on_disk_are_kept_and_missing_ones_are_made(tmp_path):
    folder(tmp_path, 10, split="train2017")
    root = folder(tmp_path, 3, split="val2017")
    data = LabelledSet.open(root)
    assert data.counts == {"train": 9, "val": 1, "test": 3}
    assert all("val2017" in name for name in data.names(data.splits()["test"]))
    assert all("train2017" in name for name in data.names(data.splits()["val"]))
    assert "used as test" in data.describe().in_words(remarks=True)


def test_splits_outside_of_images_and_labels(tmp_path):
    for split in ("train", "val", "test"):
        folder(tmp_path / split, 2)
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert LabelledSet.open(tmp_path).counts == {"train": 2, "val": 2, "test": 2}


def test_camvid(shared_data):
    data = LabelledSet.open(shared_data / "camvid")
    assert data.counts == {"train": 367, "val": 101, "test": 173}
    assert data.num_classes == 11
    assert (data.class_names[0], data.class_names[10]) == ("Sky", "Bicyclist")
    assert data.class_colours[3].tolist() == [128, 64, 128]
    batch = read(data, "train", range(4))
    assert batch.labels.max() == 255
    assert 11 not in batch.labels.unique()
    assert batch.images[:, :, :20].float().mean() > batch.images[:, :, -20:].float().mean()  # sky over road


def test_nested_subsets_contain_the_smaller_ones():
    sixteen, four = nested_subset(100, 16, seed=3), nested_subset(100, 4, seed=3)
    assert sixteen[:4] == four
    assert len(set(sixteen)) == 16
    assert sixteen != nested_subset(100, 16, seed=4)
    with pytest.raises(
        ConfigError, match="101 labelled images were asked for, but the training split holds 100"
    ):
        nested_subset(100, 101, seed=0)


def test_labelled_images_work_at_the_size_of_a_store_of_the_same_images(tmp_path):
    images = folder(tmp_path, labels=np.zeros((90, 120), dtype=np.uint8))
    assert LabelledSet.open(images).size == working_size((90, 120)) == (96, 128)
    assert LabelledSet.open(images, size=(75, 101)).read([0]).images.shape == (1, 3, 75, 101)
    with pytest.raises(ConfigError, match="at least 32"):
        LabelledSet.open(images, size=(20, 310))


def test_synthetic_splits_are_different_worlds():
    data = LabelledSet.open("synthetic:street?train=40&test=9", size=(32, 64))
    assert data.counts == {"train": 40, "val": 24, "test": 9}
    worlds = {s: {n.split("-frame")[0] for n in data.names(p)} for s, p in data.splits().items()}
    assert len(worlds["train"] | worlds["val"] | worlds["test"]) == 5 + 3 + 2
    assert read(data, "test", [8]).images.shape == (1, 3, 32, 64)
    with pytest.raises(ConfigError, match="Did you mean 'train'"):
        LabelledSet.open("synthetic:street?trian=4")
    with pytest.raises(ConfigError, match="Did you mean 'street'"):
        LabelledSet.open("synthetic:stret")


def test_synthetic_images_have_depth_boxes_and_masks_that_fit_together():
    data = LabelledSet.open("synthetic:street?train=8&val=1&test=1", size=(64, 192))
    names = ("labels", "depth", "boxes", "masks")
    batch = data.read(data.splits()["train"], Fields(names=names))
    assert batch.depth.shape == (8, 1, 64, 192)
    assert sum(len(boxes) for boxes in batch.boxes) > 8
    for labels, boxes, classes, masks in zip(
        batch.labels, batch.boxes, batch.box_labels, batch.masks, strict=True
    ):
        assert masks.shape == (len(boxes), 64, 192)
        for (x0, y0, x1, y1), number, mask in zip(boxes.int().tolist(), classes.tolist(), masks, strict=True):
            rows, columns = mask.nonzero().unbind(1)
            assert (x0, y0) == (columns.min(), rows.min())
            assert (x1, y1) == (columns.max() + 1, rows.max() + 1)
            assert set(labels[mask].tolist()) == {number}
