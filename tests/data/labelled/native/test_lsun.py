"""LSUN's databases, written by the library that LSUN was written with."""

from __future__ import annotations

import io

import lmdb
import numpy as np
import pytest
from native_trees import SIZE
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError

CLASSES, IMAGES = Fields(names=("image_labels",)), Fields()


def database(folder, count, colour, *, keep_open=False):
    """Write pictures of one colour, packed as WebP."""
    writing = lmdb.open(str(folder), map_size=2**22)
    with writing.begin(write=True) as transaction:
        for i in range(count):
            stream = io.BytesIO()
            Image.fromarray(np.full((*SIZE, 3), colour, np.uint8)).save(stream, "WEBP", lossless=True)
            transaction.put(f"{i:040x}".encode(), stream.getvalue())
    if keep_open:
        return writing
    writing.close()
    return folder


def test_one_category_gives_pictures(tmp_path):
    folder = database(tmp_path / "church_outdoor_train_lmdb", 10, 90)
    data = LabelledSet.open(f"images:{folder}", SIZE, ())
    assert data.counts == {"train": 9, "val": 1}
    assert int(data.read([3], IMAGES).images[0, 0, 0, 0]) == 90
    with pytest.raises(DataError, match="all are of one category, 'church_outdoor'"):
        data.splits(CLASSES)


def test_several_categories_are_classes(tmp_path):
    for name, colour in (("bedroom", 10), ("church_outdoor", 200)):
        database(tmp_path / f"{name}_train_lmdb", 6, colour)
        database(tmp_path / f"{name}_val_lmdb", 2, colour + 1)
    data = LabelledSet.open(f"images:{tmp_path}", SIZE, ("image_labels",))
    assert data.class_names == ("bedroom", "church_outdoor")
    assert data.counts == {"train": 12, "val": 4}
    batch = data.read(data.splits()["val"], CLASSES)
    assert batch.image_labels.tolist() == [0, 0, 1, 1]
    assert batch.images[:, 0, 0, 0].tolist() == [11, 11, 201, 201]


def test_a_database_that_another_process_has_locked_is_read(tmp_path):
    folder = tmp_path / "bedroom_train_lmdb"
    database(folder, 10, 50)
    (folder / "lock.mdb").chmod(0o000)
    (folder / "lock.mdb").write_bytes(b"locked")
    data = LabelledSet.open(f"images:{folder}", SIZE, ())
    assert len(data) == 10


@pytest.mark.parametrize("part", [0, 100, 5000, 8192, 0.3, 0.9])
def test_a_database_that_is_cut_off_ends_no_process(tmp_path, part):
    folder, picture = tmp_path / "bedroom_train_lmdb", io.BytesIO()
    database(folder, 10, 50)
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture, "WEBP", lossless=True)
    with lmdb.open(str(folder), map_size=2**22) as writing, writing.begin(write=True) as transaction:
        for i in range(20):
            transaction.put(f"{i:040x}".encode(), picture.getvalue())
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[: part if isinstance(part, int) else int(part * len(content))])
    with pytest.raises(DataError, match=r"data\.mdb is cut off: it has [0-9,]+ bytes"):
        LabelledSet.open(f"images:{folder}", SIZE, ())


@pytest.mark.parametrize("damage", ["overwritten", "empty"])
def test_a_database_that_cannot_be_read_is_named(tmp_path, damage):
    folder = tmp_path / "bedroom_train_lmdb"
    database(folder, 0 if damage == "empty" else 10, 50)
    if damage == "overwritten":
        (folder / "data.mdb").write_bytes(b"\0" * 10_000)
    expected = "holds no picture" if damage == "empty" else "cannot be read as a database"
    with pytest.raises(DataError, match=expected):
        LabelledSet.open(f"images:{folder}", SIZE, ())
