"""Images with class maps, for fine-tuning and scoring: one object whatever the layout on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from geopretrain.data.batches import LabelledBatch
from geopretrain.data.labelled.readers import LabelledSource, open_labelled_source
from geopretrain.errors import ConfigError

IGNORE = 255
STRIDE = 32  # coarsest stride of common backbones; other sizes would not survive down- and upsampling
DEFAULT_PIXELS = 96 * 320


class LabelledSet:
    """Splits ``train``, ``val`` and ``test`` of images with class maps, all brought to one size.

    Images are reduced with an antialiasing filter, class maps with nearest neighbour. What has been read is
    kept in memory (uint8), so later epochs cost nothing.

    Attributes:
        class_names: name of each class.
        class_colours: ``K 3`` uint8, for pictures.
        size: (h, w) of all images handed out.
        splits: number of images in each split.
    """

    def __init__(self, source: LabelledSource, size: tuple[int, int] | None = None) -> None:
        """Wrap a source; ``size`` (h, w) must be multiples of 32; None chooses one of the native aspect.

        Raises:
            ConfigError: a side of ``size`` is not a multiple of 32.
        """
        self.source = source
        self.class_names: tuple[str, ...] = source.class_names
        self.class_colours: NDArray[np.uint8] = source.class_colours
        self.size = _checked(size) if size is not None else auto_size(source.native_size())
        self.splits: dict[str, int] = {split: source.length(split) for split in ("train", "val", "test")}
        self._cache: dict[tuple[str, int], tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}

    @classmethod
    def open(cls, spec: str | Path, size: tuple[int, int] | None = None) -> LabelledSet:
        """Open a CamVid folder (SegNet layout), ``images/`` + ``labels/``, or ``synthetic:street``.

        Raises:
            DataError: nothing usable is there; the message says what was expected.
            ConfigError: a side of ``size`` is not a multiple of 32, or an unknown option of a synthetic set.
        """
        return cls(open_labelled_source(str(spec)), size)

    @property
    def num_classes(self) -> int:
        """Number of classes, without the ignored label 255."""
        return len(self.class_names)

    def names(self, split: str) -> list[str]:
        """Name of each image of a split, in the order of its index."""
        return [self.source.name(split, index) for index in range(self.splits[self._known(split)])]

    def load(self, split: str, indices: Sequence[int] | NDArray[np.integer]) -> LabelledBatch:
        """Read images (``B 3 H W`` uint8) and labels (``B H W`` int64, 255 = ignore) of a split.

        Raises:
            ConfigError: there is no such split.
            DataError: an image or label is unreadable, their sizes differ, or a label holds an id outside
                the class list.
        """
        self._known(split)
        samples = [self._sample(split, int(index)) for index in indices]
        return LabelledBatch(
            images=torch.from_numpy(np.stack([image for image, _ in samples])),
            labels=torch.from_numpy(np.stack([labels for _, labels in samples])).long(),
            index=torch.as_tensor(np.asarray(indices), dtype=torch.int64),
        )

    def description(self) -> str:
        """One line: what it is, how many images in each split, classes, size."""
        counts = ", ".join(f"{count} {split}" for split, count in self.splits.items())
        notes = f" ({'; '.join(self.source.notes)})" if self.source.notes else ""
        height, width = self.size
        return f"{self.source.kind}: {counts} images{notes}, {self.num_classes} classes, {width}x{height}"

    def _known(self, split: str) -> str:
        if split not in self.splits:
            raise ConfigError(f"There is no split '{split}'; there are train, val and test.")
        return split

    def _sample(self, split: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        key = (split, index)
        if key not in self._cache:
            image, labels = self.source.read(split, index, self.size)
            self._cache[key] = _resized(image, labels, self.size)
        return self._cache[key]


def nested_subset(num_items: int, count: int, seed: int) -> list[int]:
    """Choose ``count`` of ``num_items`` positions; for one seed, smaller choices are contained in larger.

    Raises:
        ConfigError: ``count`` is not between 1 and ``num_items``.
    """
    if not 1 <= count <= num_items:
        raise ConfigError(
            f"{count} labelled images were asked for, but the training split holds {num_items}."
        )
    order = np.random.default_rng(seed).permutation(num_items)
    return [int(position) for position in order[:count]]


def auto_size(native: tuple[int, int], max_pixels: int = DEFAULT_PIXELS) -> tuple[int, int]:
    """Largest (h, w) in multiples of 32 within ``max_pixels`` that changes the aspect ratio by less than 7 %.

    When no size is that close, the one closest in aspect ratio is taken.
    """
    aspect = native[0] / native[1]
    sides = range(STRIDE, max_pixels // STRIDE + 1, STRIDE)
    candidates = [(h, w) for h in sides for w in sides if h * w <= max_pixels]
    distortion = {size: abs(math.log(size[0] / size[1] / aspect)) for size in candidates}
    close = [size for size in candidates if distortion[size] < 0.07]
    if not close:
        return min(candidates, key=lambda size: (distortion[size], -size[0] * size[1]))
    return max(close, key=lambda size: (size[0] * size[1], -distortion[size]))


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (int(side) for side in size)
    if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
        nearest = tuple(max(STRIDE, STRIDE * round(side / STRIDE)) for side in (height, width))
        raise ConfigError(
            f"Images of {width}x{height} (w x h) cannot be used: both sides must be multiples of {STRIDE}. "
            f"The nearest size is {nearest[1]}x{nearest[0]}."
        )
    return height, width


def _resized(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the image as ``3 H W`` and the labels as ``H W``, both uint8."""
    if image.shape[:2] != size:
        wh = (size[1], size[0])
        # Pillow widens the bilinear filter when reducing, which is what removes aliasing.
        image = np.array(Image.fromarray(image).resize(wh, Image.Resampling.BILINEAR))
        labels = np.array(Image.fromarray(labels).resize(wh, Image.Resampling.NEAREST))
    return np.ascontiguousarray(image.transpose(2, 0, 1)), np.ascontiguousarray(labels)
