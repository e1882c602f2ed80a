"""YOLO's text files: ``labels/NAME.txt`` with a line ``class x y width height`` for each box.

Or ``class x y x y ...`` for each outline; all numbers are parts of width and height. An oriented box is an
outline of four corners. Where ``data.yaml`` has ``kpt_shape``, key points stand behind the box and are left
out. The classes are in ``data.yaml`` (with the splits), ``classes.txt`` or ``obj.names``. A picture without a
file has no objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from geopretrain.data.file_names import is_clutter
from geopretrain.data.labelled.objects import AnnotatedImage, AnnotatedObject, Kept, LabelledObjects
from geopretrain.data.labelled.outlines import Polygons, polygon
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.labelled.tools.pictures import CLASS_LISTS, by_folder, listed_names
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.text_lists import Line, listed_path, read_lines
from geopretrain.errors import DataError
from geopretrain.records import mapping, read_yaml

SETTINGS = ("data.yaml", "dataset.yaml", "data.yml")
ADVICE = "Write 'names:' with the classes, and 'train:' and 'val:' with folders of pictures."
_OF_A_BOX = 5  # numbers in the line of a box
_OF_CORNERS = 8  # numbers behind the class of an oriented box
_TOLERANCE = 0.01  # by which tools round over the edge
_CORNER_TOLERANCE = 0.5  # by which the corner of an oriented box may lie outside of the image
ORIENTED = "oriented boxes are read as masks of four corners, and as the upright boxes around these"
POINTS = "key points are left out: the boxes before them are read"


@dataclass(frozen=True)
class _Found:
    """Classes, the folders of each split, where they are said, and whether boxes have key points."""

    names: tuple[str, ...]
    splits: Mapping[str, list[Path]]
    source: Path
    points: bool = False


def has_yolo(root: Path) -> bool:
    """Return whether there are boxes of YOLO: ``data.yaml``, or text files in ``labels/``."""
    if _settings(root) is not None:
        return True
    listed = any((root / name).is_file() for name in CLASS_LISTS)
    return listed and any(_holds_text(folder) for folder in (root / "labels", root / "labels" / "train"))


def open_yolo(root: Path) -> LabelledObjects:
    """Read pictures with YOLO's boxes or outlines.

    Raises:
        DataError: ``data.yaml`` or a line cannot be read, a class is not listed, or no picture is there.
    """
    settings = _settings(root)
    root = root.parent if root.is_file() else root
    found = _without_settings(root) if settings is None else _read_settings(root, settings)
    kept, files, counts = Kept(), [found.source], set[int]()
    images: dict[str, list[AnnotatedImage]] = {}
    for split, pictures in found.splits.items():
        for picture in pictures:
            label = label_of(picture)
            files += [label] if label.is_file() else []
            images.setdefault(split, []).append(_image(picture, label, found, kept, counts))
    if "all" in images:
        images = by_folder(root, images["all"])
    if not images:
        raise DataError(f"{root}: no picture is there that {found.source.name} or images/ leads to.")
    splits, said = with_all_splits(images, root)
    said += (POINTS,) if found.points else (ORIENTED,) if counts == {_OF_CORNERS} else ()
    return LabelledObjects(root, "YOLO", found.names, splits, files, said + kept.sentences())


def label_of(picture: Path) -> Path:
    """Return the file of a picture's boxes: in ``labels`` instead of the last ``images``, else beside it."""
    parts = list(picture.parts)
    places = [number for number, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _settings(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix in (".yaml", ".yml") else None
    return next((root / name for name in SETTINGS if (root / name).is_file()), None)


def _read_settings(root: Path, file: Path) -> _Found:
    content = mapping(read_yaml(file, error=DataError, advice=ADVICE))
    names = content.get("names")
    listed = list(names.values()) if isinstance(names, dict) else names
    if isinstance(names, dict) and sorted(names) != list(range(len(names))):
        raise DataError(f"'{file}': names must be numbered from 0 on, without gaps. {ADVICE}")
    if not isinstance(listed, list) or not listed or not all(isinstance(name, (str, int)) for name in listed):
        raise DataError(f"'{file}': names must list the classes. {ADVICE}")
    base = root / listed_path(str(content.get("path") or "."))
    bases = [base, root] if base.is_dir() else [root]
    splits = {
        split: list(_pictures(bases, content[key], file))
        for split, key in (("train", "train"), ("val", "val"), ("test", "test"))
        if content.get(key)
    }
    there = {split: pictures for split, pictures in splits.items() if pictures}
    return _Found(tuple(map(str, listed)), there, file, points="kpt_shape" in content)


def _without_settings(root: Path) -> _Found:
    listing = next(root / name for name in CLASS_LISTS if (root / name).is_file())
    folder = root / "images" if (root / "images").is_dir() else root
    return _Found(listed_names(root), {"all": _below(folder)}, listing)


def _pictures(bases: list[Path], value: Any, file: Path) -> Iterable[Path]:
    """Return the pictures of a split: of a folder, a list of pictures, or several of these."""
    for one in value if isinstance(value, list) else [value]:
        name = PurePosixPath(listed_path(str(one)))
        parts = [part for part in name.parts if part != ".."]  # '../train/images' of Roboflow lies beside
        places = [base / candidate for base in bases for candidate in (name, PurePosixPath(*parts))]
        place = next((path for path in places if path.exists()), None)
        if place is None:
            raise DataError(f"'{file}' names {one}, which is not there (looked for {places[0]}). {ADVICE}")
        if place.is_dir():
            yield from _below(place)
        else:
            for number, text in read_lines(place):
                listed = next((p for base in bases if (p := base / listed_path(text)).is_file()), None)
                if listed is None:
                    raise DataError(f"{place}, line {number}, names {text}, which is not there.")
                yield listed


def _below(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(path for path in files if not is_clutter(path.name))


def _image(picture: Path, label: Path, found: _Found, kept: Kept, counts: set[int]) -> AnnotatedImage:
    """Read the objects of a picture; how many numbers their lines have is added to ``counts``."""
    objects: list[AnnotatedObject] = []
    for line in read_lines(label) if label.is_file() else ():
        number, values = _numbers(label, line, found)
        counts.add(len(values))
        if len(values) == _OF_A_BOX - 1:
            x, y, width, height = values
            box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)
            objects += kept.add(number, label, box=box)
        else:
            corners = polygon(values)
            objects += kept.add(number, label, outline=Polygons(() if corners is None else (corners,)))
    return AnnotatedImage(picture, tuple(objects), relative=True)


def _numbers(file: Path, line: Line, found: _Found) -> tuple[int, list[float]]:
    """Return class and coordinates of a line (DataError)."""
    where, parts, names = f"{file}, line {line.number}", line.text.split(), found.names
    parts = parts[:_OF_A_BOX] if found.points else parts
    try:
        number, values = float(parts[0]), [float(part) for part in parts[1:]]
    except ValueError as error:
        raise DataError(f"{where}: '{line.text[:60]}' is no class with numbers behind it.") from error
    if len(parts) != _OF_A_BOX and (len(values) < 6 or len(values) % 2):
        raise DataError(
            f"{where}: a class and 4 numbers (a box) or 3 and more pairs of numbers (an outline) were "
            f"expected, not {len(values)} numbers."
        )
    if not number.is_integer() or not 0 <= number < len(names):
        raise DataError(
            f"{where}: the class {parts[0]} is not one of the {len(names)} that are listed; they count from "
            f"0 ({names[0]}) to {len(names) - 1} ({names[-1]})."
        )
    beyond = _CORNER_TOLERANCE if len(values) == _OF_CORNERS else _TOLERANCE
    if not all(-beyond <= value <= 1 + beyond for value in values):
        raise DataError(
            f"{where}: numbers must be parts of width and height, from 0 to 1, not pixels ({line.text[:60]})."
        )
    return int(number), values


def _holds_text(folder: Path) -> bool:
    return folder.is_dir() and next(folder.glob("*.txt"), None) is not None
