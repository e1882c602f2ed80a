"""CVAT's ``annotations.xml`` ("CVAT for images 1.1"): polygons, boxes, ellipses and masks."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from geopretrain.data.labelled.objects import AnnotatedImage, AnnotatedObject, Kept, LabelledObjects
from geopretrain.data.labelled.outlines import Bitmap, Outline, Polygons, ellipse, polygon, rotated
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.labelled.tools.pictures import SPLITS, Pictures, by_folder, class_number
from geopretrain.errors import DataError
from geopretrain.wording import in_px

FILE = "annotations.xml"
WITHOUT_AREA = ("polyline", "points", "skeleton", "cuboid")
SHAPES = ("polygon", "box", "ellipse", "mask", *WITHOUT_AREA)
_HEAD = 1000  # bytes that show what an XML file is


def cvat_file(path: Path) -> Path | None:
    """Return the file of annotations at or in a place, None without one."""
    found = path if path.is_file() else path / FILE
    if found.suffix.lower() != ".xml" or not found.is_file():
        return None
    with found.open("rb") as stream:
        return found if b"<annotations" in stream.read(_HEAD) else None


def open_cvat(path: Path) -> LabelledObjects:
    """Read pictures with the shapes of CVAT; what has no area (lines, points) is counted and left out.

    The classes are those of the task, in its order. Splits are the subsets of the project, where every
    picture has one, else the folders of the pictures.

    Raises:
        DataError: the file is damaged or of a video, a label is not listed, or no picture is there.
    """
    file = cvat_file(path)
    if file is None:
        raise DataError(f"{path} holds no {FILE} of CVAT.")
    root = file.parent
    content = _parsed(file)
    names = _names(content)
    numbers = {name: number for number, name in enumerate(names)}
    pictures, kept = Pictures(root), Kept()
    images: list[AnnotatedImage] = []
    subsets: list[str] = []
    for one in content.iter("image"):
        if (picture := pictures.find(one.get("name", ""))) is not None:
            images.append(_image(picture, one, numbers, kept, file))
            subsets.append(SPLITS.get(one.get("subset", "").lower(), ""))
    warnings = pictures.sentences(root)
    if not images:
        raise DataError(
            f"{file} names no picture. Export the task as 'CVAT for images 1.1' (that for video names none)."
        )
    splits, said = with_all_splits(_by_subset(images, subsets) or by_folder(root, images), root)
    return LabelledObjects(root, "CVAT", names, splits, [file], warnings + said + kept.sentences())


def _parsed(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{file} is no XML that can be read ({error}). Export it again.") from error


def _names(content: ElementTree.Element) -> tuple[str, ...]:
    """Return the labels of the task, else those that occur."""
    listed = [one.text.strip() for one in content.findall("meta//labels/label/name") if one.text]
    occurring = {
        shape.get("label", "") for image in content.iter("image") for shape in image if _is_shape(shape)
    }
    return tuple(dict.fromkeys(listed)) or tuple(sorted(occurring - {""}))


def _is_shape(one: ElementTree.Element) -> bool:
    return one.tag in SHAPES


def _by_subset(images: list[AnnotatedImage], subsets: list[str]) -> dict[str, list[AnnotatedImage]]:
    found: dict[str, list[AnnotatedImage]] = {}
    for image, split in zip(images, subsets, strict=True):
        found.setdefault(split, []).append(image)
    return {} if "" in found else found


def _image(
    picture: Path, one: ElementTree.Element, numbers: dict[str, int], kept: Kept, file: Path
) -> AnnotatedImage:
    where, objects = f"{file}, image {one.get('name')}", list[AnnotatedObject]()
    sides = one.get("height", ""), one.get("width", "")
    size = (int(sides[0]), int(sides[1])) if all(side.isdecimal() for side in sides) else None
    groups: dict[tuple[str, str], list[Outline]] = {}
    for place, shape in enumerate(filter(_is_shape, one)):
        label, group = shape.get("label", ""), shape.get("group_id") or f"alone {place}"
        groups.setdefault((label, group), []).append(_outline(shape, where))
    for (label, _), outlines in groups.items():
        number = class_number(numbers, label, where)
        masks = [outline for outline in outlines if isinstance(outline, Bitmap)]
        parts = [part for outline in outlines if isinstance(outline, Polygons) for part in outline.parts]
        found: list[Outline] = [*masks, *([Polygons(tuple(parts))] if parts or not masks else [])]
        for outline in found:
            objects += kept.add(number, file, outline=outline)
    return AnnotatedImage(picture, tuple(objects), size)


def _outline(shape: ElementTree.Element, where: str) -> Outline:
    try:
        if shape.tag == "polygon":
            return _polygons([point.split(",") for point in shape.attrib["points"].split(";")])
        if shape.tag == "mask":
            return _bitmap(shape)
        if shape.tag == "box":
            x0, y0, x1, y1 = (float(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            turn = float(shape.get("rotation", 0))
            return _polygons(rotated(corners, corners.mean(0), turn))
        if shape.tag == "ellipse":
            x, y, rx, ry = (float(shape.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
            turn = float(shape.get("rotation", 0))
            return Polygons((ellipse((x, y), (rx, ry), turn),) if rx > 0 and ry > 0 else ())
        return Polygons(())
    except (KeyError, ValueError) as error:
        raise DataError(f"{where}: a {shape.tag} that cannot be read ({error}). Export it again.") from error


def _polygons(values: object) -> Polygons:
    corners = polygon(values)
    return Polygons(() if corners is None else (corners,))


def _bitmap(shape: ElementTree.Element) -> Bitmap:
    """Read a mask: run lengths outside, inside, ... row by row, in a box of the image."""
    left, top, width, height = (int(shape.attrib[side]) for side in ("left", "top", "width", "height"))
    counts = np.array(shape.attrib["rle"].split(","), np.int64)
    if (counts < 0).any() or counts.sum() != width * height:
        raise ValueError(f"run lengths of {counts.sum()} pixels in a box of {in_px((height, width))}")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    return Bitmap(left, top, inside)
