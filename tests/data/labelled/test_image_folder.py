import shutil

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
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
