"""Lists of images with a class each: ``images:LIST``, a table (CSV) or a text file."""

from __future__ import annotations

import csv
import os
import posixpath
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from geopretrain.data.fingerprint import digest
from geopretrain.data.labelled.image_files import ImageFiles, held_out
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.text_lists import listed_path, read_text
from geopretrain.errors import DataError

_SEPARATORS = ",;\t"
_IMAGE = ("image", "file", "filename", "file_name", "path", "image_path", "image_id", "img", "name")
_CLASS = ("class", "label", "category", "target", "class_name", "species")
_SPLIT = ("split", "set", "subset", "partition")
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
}
_LEFT_OUT = ("test", "testing")


class _Entry(NamedTuple):
    """A line of a list: its number, the image, its class, and its split (empty where it says none)."""

    line: int
    image: str
    label: str
    split: str


def open_image_list(path: Path) -> ImageFiles:
    """Read ``image,class`` or ``image,class,split`` lines; the images are looked for beside the list.

    A first line may name the columns (``filename,label``), which may then stand in any order. Of a text file
    without separators the last word of a line is the class. Where a list called ``train`` says no splits, the
    one called ``val`` beside it holds the others; without it a fixed random tenth is held out.

    Raises:
        DataError: a line cannot be understood, an image is listed twice, or there are too few.
    """
    entries = _read(path)
    _refuse_twice(path, entries)
    said: tuple[str, ...] = ()
    beside = path.with_name(path.name.replace("train", "val"))
    if any(entry.split for entry in entries):
        parts = {split: [e for e in entries if _split_of(path, e) == split] for split in ("train", "val")}
    elif beside != path and beside.is_file():
        parts = {"train": entries, "val": _read(beside)}
    else:
        taken = held_out([entry.image for entry in entries], path)
        parts = {
            split: [e for e, is_val in zip(entries, taken, strict=True) if is_val == (split == "val")]
            for split in ("train", "val")
        }
        said = ("val is a fixed tenth of the images",)
    for split, found in parts.items():
        if not found:
            raise DataError(
                f"{path} lists no image of '{split}'. Add some, or leave the column of splits away."
            )
    files = {split: [entry.image for entry in found] for split, found in parts.items()}
    if both := sorted(set(files["train"]) & set(files["val"])):
        more = f" and {len(both) - 1} more" if both[1:] else ""
        raise DataError(
            f"{beside} and {path} both name {both[0]}{more}: what is "
            "learned from cannot be judged on. Keep each image in one of them."
        )
    classes = {split: [entry.label for entry in found] for split, found in parts.items()}
    return ImageFiles(path.parent, "image list", files, classes, warnings=said, listed=digest(classes))


def _read(path: Path) -> list[_Entry]:
    """Return the entries of a list, its header left out (DataError)."""
    rows = list(_rows(path))
    columns = _columns(rows[0][1]) if rows else None
    if columns is None and len(rows) > 1 and not _names_image(rows[0][1]) and _names_image(rows[1][1]):
        raise DataError(
            f"{path}, line {rows[0][0]}: '{','.join(rows[0][1])}' names no image. If these are the names of "
            f"the columns, call them {_IMAGE[0]}, {_CLASS[0]} and, where there is one, {_SPLIT[0]}."
        )
    image, label, split = columns or (0, 1, 2)
    found = []
    for line, cells in rows[1:] if columns else rows:
        if len(cells) <= max(image, label) or not cells[image] or not cells[label]:
            raise DataError(f"{path}, line {line}: expected 'image,class', got '{','.join(cells)}'.")
        where = cells[split].strip().lower() if split is not None and len(cells) > split else ""
        name = posixpath.normpath(listed_path(cells[image]))
        found.append(_Entry(line, name, sys.intern(cells[label]), where))
    if len(found) < 2:
        raise DataError(f"{path} lists {len(found)} images; at least 2 lines of 'image,class' are needed.")
    return found


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line that is neither empty nor a comment."""
    lines = read_text(path).split("\n")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    separator = max(_SEPARATORS, key=first.count)
    if separator not in first:
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                yield number, [part.strip() for part in line.strip().rsplit(None, 1)]
        return
    reader = csv.reader(lines, delimiter=separator)
    for cells in reader:
        if any(cells) and not cells[0].startswith("#"):
            yield reader.line_num, [cell.strip() for cell in cells]


def _names_image(cells: Sequence[str]) -> bool:
    return any(os.path.splitext(cell)[1].lower() in IMAGE_SUFFIXES for cell in cells)


def _columns(cells: Sequence[str]) -> tuple[int, int, int | None] | None:
    """Return the columns of image, class and split where the first line names them."""
    names = [cell.lower() for cell in cells]
    at = [
        next((names.index(name) for name in known if name in names), None)
        for known in (_IMAGE, _CLASS, _SPLIT)
    ]
    image, label, split = at
    return None if image is None or label is None else (image, label, split)


def _split_of(path: Path, entry: _Entry) -> str:
    """Return ``train`` or ``val``, empty for test images (DataError for another word)."""
    if entry.split in _LEFT_OUT:
        return ""
    if entry.split not in _SPLITS:
        raise DataError(
            f"{path}, line {entry.line}: '{entry.split}' is no split; train, val and test are known."
        )
    return _SPLITS[entry.split]


def _refuse_twice(path: Path, entries: Sequence[_Entry]) -> None:
    first: dict[str, int] = {}
    for entry in entries:
        if entry.image in first:
            raise DataError(
                f"{path} names {entry.image} twice, in lines {first[entry.image]} and {entry.line}. Keep one "
                "of them."
            )
        first[entry.image] = entry.line
