"""Labelled images as rows of bytes of one length, and the objects in them as small files beside the rows."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geopretrain.data.labelled.base import LabelledImage
from geopretrain.data.resize import resize_depth
from geopretrain.files import replacing

Size = tuple[int, int]
OBJECTS = ("boxes", "masks")
_MASKS = ("masks", "mask_shape")


@dataclass(frozen=True)
class RowFormat:
    """Where in a row what is known of an image lies: the image, then the fields that all images have.

    Attributes:
        size: (height, width), px.
        fields: names of the fields, see ``geopretrain.data.dataset.NAMES``; objects are not in rows.
    """

    size: Size
    fields: tuple[str, ...]

    @property
    def parts(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Type and shape of each part of a row."""
        known = {
            "labels": ("u1", self.size),
            "depth": ("<f4", (1, *self.size)),
            "image_labels": ("<i4", ()),
        }
        return {"images": ("u1", (3, *self.size)), **{n: p for n, p in known.items() if n in self.fields}}

    @property
    def row_bytes(self) -> int:
        """Length of a row."""
        return sum(_length(*part) for part in self.parts.values())

    def pack(self, sample: LabelledImage) -> NDArray[np.uint8]:
        """Return the row of an image at the working size."""
        values: dict[str, Any] = {
            "images": sample.image.transpose(2, 0, 1),
            "labels": sample.labels,
            "depth": sample.depth,
            "image_labels": sample.image_label,
        }
        parts = [np.ascontiguousarray(values[name], kind) for name, (kind, _) in self.parts.items()]
        return np.concatenate([part.reshape(-1).view(np.uint8) for part in parts])

    def unpack(self, rows: NDArray[np.uint8]) -> dict[str, np.ndarray]:
        """Return the parts of rows ``B L``, each with ``B`` in front of its shape."""
        found, start = {}, 0
        for name, (kind, shape) in self.parts.items():
            end = start + _length(kind, shape)
            found[name] = np.ascontiguousarray(rows[:, start:end]).view(kind).reshape(len(rows), *shape)
            start = end
        return found


def _length(kind: str, shape: tuple[int, ...]) -> int:
    return int(np.dtype(kind).itemsize * np.prod(shape, dtype=np.int64))


def resized(sample: LabelledImage, size: Size) -> LabelledImage:
    """Return an image and its labels at the working size.

    Images are reduced with an antialiasing filter, class maps and masks with nearest neighbour, depth without
    averaging.
    """
    height, width = sample.image.shape[:2]
    if (height, width) == size:
        return sample
    boxes = sample.boxes
    if boxes is not None:
        boxes = boxes * np.array([size[1] / width, size[0] / height] * 2, dtype=np.float32)
    return replace(
        sample,
        # Pillow widens the bilinear filter when reducing, which is what removes aliasing.
        image=_resize(sample.image, size, Image.Resampling.BILINEAR),
        labels=None if sample.labels is None else _resize(sample.labels, size, Image.Resampling.NEAREST),
        depth=None if sample.depth is None else resize_depth(sample.depth, size),
        boxes=boxes,
        masks=None if sample.masks is None else _resize_masks(sample.masks, size),
    )


def _resize(values: np.ndarray, size: Size, filter: Image.Resampling) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(values).resize((size[1], size[0]), filter))


def _resize_masks(masks: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    small = [_resize(mask.astype(np.uint8), size, Image.Resampling.NEAREST) > 0 for mask in masks]
    return np.stack(small) if small else np.zeros((0, *size), dtype=bool)


class ObjectFiles:
    """Boxes and masks of each image in a file of its own, because their number differs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, row: int, sample: LabelledImage, dropped: int) -> None:
        """Keep the objects of an image at the working size, and how many of them were none."""
        boxes = np.asarray(sample.boxes, np.float32)
        crowd = np.zeros(len(boxes), bool) if sample.box_crowd is None else np.asarray(sample.box_crowd, bool)
        arrays: dict[str, np.ndarray] = {
            "boxes": boxes,
            "box_labels": np.asarray(sample.box_labels, np.int64),
            "box_crowd": crowd,
            "dropped": np.array(dropped),
        }
        if sample.masks is not None:
            arrays |= {"mask_shape": np.array(sample.masks.shape), "masks": np.packbits(sample.masks)}
        with replacing(self._file(row)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def read(self, row: int, masks: bool = True) -> dict[str, np.ndarray] | None:
        """Return ``boxes``, ``box_labels``, ``box_crowd``, ``dropped`` and ``masks`` of an image.

        None where they are not there. Masks take longest to read; without ``masks`` they are left.
        """
        try:
            with np.load(self._file(row), allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored if masks or name not in _MASKS}
            if "masks" in found:
                shape = found.pop("mask_shape")
                found["masks"] = np.unpackbits(found["masks"], count=int(np.prod(shape))).reshape(shape) > 0
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
            return None  # what is damaged is made again
        return found

    def _file(self, row: int) -> Path:
        return self.folder / f"{row // 1000:06d}" / f"{row:09d}.npz"
