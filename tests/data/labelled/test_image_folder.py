import os
import shutil
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled import base
from geopretrain.data.labelled.image_folder import open_image_folder
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError

CLASSES = Fields(names=("image_labels",))


def write_images(folder, count, size=(64, 96), value=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((*size, 3), value + number, np.uint8)).save(folder / f"{number}.png")


def test_any_folder_of_images_has_a_tenth_held_out(tmp_path):
    write_images(tmp_path / "a" / "deep", 12)
    write_images(tmp_path / ".hidden", 3)
    write_images(tmp_path, 8)
    (tmp_path / "notes.txt").write_text("no image")
    images = LabelledSet.open(f"images:{tmp_path}")
    splits = images.splits()
    assert {split: len(found) for split, found in splits.items()} == {"train": 18, "val": 2}
    batch = images.read(splits["train"], Fields())
    assert batch.labels is None
    assert batch.image_labels is None
    assert batch.images.shape == (18, 3, 64, 96)
    assert images.describe().fields == ()
    with pytest.raises(DataError, match="holds no class of each image, but images alone"):
        images.read([0], CLASSES)


def test_names_of_sub_folders_are_classes_of_the_images(tmp_path):
    for split, count in (("train", 3), ("val", 1)):
        for number, name in enumerate(("cat", "dog", "10", "9")):
            write_images(tmp_path / split / name / "more", count, value=50 * number)
    images = LabelledSet.open(f"images:{tmp_path}")
    assert images.class_names == ("9", "10", "cat", "dog")
    assert images.counts == {"train": 12, "val": 4}
    batch = images.read(np.arange(len(images)), CLASSES)
    written = {"cat": 0, "dog": 50, "10": 100, "9": 150}
    for name, image, label in zip(
        images.names(range(16)), batch.images, batch.image_labels.tolist(), strict=True
    ):
        assert f"/{images.class_names[label]}/" in name
        assert int(image[0, 0, 0]) // 50 * 50 == written[images.class_names[label]]


def test_images_of_another_aspect_are_cut_to_their_centre(tmp_path):
    for number in range(9):
        write_images(tmp_path / str(number), 1, size=(64, 96))
    wide = np.zeros((64, 300, 3), np.uint8)
    wide[:, 102:198] = 200
    (tmp_path / "wide").mkdir()
    Image.fromarray(wide).save(tmp_path / "wide" / "0.png")
    images = LabelledSet.open(f"images:{tmp_path}")
    place = images.names(range(10)).index("wide/0.png")
    assert images.size == (64, 96)
    assert (images.read([place], Fields()).images == 200).all()


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds 0 images"):
        LabelledSet.open(f"images:{tmp_path}")
    with pytest.raises(DataError, match="is not a folder"):
        LabelledSet.open(f"images:{tmp_path / 'gone'}")


def test_a_moved_folder_keeps_its_fingerprint(tmp_path):
    write_images(tmp_path / "a" / "x", 5)
    first = LabelledSet.open(f"images:{tmp_path / 'a'}").fingerprint()
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert LabelledSet.open(f"images:{tmp_path / 'b'}").fingerprint() == first
    write_images(tmp_path / "b" / "x", 5, value=1)
    assert LabelledSet.open(f"images:{tmp_path / 'b'}").fingerprint() != first


class Entry:
    """A file that is only listed."""

    def __init__(self, folder, name, is_folder):
        self.name, self.path, self._is_folder = name, f"{folder}/{name}", is_folder

    def is_dir(self):
        return self._is_folder

    def is_symlink(self):
        return False


class Listing(list):
    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def list_only(monkeypatch):
    """Undone before pytest itself lists the folder to delete it."""
    with monkeypatch.context() as patch:
        yield partial(only_listed, patch)


def only_listed(patch, root, count, classes):
    """Let a folder seem to hold ``count`` images in folders of classes; return what is asked of files."""

    def scandir(folder):
        if Path(folder) == root:
            return Listing(Entry(folder, f"n{i:08d}", True) for i in range(classes))
        return Listing(Entry(folder, f"{i}_photo.JPEG", False) for i in range(count // classes))

    asked, stat = [], Path.stat
    patch.setattr(os, "scandir", scandir)
    patch.setattr(Path, "stat", lambda self, **options: asked.append(self) or stat(self, **options))
    return asked


def test_hundreds_of_thousands_of_images_are_listed_and_none_is_asked_for(tmp_path, list_only):
    asked = list_only(tmp_path, 200_000, classes=1000)
    source = open_image_folder(f"images:{tmp_path}")
    assert sum(source.counts.values()) == 200_000
    assert len(source.class_names) == 1000
    assert source.files["train"][:2] == ["n00000000/0_photo.JPEG", "n00000000/1_photo.JPEG"]
    assert len(asked) < 500
    source.unread()
    source.fingerprint()
    assert len(asked) < 50_000


@pytest.mark.parametrize("classes", [100, 1])
def test_a_listed_image_takes_little_memory(tmp_path, list_only, classes):
    list_only(tmp_path, 20_000, classes)
    tracemalloc.start()
    open_image_folder(f"images:{tmp_path}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / 20_000 < 750  # bytes, most of them the listing itself: a million take below 0.75 GB


def test_of_very_many_files_only_some_lengths_make_the_key(tmp_path, monkeypatch):
    write_images(tmp_path / "a", 20)
    source = open_image_folder(f"images:{tmp_path}")
    few = source.unread(), source.fingerprint()
    monkeypatch.setattr(base, "MAX_LENGTHS", 10)
    source = open_image_folder(f"images:{tmp_path}")
    many = source.unread(), source.fingerprint()
    assert few != many
    assert len(many[0][1][1]) == 1
    write_images(tmp_path / "b", 1)
    other = open_image_folder(f"images:{tmp_path}")
    assert (other.unread(), other.fingerprint()) != many


def test_a_train_is_a_class_beside_others_and_a_split_beside_test(tmp_path):
    for name in ("car", "train", "test"):
        write_images(tmp_path / "classes" / name, 5)
    assert LabelledSet.open(f"images:{tmp_path / 'classes'}").class_names == ("car", "test", "train")
    for name in ("train/car", "train/bus", "test/car"):
        write_images(tmp_path / "splits" / name, 5)
    data = LabelledSet.open(f"images:{tmp_path / 'splits'}")
    assert data.class_names == ("bus", "car")
    assert data.counts == {"train": 9, "val": 1}
    assert all(name.startswith("train/") for name in data.names(range(10)))


def test_folders_without_images_are_no_class_and_are_named(tmp_path):
    write_images(tmp_path / "cat", 5)
    write_images(tmp_path / "dog", 5)
    (tmp_path / "owl").mkdir()
    data = LabelledSet.open(f"images:{tmp_path}")
    assert data.class_names == ("cat", "dog")
    assert any("no image lies in owl" in sentence for sentence in data.describe().sentences)


def test_links_back_up_are_not_followed(tmp_path):
    write_images(tmp_path / "cat", 5)
    write_images(tmp_path / "elsewhere" / "dog", 5)
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    shutil.move(tmp_path / "elsewhere", tmp_path.parent / f"{tmp_path.name}-elsewhere")
    (tmp_path / "dog").unlink()
    (tmp_path / "dog").symlink_to(tmp_path.parent / f"{tmp_path.name}-elsewhere" / "dog")
    data = LabelledSet.open(f"images:{tmp_path}")
    assert data.class_names == ("cat", "dog")
    assert len(data) == 10


def test_a_damaged_image_does_not_decide_on_the_size(tmp_path):
    write_images(tmp_path / "a", 5)
    (tmp_path / "a" / "0.png").write_bytes(b"")
    data = LabelledSet.open(f"images:{tmp_path}")
    assert data.size == (64, 96)
    kept = data.usable(range(5), Fields())
    assert data.names(kept) == [name for name in data.names(range(5)) if name != "a/0.png"]


def test_no_name_is_no_folder():
    with pytest.raises(DataError, match="names no folder"):
        LabelledSet.open("images:")
