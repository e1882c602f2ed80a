"""Labelme's JSON files, one beside each picture: polygons, rectangles, circles and masks."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from geopretrain.data.file_names import natural_key
from geopretrain.data.labelled.objects import (
    IGNORED,
    AnnotatedImage,
    AnnotatedObject,
    Kept,
    LabelledObjects,
)
from geopretrain.data.labelled.outlines import Bitmap, Outline, Polygons, ellipse, polygon
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.labelled.tools.pictures import Pictures, by_folder, class_number, listed_names
from geopretrain.errors import DataError
from geopretrain.records import Finite, Index, Text, read_json

ADVICE = "Save it again with Labelme."
NO_CLASS, BACKGROUND = "__ignore__", "_background_"
WITHOUT_AREA = ("point", "points", "line", "linestrip")
_HEAD = 4096  # bytes that show what a JSON file is


@dataclass(frozen=True)
class _Shape:
    label: Text
    points: list[tuple[Finite, Finite]]
    shape_type: Text | None = "polygon"
    group_id: Any = None
    mask: Text | None = None


@dataclass(frozen=True)
class _File:
    imagePath: Text
    imageHeight: Index | None = None
    imageWidth: Index | None = None
    shapes: list[_Shape] = field(default_factory=list)


def has_labelme(root: Path) -> bool:
    """Return whether there are files of Labelme in the folder or one below."""
    return root.is_dir() and any(_is_of_labelme(file) for file in _files(root)[:20])


def open_labelme(root: Path) -> LabelledObjects:
    """Read pictures with the shapes of Labelme; those of one label and group are one object.

    ``labels.txt`` gives the order of the classes, else they are in that of their names. What is labelled
    ``__ignore__`` is of no class in class maps.

    Raises:
        DataError: a file is damaged, a label is not listed, or no picture is there.
    """
    files = [file for file in _files(root) if _is_of_labelme(file)]
    contents = {file: read_json(file, _File, error=DataError, advice=ADVICE) for file in files}
    names = listed_names(root, (NO_CLASS, BACKGROUND)) or _occurring(contents.values())
    pictures, kept = Pictures(root), Kept()
    numbers = {name: number for number, name in enumerate(names)}
    images = []
    for file, content in contents.items():
        if (picture := pictures.find(content.imagePath, file.parent)) is not None:
            images.append(_image(picture, file, content, numbers, kept))
    warnings = pictures.sentences(root)
    splits, said = with_all_splits(by_folder(root, images), root)
    return LabelledObjects(root, "Labelme", names, splits, files, warnings + said + kept.sentences())


def _files(root: Path) -> list[Path]:
    folders = [root, *sorted(path for path in root.glob("*/") if not path.name.startswith("."))]
    folders += [path for folder in folders[1:] for path in sorted(folder.glob("*/"))]
    return [file for folder in folders for file in sorted(folder.glob("*.json"), key=natural_key)]


def _is_of_labelme(file: Path) -> bool:
    """Return whether a JSON file has the keys of Labelme: at its beginning, or behind the picture in it."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(max(0, file.stat().st_size - _HEAD))
            text = head + stream.read()
    except OSError:
        return False
    return b'"shapes"' in text and (b'"imagePath"' in text or b'"imageData"' in text)


def _occurring(contents: Iterable[_File]) -> tuple[str, ...]:
    found = {shape.label for content in contents for shape in content.shapes}
    return tuple(sorted(found - {NO_CLASS, BACKGROUND}, key=lambda name: (natural_key(name), name)))


def _image(picture: Path, file: Path, content: _File, numbers: dict[str, int], kept: Kept) -> AnnotatedImage:
    groups: dict[Any, list[Outline]] = {}
    for place, shape in enumerate(content.shapes):
        if shape.label == BACKGROUND:
            continue
        outline = _outline(shape, f"{file}: shapes[{place}]")
        group = place if shape.group_id is None else f"group {shape.group_id}"
        groups.setdefault((shape.label, group), []).append(outline)
    objects: list[AnnotatedObject] = []
    for (label, _), outlines in groups.items():
        number = IGNORED if label == NO_CLASS else class_number(numbers, label, str(file))
        objects += kept.add(number, file, outline=_together(outlines), crowd=label == NO_CLASS)
    return AnnotatedImage(picture, tuple(objects), _size(content))


def _outline(shape: _Shape, where: str) -> Outline:
    kind, points = shape.shape_type or "polygon", shape.points
    try:
        if kind == "mask":
            return _bitmap(shape)
        if kind == "rectangle":
            (x0, y0), (x1, y1) = points[0], points[-1] if len(points) == 2 else points[2]
            return _polygons([x0, y0, x1, y0, x1, y1, x0, y1])
        if kind == "circle":
            (x, y), edge = points
            radius = float(np.hypot(edge[0] - x, edge[1] - y))
            return Polygons((ellipse((x, y), (radius, radius)),) if radius > 0 else ())
        if kind in WITHOUT_AREA:
            return Polygons(())
        return _polygons(points)
    except (ValueError, IndexError, UnidentifiedImageError, OSError) as error:
        raise DataError(f"{where} is no {kind} that can be read ({error}). {ADVICE}") from error


def _polygons(values: Any) -> Polygons:
    corners = polygon(values)
    return Polygons(() if corners is None else (corners,))


def _bitmap(shape: _Shape) -> Bitmap:
    try:
        data = base64.b64decode(shape.mask or "", validate=True)
    except binascii.Error as error:
        raise ValueError("the mask is no base64") from error
    with Image.open(io.BytesIO(data)) as picture:
        inside = np.array(picture.convert("L")) > 0
    x, y = np.round(np.min(np.array(shape.points), axis=0)).astype(int)
    return Bitmap(int(x), int(y), inside)


def _together(outlines: list[Outline]) -> Outline:
    """Return the parts of one object as one outline; a mask in a group stands alone."""
    parts = [part for one in outlines if isinstance(one, Polygons) for part in one.parts]
    masks = [one for one in outlines if isinstance(one, Bitmap)]
    return masks[0] if masks else Polygons(tuple(parts))


def _size(content: _File) -> tuple[int, int] | None:
    height, width = content.imageHeight, content.imageWidth
    return (height, width) if height and width else None
