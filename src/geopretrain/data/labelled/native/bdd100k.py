"""BDD100K's semantic labels (19 classes of Cityscapes) and boxes.

``images/10k/SPLIT`` with ``labels/sem_seg/masks/SPLIT``; the older ``seg/images/SPLIT`` with
``seg/labels/SPLIT`` (``*_train_id.png``); ``images/100k/SPLIT`` with ``labels/det_20/det_SPLIT.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.data.labelled.objects import AnnotatedImage, AnnotatedObject, Kept, LabelledObjects
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.labelled.street_classes import trained_classes
from geopretrain.data.readers.base import files_with
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.errors import DataError
from geopretrain.records import Finite, Text, read_json

SPLITS = ("train", "val")
FOLDERS = (("images/10k", "labels/sem_seg/masks"), ("seg/images", "seg/labels"))
"""Where pictures and class maps lie, newest first; splits below."""
ENDINGS = (".png", "_train_id.png")
BOXES = "labels/det_20"
NAMES = (
    *("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
    *("traffic light", "traffic sign"),
)
ADVICE = "Unpack it again."


@dataclass(frozen=True)
class _Box:
    x1: Finite
    y1: Finite
    x2: Finite
    y2: Finite


@dataclass(frozen=True)
class _Label:
    category: Text
    box2d: _Box | None = None


@dataclass(frozen=True)
class _Frame:
    name: Text
    labels: list[_Label] | None = field(default=None)


def has_semantics(root: Path) -> bool:
    """Return whether there are class maps of BDD100K."""
    return any((root / images).is_dir() and (root / labels).is_dir() for images, labels in FOLDERS)


def open_semantics(root: Path) -> LabelledPairs:
    """Read the 10 000 pictures with class maps (DataError where no picture has one)."""
    images, labels = next(pair for pair in FOLDERS if all((root / name).is_dir() for name in pair))
    found: dict[str, list[Pair]] = {}
    missing = 0
    for split in SPLITS:
        pictures = files_with(root / images / split, IMAGE_SUFFIXES)
        for picture in sorted(pictures):
            tried = [root / labels / split / f"{picture.stem}{ending}" for ending in ENDINGS]
            label = next((file for file in tried if file.is_file()), None)
            missing += label is None
            if label is not None:
                found.setdefault(split, []).append((picture, label))
    if not found:
        raise DataError(f"{root}: no picture in {images}/ has a class map in {labels}/.")
    splits, said = with_all_splits(found, root)
    if missing:
        said += (f"{missing} pictures have no label and are left out",)
    return LabelledPairs(root, "BDD100K", trained_classes(), splits, said)


def has_boxes(root: Path) -> bool:
    """Return whether there are boxes of BDD100K."""
    return next((root / BOXES).glob("det_*.json"), None) is not None


def open_boxes(root: Path) -> LabelledObjects:
    """Read pictures with boxes of 10 classes (DataError for a damaged file or where no picture is there)."""
    found: dict[str, list[AnnotatedImage]] = {}
    kept, missing, files = Kept(), 0, sorted((root / BOXES).glob("det_*.json"))
    for file in files:
        split = file.stem.removeprefix("det_")
        frames: list[_Frame] = read_json(file, list[_Frame], error=DataError, advice=ADVICE)
        pictures = root / "images" / "100k" / split
        there = [frame for frame in frames if (pictures / frame.name).is_file()]
        missing += len(frames) - len(there)
        if there and split in SPLITS:
            found[split] = [_image(pictures / frame.name, frame, kept) for frame in there]
    if not found:
        raise DataError(f"{root}: none of the pictures is in images/100k/ that {BOXES}/ names.")
    splits, said = with_all_splits(found, root)
    said += (f"{missing} pictures are not there",) if missing else ()
    return LabelledObjects(root, "BDD100K boxes", NAMES, splits, files, said + kept.sentences())


def _image(file: Path, frame: _Frame, kept: Kept) -> AnnotatedImage:
    objects: list[AnnotatedObject] = []
    for label in frame.labels or ():
        if label.box2d is not None and label.category in NAMES:  # "other vehicle" and the like are not scored
            box: Any = label.box2d
            corners = np.array([box.x1, box.y1, box.x2 + 1, box.y2 + 1], np.float32)  # x2 and y2 inclusive
            objects += kept.add(NAMES.index(label.category), file, box=corners)
    return AnnotatedImage(file, tuple(objects))
