"""COCO's JSON files of objects: boxes, polygons and run lengths; the data set itself, and what others write.

Known places: ``annotations/instances_train2017.json`` (COCO, CVAT), ``train/_annotations.coco.json``
(Roboflow), ``result.json`` or ``annotations.json`` beside ``images/`` (Label Studio, FiftyOne), or the file
itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from geopretrain.data.labelled.objects import AnnotatedImage, AnnotatedObject, Kept, LabelledObjects
from geopretrain.data.labelled.outlines import Outline, Polygons, polygon, run_lengths
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.text_lists import listed_path
from geopretrain.errors import DataError
from geopretrain.records import Finite, Index, Text, read_json

ADVICE = "Export or copy it again from where it came from."
_HEAD = 4096  # bytes that show what a JSON file is
_TRIED = 50  # names of pictures that are looked for in a folder
_PREFIXES = ("instances_", "annotations_")
_OF_A_BOX = 4
_ORDER = "x, y, width and height of a box, in px"
_FEWEST = 3  # boxes from which it can be told whether all are meant otherwise
_FEW = 0.1  # part of the boxes that may reach beyond their images
_Side = tuple[int | None, int | None]


@dataclass(frozen=True)
class _Category:
    id: Index
    name: Text


@dataclass(frozen=True)
class _Image:
    id: Index | Text
    file_name: Text
    width: Index | None = None
    height: Index | None = None


@dataclass(frozen=True)
class _Annotation:
    image_id: Index | Text
    category_id: Index
    bbox: list[Finite] | None = None
    segmentation: Any = None
    iscrowd: Any = 0


@dataclass(frozen=True)
class _Instances:
    """What is read of the JSON file; there is more in it."""

    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = field(default_factory=list)


def has_objects(path: Path) -> bool:
    """Return whether this is, or holds in a usual place, a JSON file of objects in COCO's form."""
    return bool(object_files(path))


def object_files(path: Path) -> list[Path]:
    """Return the JSON files of objects at or below what the user named."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _is_of_coco(path) else []
    if found := sorted((path / "annotations").glob("instances_*.json")):
        return found
    inside = [path, path / "annotations", *(path / name for name in ("train", "val", "valid", "test"))]
    files = [file for folder in inside if folder.is_dir() for file in sorted(folder.glob("*.json"))[:20]]
    return [file for file in files if _is_of_coco(file)]


def open_objects(path: Path) -> LabelledObjects:
    """Read images with objects from COCO's JSON files.

    Raises:
        DataError: a file is damaged, files have different categories, or no picture is there.
    """
    root, files = path if path.is_dir() else path.parent, object_files(path)
    names: tuple[str, ...] = ()
    found: dict[str, list[AnnotatedImage]] = {}
    warnings: tuple[str, ...] = ()
    for file in files:
        content = read_json(file, _Instances, error=DataError, advice=ADVICE)
        if not content.annotations and len(files) > 1:
            warnings += (f"{file.name} has no annotations and is left out",)
            continue
        categories = _categories(content.categories, file)
        if names and tuple(categories.values()) != names:
            raise DataError(f"{file} has other categories than the files beside it. {ADVICE}")
        names = tuple(categories.values())
        images, said = _images(root, file, content, list(categories))
        warnings += said
        found.setdefault(_split(root, file), []).extend(images)
    splits, said = with_all_splits({split: images for split, images in found.items() if images}, root)
    return LabelledObjects(root, "COCO objects", names, splits, files, warnings + said)


def _is_of_coco(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    keys = (b'"images"', b'"annotations"', b'"categories"', b'"licenses"')
    others = (b'"shapes"', b'"imagePath"', b'"segments_info"')
    starts = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return starts and any(key in head for key in keys) and not any(key in head for key in others)


def _split(root: Path, file: Path) -> str:
    """Return the split that the name of a file, or of its folder, says; ``all`` without one."""
    words = f"{'' if file.parent == root else file.parent.name} {file.stem}".lower()
    for split, pattern in (("train", "train"), ("val", r"valid|val(?!ue)"), ("test", "test")):
        if re.search(rf"(?<![a-z])({pattern})", words):
            return split
    return "all"


def _categories(listed: Iterable[_Category], file: Path) -> dict[int, str]:
    """Return the name of each category by its id, ascending."""
    ordered = sorted(listed, key=lambda category: category.id)
    found = {category.id: category.name for category in ordered}
    if not found or len(found) < len(ordered) or len(set(found.values())) < len(found):
        raise DataError(f"{file} must list different categories with different ids and names. {ADVICE}")
    return found


def _images(
    root: Path, file: Path, content: _Instances, ids: Sequence[int]
) -> tuple[list[AnnotatedImage], tuple[str, ...]]:
    """Return the images whose pictures are there, and sentences about what is not."""
    numbers, kept = {one: number for number, one in enumerate(ids)}, Kept()
    _refuse_repeated(content.images, file)
    _refuse_other_boxes(content, file)
    objects: dict[str, list[AnnotatedObject]] = {str(image.id): [] for image in content.images}
    for place, one in enumerate(content.annotations):
        if one.category_id not in numbers:
            raise DataError(
                f"{file}: annotations[{place}] has the category {one.category_id}, which is not listed. "
                f"{ADVICE}"
            )
        if str(one.image_id) not in objects:
            raise DataError(
                f"{file}: annotations[{place}] is of the image {one.image_id}, which is not listed."
            )
        objects[str(one.image_id)] += _object(
            one, numbers[one.category_id], kept, f"{file}: annotations[{place}]"
        )
    path_of = _pictures(root, file, content.images)
    there = [image for image in content.images if path_of(image.file_name).is_file()]
    images = [
        AnnotatedImage(path_of(image.file_name), tuple(objects[str(image.id)]), _size(image))
        for image in there
    ]
    missing = len(content.images) - len(there)
    said = (f"{missing} of {len(content.images)} pictures of {file.name} are not there",) if missing else ()
    return images, said + kept.sentences()


def _refuse_repeated(images: Sequence[_Image], file: Path) -> None:
    """Raise DataError where two images have one id, or one picture: objects would be mixed up."""
    ids: dict[str, str] = {}
    names: set[str] = set()
    for image in images:
        if str(image.id) in ids:
            raise DataError(
                f"{file} gives the id {image.id} to {ids[str(image.id)]} and to {image.file_name}. Number "
                "images anew where files were put together."
            )
        if image.file_name in names:
            raise DataError(
                f"{file} lists the picture {image.file_name} twice. Keep one, with all its objects."
            )
        ids[str(image.id)] = image.file_name
        names.add(image.file_name)


def _refuse_other_boxes(content: _Instances, file: Path) -> None:
    """Raise DataError where boxes are fractions of the picture, or corners: all would be of another size."""
    sizes = {str(image.id): (image.width, image.height) for image in content.images}
    boxes = [
        (one.bbox, sizes.get(str(one.image_id), (None, None)))
        for one in content.annotations
        if one.bbox is not None and len(one.bbox) == _OF_A_BOX
    ]
    if len(boxes) < _FEWEST:
        return
    if all(max(box) <= 1 for box, _ in boxes):
        raise DataError(f"{file}: all boxes lie between 0 and 1. COCO has pixels: {_ORDER}.")
    known = [(box, size) for box, size in boxes if size[0] and size[1]]
    beyond = [one for one in known if _reaches_beyond(*one)]
    as_corners = all(x1 >= x0 and y1 >= y0 and _fits(x1, y1, size) for (x0, y0, x1, y1), size in known)
    if len(beyond) > _FEW * len(boxes) and as_corners:
        raise DataError(
            f"{file}: {len(beyond)} of {len(boxes)} boxes reach beyond their image, and all would fit as "
            f"corners x0, y0, x1, y1. COCO has {_ORDER}; write them so."
        )


def _reaches_beyond(box: Sequence[float], size: _Side) -> bool:
    x, y, width, height = box
    return not _fits(x + width, y + height, size)


def _fits(x: float, y: float, size: _Side) -> bool:
    """Return whether a corner lies in a picture of (width, height) px; rounding may lead a pixel beyond."""
    width, height = size
    return width is None or height is None or (x <= width + 1 and y <= height + 1)


def _object(one: _Annotation, label: int, kept: Kept, where: str) -> list[AnnotatedObject]:
    try:
        outline = _outline(one.segmentation)
    except ValueError as error:
        raise DataError(f"{where}: {error}. {ADVICE}") from error
    if one.bbox is not None and len(one.bbox) != _OF_A_BOX:
        raise DataError(f"{where}: bbox must be x, y, width and height, not {one.bbox}. {ADVICE}")
    box = None
    if one.bbox is not None:
        x, y, width, height = one.bbox
        box = np.array([x, y, x + width, y + height], np.float32)
    return kept.add(label, Path(where), box=box, outline=outline, crowd=one.iscrowd in (1, True))


def _outline(value: Any) -> Outline | None:
    """Return the outline of a segmentation: lists of corners, or run lengths; None where there is none."""
    if isinstance(value, dict):
        return run_lengths(value)
    if not value:
        return None
    if not isinstance(value, list):
        raise ValueError("a segmentation is a list of corners, or run lengths")
    parts = value if isinstance(value[0], list) else [value]
    polygons = [corners for part in parts if (corners := polygon(part)) is not None]
    return Polygons(tuple(polygons))


def _pictures(root: Path, file: Path, images: Sequence[_Image]) -> Callable[[str], Path]:
    """Return where the picture of a name is: relative to one folder, or, without folders of its own, in one.

    Raises:
        DataError: no picture is there.
    """
    split = file.stem
    for prefix in _PREFIXES:
        split = split.removeprefix(prefix)
    names = [listed_path(image.file_name) for image in images[:: max(1, len(images) // _TRIED)]]
    folders = [
        base / part
        for base in (file.parent, root)
        for part in (split, f"images/{split}", "images", "data", "")
    ]
    for folder in folders:
        if any((folder / name).is_file() for name in names):
            return lambda name: folder / listed_path(name)
    bare = {PurePosixPath(listed_path(image.file_name)).name for image in images}
    for folder in (
        folders if len(bare) == len(images) else ()
    ):  # paths of the machine that they were written on
        if any((folder / PurePosixPath(name).name).is_file() for name in names):
            return lambda name: folder / PurePosixPath(listed_path(name)).name
    example = f", {names[0]} for example" if names else ""
    tried = ", ".join(dict.fromkeys(str(folder) for folder in folders if folder.is_dir()))
    raise DataError(
        f"{file}: none of the pictures is there that it names{example} (looked into {tried}). It may be the "
        "annotation file of another split, or the pictures lie elsewhere."
    )


def _size(image: _Image) -> tuple[int, int] | None:
    return (image.height, image.width) if image.height and image.width else None
