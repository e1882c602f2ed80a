"""Label Studio's JSON export: boxes, polygons, ellipses and brushes, in parts of the picture.

Coordinates are per cent of width and height. A brush is packed as Label Studio does it: RGBA of the whole
image, in runs of bits; the fourth channel says where it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from geopretrain.data.labelled.objects import AnnotatedImage, AnnotatedObject, Kept, LabelledObjects
from geopretrain.data.labelled.outlines import Bitmap, Outline, Polygons, ellipse, polygon, rotated
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.labelled.tools.pictures import Pictures, by_folder
from geopretrain.errors import DataError
from geopretrain.records import Length, Text, read_json
from geopretrain.wording import in_px

ADVICE = "Export it again from Label Studio, as JSON."
KINDS = {
    "rectanglelabels": "rectangle",
    "polygonlabels": "polygon",
    "ellipselabels": "ellipse",
    "brushlabels": "brush",
    "labels": "any",
}
_PREFIX = 9  # characters that Label Studio puts before the names of uploaded files: 8 and a dash
_LARGEST = 4 * 2**28  # bytes of the largest picture that is believed
_HEAD = 4096  # bytes that show what a JSON file is


@dataclass(frozen=True)
class _Result:
    value: dict[str, Any] = field(default_factory=dict)
    type: Text = ""
    original_width: Length | None = None
    original_height: Length | None = None


@dataclass(frozen=True)
class _Annotation:
    result: list[_Result]
    was_cancelled: Any = False


@dataclass(frozen=True)
class _Task:
    data: dict[str, Any]
    annotations: list[_Annotation]


@dataclass(frozen=True)
class _Shape:
    label: str
    outline: Outline


def label_studio_file(path: Path) -> Path | None:
    """Return the export at or in a place, None without one."""
    files = [path] if path.is_file() else sorted(path.glob("*.json"))[:20]
    return next((file for file in files if file.suffix.lower() == ".json" and _is_of_it(file)), None)


def open_label_studio(path: Path) -> LabelledObjects:
    """Read pictures with the shapes of Label Studio; classes are in the order of their names.

    Of several annotations of a picture the first that was not cancelled is taken.

    Raises:
        DataError: the file is damaged, or no picture is there.
    """
    file = label_studio_file(path)
    if file is None:
        raise DataError(f"{path} holds no JSON export of Label Studio.")
    root = file.parent
    tasks: list[_Task] = read_json(file, list[_Task], error=DataError, advice=ADVICE)
    pictures, kept = Pictures(root), Kept()
    found = [(place, picture) for place, task in enumerate(tasks) if (picture := _picture(task, pictures))]
    warnings = pictures.sentences(root)
    shapes = {place: list(_shapes(tasks[place], f"{file}: task {place}")) for place, _ in found}
    names = tuple(sorted({shape.label for several in shapes.values() for shape in several}))
    images = [
        AnnotatedImage(
            picture, _objects(shapes[place], names, kept, file), _size(tasks[place]), relative=True
        )
        for place, picture in found
    ]
    splits, said = with_all_splits(by_folder(root, images), root)
    return LabelledObjects(root, "Label Studio", names, splits, [file], warnings + said + kept.sentences())


def _is_of_it(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return False
    return head.startswith(b"[") and (b'"annotations"' in head or b'"result"' in head)


def _picture(task: _Task, pictures: Pictures) -> Path | None:
    """Return the picture of a task: ``/data/upload/1/0123abcd-x.jpg``, ``...?d=folder/x.jpg``, or a URL."""
    value = next((text for text in task.data.values() if isinstance(text, str)), "")
    parts = urlsplit(value)
    path = parse_qs(parts.query).get("d", [parts.path])[0]
    name = Path(path).name
    if len(name) > _PREFIX and name[_PREFIX - 1] == "-" and not pictures.knows(name):
        return pictures.find(name[_PREFIX:])
    return pictures.find(name if parts.path.startswith("/data/upload") else path)


def _results(task: _Task) -> list[_Result]:
    done = [one for one in task.annotations if not one.was_cancelled]
    return done[0].result if done else []


def _size(task: _Task) -> tuple[int, int] | None:
    sizes = [(one.original_height, one.original_width) for one in _results(task)]
    return next(((height, width) for height, width in sizes if height and width), None)


def _shapes(task: _Task, where: str) -> Iterable[_Shape]:
    """Yield what has a class and covers pixels; relations, texts and key points do neither."""
    for result in _results(task):
        kind = next((known for known in KINDS if isinstance(result.value.get(known), list)), None)
        labels = result.value.get(kind, []) if kind else []
        if kind is None or not labels:
            continue
        try:
            yield _Shape(str(labels[0]), _outline(result))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: a {result.type} that cannot be read ({error}). {ADVICE}") from error


def _outline(result: _Result) -> Outline:
    value = result.value
    if "rle" in value:
        return _brush(result)
    if "points" in value:
        corners = polygon(np.asarray(value["points"], float) / 100)
        return Polygons(() if corners is None else (corners,))
    turn, aspect = float(value.get("rotation") or 0), _aspect(result)
    x, y = float(value["x"]) / 100, float(value["y"]) / 100
    if "radiusX" in value:
        radii = float(value["radiusX"]) / 100, float(value["radiusY"]) / 100 / aspect
        centre = (x, y / aspect)
        return Polygons((ellipse(centre, radii, turn) * [1, aspect],) if min(radii) > 0 else ())
    width, height = float(value["width"]) / 100, float(value["height"]) / 100
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]) / [1, aspect]
    turned = polygon(rotated(corners, corners[0], turn) * [1, aspect])
    return Polygons(() if turned is None else (turned,))


def _aspect(result: _Result) -> float:
    """Return width over height of the picture: what is turned, is turned in pixels."""
    if result.original_width is None or result.original_height is None:
        return 1.0
    return result.original_width / result.original_height


def _brush(result: _Result) -> Bitmap:
    height, width = result.original_height, result.original_width
    if height is None or width is None:
        raise ValueError("a brush without the size of its picture")
    values = unpacked(np.asarray(result.value["rle"], np.uint8))
    if len(values) != 4 * height * width:
        pixels = len(values) // 4
        raise ValueError(f"a brush of {pixels} pixels on a picture of {in_px((height, width))}")
    return Bitmap(0, 0, values.reshape(height, width, 4)[..., 3] > 0, (height, width))


def unpacked(data: np.ndarray) -> np.ndarray:
    """Return the bytes that Label Studio has packed in runs.

    32 bits: how many; 5 bits: bits of a value, less 1; 4 times 4 bits: bits of a length, less 1. Then runs:
    a bit that says whether one value is repeated, 2 bits that choose the bits of the length, the length less
    1, and the value or as many values.

    Raises:
        ValueError: the data end too early.
    """
    bits = (np.unpackbits(data) + ord("0")).astype(np.uint8).tobytes().decode("ascii")
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise ValueError("run lengths that end too early")
        place += count
        return int(bits[place - count : place], 2)

    total, of_value = take(32), take(5) + 1
    of_length = [take(4) + 1 for _ in range(4)]
    values = np.zeros(min(total, _LARGEST), np.uint8)
    done = 0
    while done < total:
        repeats = take(1)
        end = min(done + 1 + take(of_length[take(2)]), len(values))
        if repeats:
            values[done:end] = take(of_value)
        else:
            values[done:end] = [take(of_value) for _ in range(end - done)]
        if end == done:
            raise ValueError("more pixels than a picture can have")
        done = end
    return values


def _objects(
    shapes: Iterable[_Shape], names: tuple[str, ...], kept: Kept, file: Path
) -> tuple[AnnotatedObject, ...]:
    objects: list[AnnotatedObject] = []
    for shape in shapes:
        outline, box = shape.outline, None
        if isinstance(outline, Bitmap) and (around := outline.box()) is not None:
            height, width = outline.inside.shape  # of the whole picture
            box = (around / np.array([width, height] * 2)).astype(np.float32)
        objects += kept.add(names.index(shape.label), file, box=box, outline=outline)
    return tuple(objects)
