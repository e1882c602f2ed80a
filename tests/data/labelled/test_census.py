"""What labels hold is counted and said, and what cannot be meant is refused before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geopretrain.console import console
from geopretrain.data.labelled import labelled_set
from geopretrain.data.labelled.census import census, check_labels
from geopretrain.data.labelled.inspected import inspected
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError

SPLITS = ("train", "val", "test")


def write(root: Path, maps: dict[str, list[np.ndarray]], classes: str) -> Path:
    """Write images of noise and class maps, split by split."""
    rng = np.random.default_rng(0)
    for split, labels in maps.items():
        for name in ("images", "labels"):
            (root / name / split).mkdir(parents=True, exist_ok=True)
        for number, values in enumerate(labels):
            image = rng.integers(0, 255, (*values.shape[:2], 3), dtype=np.uint8)
            Image.fromarray(image).save(root / "images" / split / f"{number:03d}.png")
            Image.fromarray(values).save(root / "labels" / split / f"{number:03d}.png")
    (root / "classes.txt").write_text(classes)
    return root


def striped(*ids: int) -> np.ndarray:
    """A class map with one stripe of each id."""
    return np.array(ids, dtype=np.uint8)[np.arange(64) * len(ids) // 64, None].repeat(64, axis=1)


def everywhere(*ids: int, count: int = 2) -> dict[str, list[np.ndarray]]:
    return {split: [striped(*ids)] * count for split in SPLITS}


def checked(root: Path, labels: int | None = None) -> LabelledSet:
    data = LabelledSet.open(root, size=(32, 32))
    splits = data.splits()
    check_labels(data, splits["train"][:labels], splits["test"])
    return data


def test_what_was_found_is_said_in_a_sentence(tmp_path, capsys):
    maps = everywhere(0, 0, 7, 255)
    checked(write(tmp_path, maps, "road\n7: sky\n9: pole\n255: void\n"))
    said = capsys.readouterr().out
    assert "Labels of 4 images: road (0) 50 %, sky (7) 25 %; ignored 25 %; never: pole (9)." in said


def test_counts_are_exact_and_nothing_is_read_twice(tmp_path, monkeypatch):
    data = checked(write(tmp_path, everywhere(0, 1), "a\nb\n"))
    shutil.rmtree(tmp_path / "images")
    shutil.rmtree(tmp_path / "labels")
    assert census(data, data.splits()["train"]).pixels.tolist() == [[512, 512, 0]] * 2
    monkeypatch.setattr(labelled_set.LabelledSet, "_count_row", None)  # counted before
    assert data.class_pixels(data.splits()["test"]).tolist() == [[512, 512, 0]] * 2


@pytest.mark.parametrize(
    ("ids", "classes", "expected"),
    [
        ((0, 255), "road\ncar\n", r"car never occurs in 6 labels, while 255.*'255: car' instead of 'car'"),
        ((0, 1, 255), "road\nsky\ncar\n", "'255: car' instead of 'car' in classes.txt.*'255: ignore'"),
        ((255,), "road\ncar\n", "All 6 labels are ignored .255. from edge to edge"),
        ((0,), "road\ncar\n", r"All 6 labels show road \(0\) and nothing else"),
        ((1, 255), "road\ncar\n255: void\n", r"All 6 labels show car \(1\) and nothing else"),
        ((1, 255), "road\ncar\n", "road never occurs in 6 labels.*'255: road' instead of 'road'"),
        (
            (0, 1, 255),
            "road\nsky\ncar\ntree\n",
            "car and tree never occur in 6 labels, while 255.*'255: tree'",
        ),
        ((0, 255), "a\nb\nc\nd\n", "b, c and d never occur in 6 labels"),
        ((0, 255), "\n".join("abcdefghijklm"), "b, c, d, e, f, g, h, i and 4 more never occur"),
        ((0, 1, 255), "void\nroad\ncar\n", "car never occurs in 6 labels, while 255.*'255: car'"),
        ((0, 255), "void\nroad\ncar\n", "All 6 labels are ignored.*'255: car' instead of 'car'"),
        (
            (255,),
            "road\ncar\n255: ignore\n",
            "All 6 labels are ignored from edge to edge. The class list says",
        ),
        ((255,), "road\n255: car\n", r"All 6 labels show car \(255\) and nothing else"),
        (
            (0, 7),
            "road\ncar\n",
            "holds the id 7, which is outside.*'7: name'; if it is of no class, '7: ignore'",
        ),
        ((0, 255), "car\n", "lists 1 classes; at least 2.*'0: background' and '255: car'"),
        ((0, 127), "road\ncar\n", "holds the id 127, which is outside.*before the name.*'127: name'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(tmp_path, ids, classes, expected):
    root = write(tmp_path, everywhere(*ids), classes)
    with pytest.raises(DataError, match=expected):
        checked(root)


@pytest.mark.parametrize(
    ("ids", "classes", "classes_found"),
    [
        ((0, 255), "road\n255: car\n", {0, 1}),
        ((0, 255), "0: road\n255: car\n", {0, 1}),
        ((0, 1, 255), "road\nsky\ncar\n255: ignore\n", {0, 1, 255}),
        ((0, 2, 255), "road\nsky\ncar\n", {0, 2, 255}),  # not the last one is missing: 255 may be borders
        ((0, 1, 2, 255), "a\nb\nc\nd\ne\n", {0, 1, 2, 255}),
        ((0, 4, 255), "a\nb\nc\nd\ne\nf\n", {0, 4, 255}),
        ((0, 1, 2, 255), "a\nb\nc\n", {0, 1, 2, 255}),  # borders
        ((0, 1, 255), "a\nb\nc\nd\n255: ignore\n", {0, 1, 255}),
        ((1, 2, 0), "void\na\nb\nc\n", {0, 1, 255}),
    ],
)
def test_what_was_offered_and_what_may_be_meant_is_taken(tmp_path, ids, classes, classes_found):
    data = checked(write(tmp_path, everywhere(*ids), classes))
    assert set(data.read(data.splits()["train"]).labels.unique().tolist()) == classes_found


def test_what_may_be_meant_is_told_with_the_way_to_say_so(tmp_path, capsys):
    root = write(tmp_path, everywhere(0, 1, 2, 255), "a\nb\nc\nd\ne\n")
    checked(root)
    said = capsys.readouterr().out
    assert "d and e never occur in 4 labels, while 255, which is ignored, is in 4 of them. That may" in said
    assert "write '255: e' instead of 'e'" in said
    assert "That may well be" in inspected(root)[0]
    (root / "classes.txt").write_text("a\nb\nc\nd\ne\n255: ignore\n")
    checked(root)
    assert "255, which" not in capsys.readouterr().out


WHITE, BLACK, ROAD = (255, 255, 255), (0, 0, 0), (128, 64, 128)


def coloured(*colours: tuple[int, int, int]) -> dict[str, list[np.ndarray]]:
    ids = striped(*range(len(colours)))
    return {split: [np.array(colours, dtype=np.uint8)[ids]] * 2 for split in SPLITS}


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        (
            (ROAD, WHITE),
            "car never occurs in 6 labels, while white, .*'car 255 255 255'.*'ignore 255 255 255'",
        ),
        (
            (ROAD, BLACK),
            "while black, which is ignored, is in 6 of them. If black is 'car', write 'car 0 0 0'",
        ),
        ((BLACK, WHITE), "All 6 labels are ignored .black and white. from edge to edge. If white is 'car'"),
        ((ROAD, (1, 2, 3)), "colour .1, 2, 3., which belongs to no class.*'ignore 1 2 3'"),
    ],
)
def test_colours_of_no_line_are_refused_with_the_way_out(tmp_path, colours, expected):
    root = write(tmp_path, coloured(*colours), "road 128 64 128\ncar 0 0 142\n")
    with pytest.raises(DataError, match=expected):
        checked(root)


def test_colours_that_lines_name_are_taken(tmp_path):
    classes = "road 128 64 128\ncar 255 255 255\nignore 1 2 3\n"
    data = checked(write(tmp_path, coloured(ROAD, WHITE, (1, 2, 3), BLACK), classes))
    assert data.read([0]).labels.unique().tolist() == [0, 1, 255]


def test_one_colour_for_two_classes_is_refused(tmp_path):
    root = write(tmp_path, coloured(ROAD, WHITE), "road 128 64 128\ncar 128 64 128\n")
    with pytest.raises(DataError, match="gives one colour to 'road' and 'car'"):
        checked(root)


def test_a_rare_class_is_looked_for_before_anything_is_refused(tmp_path):
    maps = everywhere(0, 1, 255)
    maps["train"] = [striped(0, 1, 255)] * 3 + [striped(2, 255)]
    checked(write(tmp_path, maps, "road\nsky\ncar\n"), labels=1)


def test_parts_with_one_class_are_refused_or_told(tmp_path):
    maps = everywhere(0, 1)
    maps["train"] = [striped(0)] * 2
    write(tmp_path / "train", maps, "a\nb\n")
    with pytest.raises(DataError, match="the 2 training images show nothing but a"):
        checked(tmp_path / "train")
    maps = everywhere(0, 1)
    maps["train"][0] = striped(1)
    maps["test"] = [striped(255)] * 2
    write(tmp_path / "test", maps, "a\nb\n")
    with pytest.raises(DataError, match="all labels of the test split are ignored"):
        checked(tmp_path / "test")


def test_a_few_labels_with_one_class_are_told(tmp_path, capsys):
    maps = everywhere(0, 1)
    maps["train"][0] = striped(1)
    checked(write(tmp_path, maps, "a\nb\n"), labels=1)
    assert "the 1 training images show nothing but b" in capsys.readouterr().out


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".tif"])
def test_labels_packed_with_loss_are_refused(tmp_path, ending):
    root = write(tmp_path, everywhere(0, 1), "a\nb\n")
    options = {".jpg": {}, ".webp": {"quality": 80}, ".tif": {"compression": "jpeg"}}[ending]
    for path in (root / "labels").rglob("*.png"):
        Image.open(path).convert("RGB").save(path.with_suffix(ending), **options)
        path.unlink()
    with pytest.raises(DataError, match=r"packed with loss.*Save\s+labels as PNG"):
        checked(root)


def test_lossless_kinds_are_taken(tmp_path):
    root = write(tmp_path, everywhere(0, 1), "a\nb\n")
    kinds = {"train": (".webp", {"lossless": True}), "val": (".tif", {}), "test": (".gif", {})}
    for split, (ending, options) in kinds.items():
        for path in (root / "labels" / split).glob("*.png"):
            Image.open(path).save(path.with_suffix(ending), **options)
            path.unlink()
    assert set(checked(root).read([0, 5]).labels.unique().tolist()) == {0, 1}


def test_fractions_are_no_ids_but_whole_floats_are(tmp_path):
    root = write(tmp_path, everywhere(0, 1), "a\nb\n")
    for path in (root / "labels").rglob("*.png"):
        values = np.asarray(Image.open(path)).astype(np.float32)
        Image.fromarray(values).save(path.with_suffix(".tif"))
        path.unlink()
    checked(root)
    for path in (root / "labels" / "train").glob("*.tif"):
        Image.fromarray(np.asarray(Image.open(path)) + np.float32(0.5)).save(path)
    with pytest.raises(DataError, match=r"\.tif holds fractions \(0\.5, for example\)"):
        checked(root)


def test_the_same_picture_in_train_and_test_is_refused_under_any_name(tmp_path):
    root = write(tmp_path, everywhere(0, 1), "a\nb\n")
    copied = root / "images" / "test" / "001.png"
    Image.open(root / "images" / "train" / "000.png").save(copied, compress_level=1)  # other bytes
    with pytest.raises(DataError, match=r"1 picture is both in train and in test; images/train/000\.png"):
        checked(root)
    copied.unlink()
    copied.hardlink_to(root / "images" / "train" / "000.png")
    with pytest.raises(DataError, match="train and test share 1 of their pictures"):
        LabelledSet.open(root)


def listed(root: Path, **lists: str) -> Path:
    for split in SPLITS:
        text = lists.get(split, f"images/{split}/000.png labels/{split}/000.png\n")
        (root / f"{split}.txt").write_text(text)
    return root


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"test": "images/train/000.png labels/train/000.png\n"},
            "train and test share 1 of their pictures, images/train/000.png for example",
        ),
        (
            {"train": "images/train/000.png labels/train/000.png\n\n" * 2},
            "train.txt names images/train/000.png twice, in lines 1 and 3",
        ),
        ({"val": "\n# nothing\n"}, "val.txt is empty"),
    ],
)
def test_lists_that_overlap_repeat_or_are_empty_are_refused(tmp_path, lists, expected):
    root = listed(write(tmp_path, everywhere(0, 1), "a\nb\n"), **lists)
    with pytest.raises(DataError, match=expected):
        LabelledSet.open(root)


def test_val_that_is_test_is_told(tmp_path):
    same = "images/test/000.png labels/test/000.png\n"
    data = LabelledSet.open(listed(write(tmp_path, everywhere(0, 1), "a\nb\n"), val=same))
    assert "val and test share 1 of their pictures" in data.describe().in_words(remarks=True)


def test_lists_and_classes_of_other_systems(tmp_path):
    root = write(tmp_path, everywhere(0, 1), "")
    (root / "classes.txt").write_bytes("\ufeffwölk\r\nb\r\n".encode())
    for split in SPLITS:
        line = f"images\\{split}\\000.png labels\\{split}\\000.png\r\n"
        (root / f"{split}.txt").write_bytes(("\ufeff" + line).encode())
    data = LabelledSet.open(root)
    assert data.class_names == ("wölk", "b")
    assert data.counts == {"train": 1, "val": 1, "test": 1}


def test_what_systems_leave_behind_is_no_image_and_no_label(tmp_path):
    root = write(tmp_path, everywhere(0, 1), "a\nb\n")
    for name in ("images", "labels"):
        (root / name / "train" / "._000.png").write_bytes(b"\0")
        (root / name / "train" / "Thumbs.db").write_bytes(b"\0")
    assert LabelledSet.open(root).counts["train"] == 2


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_two_files_of_one_name_are_refused(tmp_path, folder):
    root = write(tmp_path, everywhere(0, 1), "a\nb\n")
    shutil.copy(root / folder / "train" / "000.png", root / folder / "train" / "000.tif")
    with pytest.raises(DataError, match=r"holds 000\.png and 000\.tif.*Keep one"):
        LabelledSet.open(root)


def test_class_lists_that_cannot_be_meant(tmp_path):
    root = write(tmp_path, everywhere(0, 1), "car: 255\nroad: 0\n")
    with pytest.raises(DataError, match="line 1: 'car: 255': the id goes before the name"):
        LabelledSet.open(root)
    (root / "classes.txt").write_text("car\ncar\n")
    with pytest.raises(DataError, match="two classes of the same name"):
        LabelledSet.open(root)


def test_inspection_says_the_same(tmp_path):
    said, usable = inspected(write(tmp_path / "good", everywhere(0, 1), "a\nb\n"))
    assert "Labels of 6 images: a (0) 50 %, b (1) 50 %; ignored 0 %." in said
    assert usable
    said, usable = inspected(write(tmp_path / "bad", everywhere(0, 255), "a\nb\n"))
    assert "Not fit for training: b never occurs" in said
    assert not usable
    (tmp_path / "bad" / "classes.txt").unlink()
    assert "classes.txt is missing" in inspected(tmp_path / "bad")[0]


def test_synthetic_worlds_are_counted_too(capsys):
    data = LabelledSet.open("synthetic:street?train=2&val=1&test=1", size=(32, 64))
    with console.showing(True):
        check_labels(data, data.splits()["train"], data.splits()["test"])
    assert "Labels of 3 images: " in capsys.readouterr().out
