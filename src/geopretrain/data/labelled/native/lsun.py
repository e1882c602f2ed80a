"""LSUN: a folder ``CATEGORY_SPLIT_lmdb`` for each category, whose ``data.mdb`` holds packed pictures by key.

Named as ``images:FOLDER``, one of these or the folder that they lie in. torchvision's reader is not used: it
writes a list of all keys into the current folder, and unpickles it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from geopretrain.data.dataset import IMAGE_FOLDER
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource, unread_files
from geopretrain.data.labelled.image_files import held_out
from geopretrain.data.readers.images import to_rgb
from geopretrain.data.resize import apply_crop, central_crop
from geopretrain.data.sizes import check_original
from geopretrain.errors import DataError
from geopretrain.extras import require_extra
from geopretrain.pictures import class_palette

ENDING, CONTENT = "_lmdb", "data.mdb"
SPLITS = ("train", "val")
_LOOKED_AT = 20  # pictures whose size is looked at
_PAGE = 4096  # bytes, the least that a page has; two of them say what follows
_UNWRITTEN = 100_000  # pages of which the last one may be free and never have been written
_open: dict[Path, Any] = {}  # a database may be open only once in a process
_opening = threading.Lock()


def databases(spec: str) -> list[Path]:
    """Return the folders of LSUN at or in what the user named."""
    path = Path(spec.removeprefix(IMAGE_FOLDER)).expanduser()
    if path.name.endswith(ENDING):
        return [path] if (path / CONTENT).is_file() else []
    return sorted(folder for folder in path.glob(f"*{ENDING}") if (folder / CONTENT).is_file())


class LsunImages(LabelledSource):
    """The pictures of one category, or of several with the class of each."""

    kind = "LSUN"

    def __init__(self, spec: str) -> None:
        """List the keys (DataError for a database that cannot be read; ConfigError without the extra)."""
        require_extra("lmdb", "datasets", "Databases of LSUN")
        folders = databases(spec)
        self.root = folders[0].parent
        self._databases = {(category_of(folder), split_of(folder)): folder for folder in folders}
        categories = sorted({category for category, _ in self._databases})
        keys = {place: _keys(folder) for place, folder in self._databases.items()}
        self.fields = ("image_labels",) if len(categories) > 1 else ()
        if self.fields:
            self.class_names, self.class_colours = tuple(categories), class_palette(len(categories))
        else:
            self.absent = {"image_labels": f"all are of one category, '{categories[0]}'"}
        self._items = {split: _items(keys, categories, split) for split in SPLITS}
        if not self._items["val"]:
            self._hold_out()
        self.counts = {split: len(items) for split, items in self._items.items()}
        self._categories = categories

    def _hold_out(self) -> None:
        """Keep a fixed tenth for validation where there is no ``val``."""
        items = self._items["train"]
        taken = held_out([key.decode("ascii", "replace") for _, key, _ in items], self.root)
        self._items = {
            "train": [item for item, is_val in zip(items, taken, strict=True) if not is_val],
            "val": [item for item, is_val in zip(items, taken, strict=True) if is_val],
        }
        self.warnings = ("val is a fixed tenth of train",)

    def name(self, split: str, index: int) -> str:
        """Return the database and the key."""
        folder, key, _ = self._items[split][index]
        return f"{folder.name}/{key.decode('ascii', 'replace')}"

    def original_size(self) -> tuple[int, int]:
        """Return the middle height and the middle width of some of the pictures."""
        sizes = [
            self._decoded("train", row).shape[:2] for row in range(min(_LOOKED_AT, self.counts["train"]))
        ]
        height, width = np.median(sizes, axis=0)
        return int(height), int(width)

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Decode a picture and cut it to the aspect of ``size``."""
        image = self._decoded(split, index)
        original = (image.shape[0], image.shape[1])
        check_original(original, self.name(split, index))
        label = self._items[split][index][2] if self.fields else None
        return LabelledImage(apply_crop(image, central_crop(original, size)), image_label=label)

    def unread(self) -> object:
        """Return names, lengths and times of the databases."""
        return [self.counts, unread_files(self.root, self._contents())]

    def fingerprint(self) -> str:
        """Return a digest of the databases, of large ones a part."""
        found = Digest().add([self.counts, [file.parent.name for file in self._contents()]])
        for file in self._contents():
            found.add_file(file)
        return found.hex()

    def _contents(self) -> list[Path]:
        return [folder / CONTENT for folder in self._databases.values()]

    def _decoded(self, split: str, index: int) -> np.ndarray:
        folder, key, _ = self._items[split][index]
        with _database(folder).begin() as reading:
            packed = reading.get(key)
        name = Path(self.name(split, index))
        try:
            with Image.open(io.BytesIO(packed or b"")) as picture:
                return to_rgb(picture, name)
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
            raise DataError(f"{self.root / name} is no picture that can be read ({error}).") from error


def category_of(folder: Path) -> str:
    """Return ``church_outdoor`` of ``church_outdoor_train_lmdb``."""
    stem = folder.name.removesuffix(ENDING)
    return stem.removesuffix(f"_{split_of(folder)}")


def split_of(folder: Path) -> str:
    """Return ``val`` of ``church_outdoor_val_lmdb``; train where it says neither."""
    return "val" if folder.name.endswith(f"_val{ENDING}") else "train"


def _items(
    keys: Mapping[tuple[str, str], tuple[Path, Sequence[bytes]]], categories: Sequence[str], split: str
) -> list[tuple[Path, bytes, int]]:
    """Return database, key and class of each picture of a split."""
    return [
        (folder, key, categories.index(category))
        for (category, of_split), (folder, listed) in keys.items()
        if of_split == split
        for key in listed
    ]


def _keys(folder: Path) -> tuple[Path, list[bytes]]:
    import lmdb

    try:
        with _database(folder).begin() as reading:
            found = list(reading.cursor().iternext(keys=True, values=False))
    except lmdb.Error as error:
        raise _unreadable(folder, error) from error
    if not found:
        raise DataError(f"{folder} holds no picture. Unpack the archive again.")
    return folder, found


def _database(folder: Path) -> Any:
    """Return a database opened for reading: no lock is taken, so that others may hold one (DataError)."""
    import lmdb

    place = folder.resolve()
    with _opening:
        if place not in _open:
            length = _length(folder)
            try:
                opened = lmdb.open(str(place), readonly=True, lock=False, readahead=False)
            except lmdb.Error as error:
                raise _unreadable(folder, error) from error
            page, pages = opened.stat()["psize"], opened.info()["last_pgno"] + 1
            if length < page * (pages - pages // _UNWRITTEN):
                opened.close()
                raise _cut_off(folder, length, page * pages)
            _open[place] = opened
        return _open[place]


def _length(folder: Path) -> int:
    """Return the bytes of a database; beyond them its map must never be read: that ends the process."""
    length = (folder / CONTENT).stat().st_size
    if length < 2 * _PAGE:
        raise _cut_off(folder, length, 2 * _PAGE)
    return length


def _cut_off(folder: Path, length: int, whole: int) -> DataError:
    return DataError(
        f"{folder / CONTENT} is cut off: it has {length:,} bytes, and {whole:,} at least belong to it. "
        "Unpack the archive again; was all of it downloaded?"
    )


def _unreadable(folder: Path, error: Exception) -> DataError:
    said = str(error).rpartition(": ")[2] or type(error).__name__
    return DataError(
        f"{folder} cannot be read as a database ({said}). It may be cut off, or be written to by another "
        "process: wait for that, or unpack the archive again."
    )
