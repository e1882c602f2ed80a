"""COCO panoptic as class maps: ``annotations/panoptic_train2017.json`` and the PNG files it names.

A PNG holds the number of the segment that each pixel belongs to (red + 256 green + 65536 blue, 0 = none);
the JSON file says the category of each segment. Things and stuff are classes alike; which thing a pixel
belongs to is not kept (Kirillov et al., *Panoptic Segmentation*, CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.dataset import IGNORE
from geopretrain.data.fingerprint import digest
from geopretrain.data.labelled.classes import MAX_CLASSES, ClassList
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.readers.images import read_image
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette
from geopretrain.records import Colour, Index, Text, read_json

PATTERN = "panoptic_*.json"
ADVICE = "Copy it again from where it came from."


@dataclass(frozen=True)
class _Category:
    id: Index
    name: Text
    color: tuple[Colour, Colour, Colour] | None = None


@dataclass(frozen=True)
class _Segment:
    id: Index
    category_id: Index


@dataclass(frozen=True)
class _Image:
    id: Index
    file_name: Text


@dataclass(frozen=True)
class _Annotation:
    image_id: Index
    file_name: Text
    segments_info: list[_Segment]


@dataclass(frozen=True)
class _Panoptic:
    """What is read of the JSON file; there is more in it."""

    categories: list[_Category]
    images: list[_Image] = field(default_factory=list)
    annotations: list[_Annotation] = field(default_factory=list)


@dataclass(frozen=True)
class _Segments:
    """Numbers of an image's segments, ascending, and the class of each."""

    ids: NDArray[np.int64]
    classes: NDArray[np.uint8]


class CocoPanoptic(LabelledPairs):
    """Images of COCO, and their segments as class maps."""

    def __init__(
        self,
        root: Path,
        classes: ClassList,
        pairs: dict[str, list[Pair]],
        segments: dict[Path, _Segments],
        warnings: tuple[str, ...],
    ) -> None:
        self._segments = segments
        super().__init__(root, "COCO panoptic", classes, pairs, warnings)

    def labels_of(self, path: Path) -> NDArray[np.uint8]:
        """Decode the segments of an image and look up their classes (DataError)."""
        colours = read_image(path).astype(np.int64)
        numbers = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
        found, inverse = np.unique(numbers, return_inverse=True)
        known = self._segments[path]
        places = np.searchsorted(known.ids, found).clip(max=max(0, len(known.ids) - 1))
        named = np.zeros(len(found), bool) if not len(known.ids) else known.ids[places] == found
        if unknown := found[~named & (found != 0)].tolist():
            raise DataError(f"{path} holds the segment {unknown[0]}, which its JSON file does not name.")
        table = np.full(len(found), IGNORE, np.uint8)
        table[named] = known.classes[places[named]]
        return table[inverse].reshape(numbers.shape)

    def unnamed(self, split: str, index: int) -> set[str]:
        """Return nothing: what has no segment is said to have none."""
        return set()

    def _listed_classes(self) -> object:
        said = [[f.name, s.ids.tolist(), s.classes.tolist()] for f, s in sorted(self._segments.items())]
        return [super()._listed_classes(), digest(said)]


def has_panoptic(root: Path) -> bool:
    """Return whether there are panoptic annotations of COCO's kind."""
    return (root / "annotations").is_dir() and next((root / "annotations").glob(PATTERN), None) is not None


def open_panoptic(root: Path) -> CocoPanoptic:
    """Read ``annotations/panoptic_{train,val}*.json``, pictures in ``train2017/`` or ``images/train2017/``.

    Raises:
        DataError: a file is damaged, there are too many classes, or no picture is there.
    """
    found: dict[str, list[Pair]] = {}
    segments: dict[Path, _Segments] = {}
    warnings: tuple[str, ...] = ()
    classes: ClassList | None = None
    for file in sorted((root / "annotations").glob(PATTERN)):
        content = read_json(file, _Panoptic, error=DataError, advice=ADVICE)
        listed = _classes(content.categories, file)
        if classes is not None and listed.ids != classes.ids:
            raise DataError(f"{file} has other categories than the files beside it. {ADVICE}")
        classes = listed
        pairs = _pairs(root, file, content, classes, segments)
        if missing := len(content.annotations) - len(pairs):
            warnings += (f"{missing} of {len(content.annotations)} pictures of {file.name} are not there",)
        found["val" if "val" in file.stem else "train"] = pairs
    found = {split: pairs for split, pairs in found.items() if pairs}
    if classes is None or not found:
        raise DataError(f"{root}: none of the pictures is there that its panoptic annotations name.")
    splits, said = with_all_splits(found, root)
    return CocoPanoptic(root, classes, splits, segments, warnings + said)


def _classes(categories: Iterable[_Category], file: Path) -> ClassList:
    ordered = sorted(categories, key=lambda category: category.id)
    names = tuple(category.name for category in ordered)
    if not 2 <= len(names) <= MAX_CLASSES or len({c.id for c in ordered}) < len(names):
        raise DataError(
            f"{file} lists {len(names)} categories; 2 to {MAX_CLASSES} different ones are possible."
        )
    colours = [category.color for category in ordered]
    palette = class_palette(len(names)) if None in colours else np.array(colours, np.uint8)
    return ClassList(names, palette, False, {category.id: i for i, category in enumerate(ordered)})


def _pairs(
    root: Path, file: Path, content: _Panoptic, classes: ClassList, segments: dict[Path, _Segments]
) -> list[Pair]:
    """Return the pictures that are there with their PNG files, and keep the segments of these."""
    split = file.stem.removeprefix("panoptic_")
    maps = next((p for p in (file.with_suffix(""), root / file.stem) if p.is_dir()), file.with_suffix(""))
    pictures = next((p for p in (root / split, root / "images" / split) if p.is_dir()), root / split)
    there = {p.name for p in pictures.iterdir()} if pictures.is_dir() else set()
    names = {image.id: image.file_name for image in content.images}
    pairs = []
    for annotation in content.annotations:
        name = names.get(annotation.image_id, Path(annotation.file_name).with_suffix(".jpg").name)
        if name not in there:
            continue
        path = maps / Path(annotation.file_name).name
        segments[path] = _segments(annotation, classes, file)
        pairs.append((pictures / name, path))
    return pairs


def _segments(annotation: _Annotation, classes: ClassList, file: Path) -> _Segments:
    ordered = sorted(annotation.segments_info, key=lambda segment: segment.id)
    if unknown := [s for s in ordered if s.category_id not in classes.ids]:
        raise DataError(
            f"{file}: {annotation.file_name} has the category {unknown[0].category_id}, which is not listed."
        )
    return _Segments(
        np.array([segment.id for segment in ordered], np.int64),
        np.array([classes.ids[segment.category_id] for segment in ordered], np.uint8),
    )
