"""Boxes and masks as readers give them: checked where they are read, counted before anything learns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.labelled.base import LabelledImage
from geopretrain.errors import DataError
from geopretrain.wording import sides

Size = tuple[int, int]
NAMED = 8
"""Classes named in one sentence."""


def checked_objects(
    sample: LabelledImage, size: Size, name: str, num_classes: int, *, masks: bool
) -> tuple[LabelledImage, int]:
    """Return an image with boxes inside of it, and how many were left out because nothing of them is there.

    Boxes are cut at the border of the image. Those without area in it, and those whose mask is empty, are
    left out. Without boxes, those around the masks are taken.

    Args:
        sample: as its reader gives it; its masks may be of ``size`` already.
        size: (height, width) px that it is brought to afterwards.
        name: of the image, for sentences.
        num_classes: of the data set.
        masks: whether each object must have a mask.

    Raises:
        DataError: boxes, classes and masks do not belong together, or not to this image.
    """
    height, width = sample.image.shape[:2]
    found = _masks(sample.masks, [(height, width), size], name) if masks else None
    if sample.boxes is None and found is None:
        raise DataError(f"{name} has no list of boxes, not even an empty one.")
    boxes = _boxes(sample.boxes if sample.boxes is not None else _around(found, (height, width)), name)
    labels = _labels(sample.box_labels, len(boxes), num_classes, name)
    crowd = np.zeros(len(boxes), bool) if sample.box_crowd is None else np.asarray(sample.box_crowd, bool)
    for what, count in (("masks", None if found is None else len(found)), ("marks of crowds", len(crowd))):
        if count is not None and count != len(boxes):
            raise DataError(f"{name} has {len(boxes)} boxes and {count} {what}; each box has one.")
    boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if found is not None:
        if found.shape[1:] == (height, width):  # at a smaller size one that is there may vanish
            kept &= found.any((1, 2))
        found = found[kept]
    whole = replace(sample, boxes=boxes[kept], box_labels=labels[kept], box_crowd=crowd[kept], masks=found)
    return whole, int((~kept).sum())


def _masks(masks: Any, sizes: Sequence[Size], name: str) -> NDArray[np.bool_]:
    found = np.zeros((0, *sizes[0]), bool) if masks is None else np.asarray(masks, bool)
    if not len(found):
        return np.zeros((0, *sizes[0]), bool)
    if found.ndim != 3 or found.shape[1:] not in sizes:
        shape = "x".join(map(str, found.shape[1:]))
        raise DataError(
            f"{name}: its masks are of {shape} px (height x width), the image of "
            f"{sides(sizes[0])}. They belong to another picture, or to another size of it."
        )
    return found


def _boxes(boxes: Any, name: str) -> NDArray[np.float32]:
    found = np.asarray(boxes, np.float32)
    found = found.reshape(0, 4) if found.size == 0 else found
    if found.ndim != 2 or found.shape[1] != 4 or not np.isfinite(found).all():
        raise DataError(
            f"{name}: a box is four numbers x0, y0, x1, y1 in px, and one of them is something else."
        )
    return found


def _labels(labels: Any, count: int, num_classes: int, name: str) -> NDArray[np.int64]:
    found = np.asarray([] if labels is None else labels, np.int64).reshape(-1)
    if len(found) != count:
        raise DataError(f"{name} has {count} boxes and {len(found)} classes of boxes; each box has one.")
    if count and not 0 <= found.min() <= found.max() < num_classes:
        wrong = found[(found < 0) | (found >= num_classes)][0]
        raise DataError(
            f"{name} has a box of class {wrong}, but the classes are 0 to {num_classes - 1}. Ids of files, "
            "which may begin at 1 or have gaps, are the reader's to translate."
        )
    return found


def _around(masks: Any, size: Size) -> NDArray[np.float32]:
    """Return the boxes around masks, ``N 4`` px of an image of ``size``; without area around empty ones."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    scale = np.array(size) / masks.shape[1:]
    return boxes * np.tile(scale[::-1], 2).astype(np.float32)


@dataclass(frozen=True)
class ObjectCounts:
    """Which objects some images have.

    Attributes:
        labels: class of each object of each image, crowds left out.
        crowds: boxes of crowds in all images.
        dropped: objects that were left out because nothing of them is in their image.
    """

    labels: tuple[NDArray[np.int64], ...]
    crowds: int
    dropped: int

    @classmethod
    def of(cls, images: Sequence[Mapping[str, np.ndarray]]) -> ObjectCounts:
        """Count what the cache holds of images."""
        labels = tuple(one["box_labels"][~one["box_crowd"]] for one in images)
        crowds, dropped = (sum(int(one[n].sum()) for one in images) for n in ("box_crowd", "dropped"))
        return cls(labels, crowds, dropped)

    @property
    def total(self) -> int:
        """Objects in all images."""
        return sum(map(len, self.labels))

    @property
    def empty(self) -> int:
        """Images without objects."""
        return sum(not len(one) for one in self.labels)

    @property
    def classes(self) -> set[int]:
        """Classes that occur."""
        return {int(label) for one in self.labels for label in one}

    def in_words(self, names: Sequence[str], where: str) -> str:
        """Return e.g. ``52 objects in 16 training images (car 40, pedestrian 12); 2 show none.``"""
        counts = {c: sum(int((one == c).sum()) for one in self.labels) for c in self.classes}
        order = sorted(counts, key=lambda c: -counts[c])
        listed = ", ".join(f"{names[c]} {counts[c]}" for c in order[:NAMED])
        more = f" and {len(order) - NAMED} more classes" if len(order) > NAMED else ""
        things = "object" if self.total == 1 else "objects"
        parts = [f"{self.total} {things} in {len(self.labels)} {where} images ({listed or 'none'}{more})"]
        parts += [f"{self.empty} of these images show none"] if self.empty else []
        parts += [f"{self.crowds} crowds are left out"] if self.crowds else []
        parts += [f"{self.dropped} boxes without area are left out"] if self.dropped else []
        return f"{'; '.join(parts)}."
