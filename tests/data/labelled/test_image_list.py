"""Tables and text files of images with a class each."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.opening import open_dataset
from geopretrain.errors import DataError

CLASSES = Fields(names=("image_labels",))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(12):
        Image.fromarray(np.full((64, 64, 3), i, np.uint8)).save(tmp_path / "pictures" / f"{i}.png")
    return tmp_path


def lines(names=("cat", "dog"), count=12):
    return [(f"pictures/{i}.png", names[i % len(names)]) for i in range(count)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("list.csv", "".join(f"{image},{name}\n" for image, name in lines())),
        ("list.csv", "label;filename\n" + "".join(f"{name};{image}\n" for image, name in lines())),
        ("list.tsv", "".join(f"{image}\t{name}\n" for image, name in lines())),
        ("list.txt", "# a comment\n\n" + "".join(f"{image} {name}\r\n" for image, name in lines())),
        ("list.csv", "".join(f'"{image}","{name}"\n' for image, name in lines())),
    ],
)
def test_lists_of_any_kind_say_the_classes(root, file, text):
    (root / file).write_text(text)
    data = open_dataset(root / file, CLASSES, size=(64, 64))
    assert data.class_names == ("cat", "dog")
    assert data.counts == {"train": 11, "val": 1}
    batch = data.read(range(12), CLASSES)
    assert batch.image_labels.tolist() == (batch.images[:, 0, 0, 0] % 2).tolist()


def test_a_column_of_splits_is_kept(root):
    splits = ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    rows = [f"{image},{name},{split}" for (image, name), split in zip(lines(), splits, strict=True)]
    (root / "list.csv").write_text("\n".join(["image,class,split", *rows]))
    assert LabelledSet.open(f"images:{root / 'list.csv'}").counts == {"train": 6, "val": 4}


def test_the_list_beside_holds_the_validation_images(root):
    (root / "train.txt").write_text("".join(f"{image} {name}\n" for image, name in lines()[:8]))
    (root / "val.txt").write_text("".join(f"{image} {name}\n" for image, name in lines()[8:]))
    data = LabelledSet.open(f"images:{root / 'train.txt'}")
    assert data.counts == {"train": 8, "val": 4}
    assert data.names([8]) == ["pictures/8.png"]


def test_other_classes_are_other_data(root):
    fingerprints = []
    for names in (("cat", "dog"), ("dog", "cat")):
        (root / "list.csv").write_text("".join(f"{image},{name}\n" for image, name in lines(names)))
        data = LabelledSet.open(f"images:{root / 'list.csv'}", size=(64, 64))
        fingerprints.append(data.fingerprint())
        assert data.class_names[data.read([0], CLASSES).image_labels.item()] == names[0]
    assert fingerprints[0] != fingerprints[1]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a.png,cat\nb.png\n", "line 2: expected 'image,class'"),
        ("a.png,cat\na.png,dog\n", "names a.png twice, in lines 1 and 2"),
        ("a.png,cat\n", "lists 1 images; at least 2"),
        ("", "lists 0 images"),
        ("a.png,cat,train\nb.png,dog,somewhere\n", "line 2: 'somewhere' is no split"),
        ("a.png,cat,train\nb.png,dog,train\n", "lists no image of 'val'"),
        ("image,class\na.png,\nb.png,cat\n", "line 2: expected"),
    ],
)
def test_lists_that_cannot_be_understood_name_the_line(root, text, match):
    (root / "list.csv").write_text(text)
    with pytest.raises(DataError, match=match):
        LabelledSet.open(f"images:{root / 'list.csv'}")


def test_what_is_learned_from_is_not_judged_on(root):
    (root / "train.csv").write_text("".join(f"{image},{name}\n" for image, name in lines(count=8)))
    (root / "val.csv").write_text("".join(f"./{image},{name}\n" for image, name in lines(count=3)))
    with pytest.raises(DataError, match=r"both name pictures/0\.png and 2 more"):
        LabelledSet.open(f"images:{root / 'train.csv'}")


def test_an_image_listed_under_two_spellings_is_listed_twice(root):
    text = "".join(f"{image},{name}\n" for image, name in lines())
    (root / "list.csv").write_text(text + "./pictures/0.png,dog\n")
    with pytest.raises(DataError, match=r"names pictures/0\.png twice, in lines 1 and 13"):
        LabelledSet.open(f"images:{root / 'list.csv'}")


@pytest.mark.parametrize("first", ["fname,breed", "id,fname,breed"])
def test_columns_of_unknown_names_are_no_image(root, first):
    number = "7," * first.count("id,")
    text = "".join(f"{number}{image},{name}\n" for image, name in lines())
    (root / "list.csv").write_text(f"{first}\n{text}")
    with pytest.raises(DataError, match=f"line 1: '{first}' names no image"):
        LabelledSet.open(f"images:{root / 'list.csv'}")
