"""Lists of images and their class maps: lines ``image label``, wherever the files lie (SegNet's layout, too).

Two columns, by blanks, tabs, commas or semicolons; a third one may say the split. Names are relative to the
list, or whole paths.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from geopretrain.data.labelled.base import SPLITS
from geopretrain.data.labelled.classes import ClassList, camvid_classes, read_classes
from geopretrain.data.labelled.pairing import Pair
from geopretrain.data.labelled.pairs import (
    LabelledPairs,
    colours_said,
    no_list_of_classes,
    shown,
    with_all_splits,
)
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.text_lists import Line, listed_path, read_lines
from geopretrain.errors import DataError

SUFFIXES = (".txt", ".csv", ".tsv", ".lst")
CLASSES = "classes.txt"
_SEPARATORS = "\t,;"
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def has_lists(path: Path) -> bool:
    """Return whether this is a list of images and labels, or a folder with such lists.

    In a folder they are ``train.txt``, ``val.txt`` and ``test.txt``, or ``train.txt`` beside ``classes.txt``.
    """
    if path.is_file():
        return path.suffix.lower() in SUFFIXES and _names_pairs(path)
    if all((path / f"{split}.txt").is_file() for split in SPLITS):
        return True
    first = path / "train.txt"
    return first.is_file() and (path / CLASSES).is_file() and _names_pairs(first)


def open_lists(path: Path) -> LabelledPairs:
    """Read lists of images and labels; a folder without ``classes.txt`` is CamVid in the SegNet layout.

    Raises:
        DataError: a line, a file or the class list cannot be used.
    """
    root = path if path.is_dir() else path.parent
    found: dict[str, list[Pair]] = {}
    for split, listing in _listings(path).items():
        for said, pairs in _read_list(root, listing).items():
            found.setdefault(said or split, []).extend(pairs)
    if "all" in found and len(found) > 1:
        raise DataError(f"{path} names the split of some images only. Give each line its split, or none.")
    classes, own = _classes(root, path.is_file(), found)
    splits, said_of_splits = with_all_splits(found, path)
    said_of_splits += colours_said(splits, classes)
    return LabelledPairs(root, "listed folder" if own else "CamVid", classes, splits, said_of_splits)


def _listings(path: Path) -> dict[str, Path]:
    """Return the list of each split; ``all`` of one that is not called after a split."""
    if path.is_dir():
        files = {split: path / f"{split}.txt" for split in SPLITS}
        return {split: file for split, file in files.items() if file.is_file()}
    if "train" not in path.stem:
        return {"all": path}
    files = {split: path.with_name(path.name.replace("train", split)) for split in SPLITS}
    return {split: file for split, file in files.items() if file.is_file()}


def _classes(root: Path, is_list: bool, found: dict[str, list[Pair]]) -> tuple[ClassList, bool]:
    """Return the classes, and whether they are the user's own: beside the list, or in the folder above."""
    listing = next((place / CLASSES for place in (root, root.parent) if (place / CLASSES).is_file()), None)
    if (root / CLASSES).is_file() or (is_list and listing is not None):
        return read_classes(listing or root / CLASSES), True
    if is_list:
        raise no_list_of_classes(root / CLASSES, found)
    return camvid_classes(), False


def _names_pairs(listing: Path) -> bool:
    """Return whether the first lines of a list have two names, both of pictures."""
    try:
        lines = read_lines(listing)[:2]
    except DataError:
        return False
    return any(all(map(_is_picture, columns[:2])) for line in lines for columns in _ways(line.text))


def _is_picture(name: str) -> bool:
    return Path(listed_path(name)).suffix.lower() in IMAGE_SUFFIXES | {".gif"}


def _read_list(root: Path, listing: Path) -> dict[str, list[Pair]]:
    """Return the pairs of a list by the split that the lines say, '' where they say none."""
    found: dict[str, list[Pair]] = {}
    lines: dict[Path, int] = {}
    for place, line in enumerate(read_lines(listing)):
        if place == 0 and _is_title(line.text):
            continue
        image, label, split = _pair(root, listing, line)
        if image in lines:
            raise DataError(
                f"{listing} names {shown(root, image)} twice, in lines {lines[image]} and {line.number}. "
                "Keep one of them."
            )
        lines[image] = line.number
        found.setdefault(split, []).append((image, label))
    if not found:
        raise DataError(f"{listing} is empty; it must hold lines of 'image label'.")
    return found


def _is_title(text: str) -> bool:
    """Return whether a line is one of titles: no way to take it apart has the name of a picture in it."""
    return not any(_is_picture(part) for columns in _ways(text) for part in columns)


def _pair(root: Path, listing: Path, line: Line) -> tuple[Path, Path, str]:
    """Return image, label and split (or '') of a line, taken apart so that both files are there."""
    ways = list(_ways(line.text))
    if not ways:
        raise DataError(f"{listing}, line {line.number}: expected 'image label', got '{line.text}'.")
    for image, label, *rest in ways:
        files = _resolved(root, image), _resolved(root, label)
        if files[0] is not None and files[1] is not None:
            return files[0], files[1], _split(listing, line, rest)
    absent = next(name for name in ways[0][:2] if _resolved(root, name) is None)
    if len(ways) > 1 and len(line.text.split()) > 2:
        raise DataError(
            f"{listing}, line {line.number}: expected 'image label', got '{line.text}'; no way to take it "
            "apart gives two files that are there. Put a tab between names with blanks."
        )
    raise DataError(f"{listing} names {listed_path(absent)}, which does not exist under {root}.")


def _ways(text: str) -> Iterator[list[str]]:
    """Yield the ways to take a line apart into image, label and perhaps split, the likeliest first."""
    words = text.split()
    if len(words) == 2:
        yield words
    for separator in _SEPARATORS:
        if separator in text:
            parts = [part.strip() for part in next(csv.reader([text], delimiter=separator))]
            if len(parts) in (2, 3) and all(parts):
                yield parts
    if len(words) == 3 and words[2].lower() in _SPLITS:
        yield words
    if len(words) > 2:
        for gap in re.finditer(r"\s+", text):
            yield [text[: gap.start()], text[gap.end() :]]


def _split(listing: Path, line: Line, rest: list[str]) -> str:
    if not rest:
        return ""
    if rest[0].lower() not in _SPLITS:
        raise DataError(
            f"{listing}, line {line.number}: '{rest[0]}' is no split; train, val or test is expected."
        )
    return _SPLITS[rest[0].lower()]


def _resolved(root: Path, name: str) -> Path | None:
    """Return a listed file: a whole path, or relative; lists as released may start with a foreign root."""
    text = listed_path(name)
    relative = Path(text.lstrip("/"))
    for candidate in (Path(text), root / relative, root.joinpath(*relative.parts[-2:])):
        if candidate.is_absolute() and candidate.is_file():
            return candidate
        if candidate != Path(text) and candidate.is_file():
            return candidate
    return None
