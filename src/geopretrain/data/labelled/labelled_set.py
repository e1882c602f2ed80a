"""Images with class maps, for fine-tuning and scoring: one object whatever the layout on disk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from geopretrain.data.batches import LabelledBatch
from geopretrain.data.dataset import IMAGES, NAMES, Description, Fields, Positions, positions
from geopretrain.data.labelled.readers import SPLITS, LabelledSource, open_labelled_source
from geopretrain.errors import ConfigError, DataError

IGNORE = 255
STRIDE = 32  # coarsest stride of common backbones; other sizes would not survive down- and upsampling
DEFAULT_PIXELS = 96 * 320
LABELS = Fields(names=("labels",))


class LabelledSet:
    """Splits ``train``, ``val`` and ``test`` of images with class maps, all brought to one size.

    Images are reduced with an antialiasing filter, class maps with nearest neighbour. What has been read is
    kept in memory (uint8), so later epochs cost nothing.

    Attributes:
        class_names: name of each class.
        class_colours: ``K 3`` uint8, for pictures.
        size: (h, w) of all images handed out.
        counts: number of images in each split.
    """

    def __init__(
        self, source: LabelledSource, size: tuple[int, int] | None = None, *, path: str = ""
    ) -> None:
        """Wrap a source; ``size`` (h, w) must be multiples of 32; None chooses one of the native aspect.

        Raises:
            ConfigError: a side of ``size`` is not a multiple of 32.
        """
        self.source, self.path = source, path or source.kind
        self.class_names: tuple[str, ...] = source.class_names
        self.class_colours: NDArray[np.uint8] = source.class_colours
        self.size = _checked(size) if size is not None else auto_size(source.native_size())
        self.counts: dict[str, int] = {split: source.length(split) for split in SPLITS}
        self._cache: dict[tuple[str, int], tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}

    @classmethod
    def open(cls, spec: str | Path, size: tuple[int, int] | None = None) -> LabelledSet:
        """Open a CamVid folder (SegNet layout), ``images/`` + ``labels/``, or ``synthetic:street``.

        Raises:
            DataError: nothing usable is there; the message says what was expected.
            ConfigError: a side of ``size`` is not a multiple of 32, or an unknown option of a synthetic set.
        """
        return cls(open_labelled_source(str(spec)), size, path=str(spec))

    @property
    def num_classes(self) -> int:
        """Number of classes, without the ignored label 255."""
        return len(self.class_names)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def splits(self, fields: Fields = IMAGES) -> dict[str, NDArray[np.int64]]:
        """Return the positions of the images in ``train``, ``val`` and ``test``.

        Raises:
            DataError: the images have no such field, or no neighbours in time.
        """
        self._refuse(fields)
        starts = np.cumsum([0, *self.counts.values()])
        return {
            split: np.arange(start, start + count, dtype=np.int64)
            for (split, count), start in zip(self.counts.items(), starts, strict=False)
        }

    def read(self, indices: Positions, fields: Fields = LABELS) -> LabelledBatch:
        """Read images (``B 3 H W`` uint8) and, where asked for, labels (``B H W`` int64, 255 = ignore).

        Raises:
            ConfigError: a position does not exist.
            DataError: an image or label is unreadable, their sizes differ, a label holds an id outside the
                class list, or the images have no such field.
        """
        self._refuse(fields)
        where = positions(indices, len(self))
        samples = [self._sample(*self._place(int(index))) for index in where]
        labels = torch.from_numpy(np.stack([labels for _, labels in samples])).long()
        return LabelledBatch(
            images=torch.from_numpy(np.stack([image for image, _ in samples])),
            labels=labels if "labels" in fields.names else None,
            index=torch.from_numpy(where),
        )

    def check(self, indices: Positions, fields: Fields = LABELS) -> None:
        """Read the images and labels once, so that what is wrong is said before anything is trained.

        Raises:
            DataError: as `read`.
        """
        self._refuse(fields)
        for index in positions(indices, len(self)):
            self._sample(*self._place(int(index)))

    def names(self, indices: Positions | str) -> list[str]:
        """Return the file name of each image within the data set (of a whole split where that is given)."""
        if isinstance(indices, str):
            return [self.source.name(indices, index) for index in range(self.counts[self._known(indices)])]
        return [self.source.name(*self._place(int(index))) for index in positions(indices, len(self))]

    def describe(self) -> Description:
        """Return what it is."""
        return Description(
            kind=self.source.kind,
            path=self.path,
            size=self.size,
            counts=self.counts,
            fields=("labels",),
            class_names=self.class_names,
            class_colours=tuple((int(r), int(g), int(b)) for r, g, b in self.class_colours),
            sentences=tuple(self.source.notes),
        )

    def fingerprint(self, fields: Fields = LABELS) -> str:
        """Return 16 hexadecimal digits for classes, names and a part of the files."""
        return self.source.fingerprint()

    def load(self, split: str, indices: Positions) -> LabelledBatch:
        """Read images and labels by their positions in a split; see `read`.

        Raises:
            ConfigError: there is no such split or position.
            DataError: as `read`.
        """
        first = list(self.counts).index(self._known(split))
        start = sum(list(self.counts.values())[:first])
        return self.read(start + positions(indices, self.counts[split]))

    def description(self) -> str:
        """One line: what it is, how many images in each split, classes, size."""
        counts = ", ".join(f"{count} {split}" for split, count in self.counts.items())
        notes = f" ({'; '.join(self.source.notes)})" if self.source.notes else ""
        height, width = self.size
        return f"{self.source.kind}: {counts} images{notes}, {self.num_classes} classes, {width}x{height}"

    def _known(self, split: str) -> str:
        if split not in self.counts:
            raise ConfigError(f"There is no split '{split}'; there are train, val and test.")
        return split

    def _place(self, position: int) -> tuple[str, int]:
        """Return the split of a position, and the place in it."""
        for split, count in self.counts.items():
            if position < count:
                return split, position
            position -= count
        raise ConfigError(f"Sample {position} does not exist: there are {len(self)} samples.")

    def _refuse(self, fields: Fields) -> None:
        if not fields.alone:
            raise DataError(f"{self.path} holds single images, so there are no {fields.in_words()}.")
        for name in fields.names:
            if name != "labels":
                raise DataError(f"{self.path} holds images with class maps, but no {NAMES[name]}.")

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
