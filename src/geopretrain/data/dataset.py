"""What training, transfer and scoring know of data: samples in splits, read by position.

A frame store, labelled images and folders of images speak this protocol; a class of one's own needs nothing
but the methods of `Dataset`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np

from geopretrain.errors import ConfigError, nearest_name, one_of, require
from geopretrain.schema import plain
from geopretrain.wording import in_px

NAMES = {
    "stereo": "stereo pairs",
    "depth": "measured depth",
    "pseudo_depth": "depth by a teacher",
    "labels": "class maps",
    "image_labels": "class of each image",
    "boxes": "boxes of objects",
    "masks": "masks of objects",
}
"""What a sample may have besides its images, in words."""
SYNTHETIC, IMAGE_FOLDER = "synthetic:", "images:"
"""What data begin with that are no path: a world to render, or a folder of images without labels."""
IGNORE = 255
"""Class id of pixels without a label."""
QUANTITIES = ("depth", "disparity")
MEANINGS = {
    "metric": "in metres",
    "scale": "up to one unknown factor",
    "scale_shift": "up to an unknown factor and offset for each picture",
}
"""What a teacher's depth may be right up to, in words."""


@dataclass(frozen=True)
class Fields:
    """What a sample must have.

    Attributes:
        frames: times of its frames, in strides from the target; ``(0,)`` is the image alone.
        names: what it has besides images, see ``NAMES``.

    Raises:
        ConfigError: an unknown name, or no frame.
    """

    frames: tuple[int, ...] = (0,)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("frames", int), ("names", str)):
            values = plain(getattr(self, name))
            usable = isinstance(values, list) and all(type(value) is kind for value in values)
            require(
                usable, name, f"several of type {kind.__name__}, such as (0, -1, 1) or ('depth',)", values
            )
            object.__setattr__(self, name, tuple(values))
        if not self.frames:
            raise ConfigError("A sample must have at least one frame.")
        for name in self.names:
            if name not in NAMES:
                raise ConfigError(
                    f"A sample has no '{name}'; known are {', '.join(NAMES)}.{nearest_name(name, NAMES)}"
                )

    @property
    def alone(self) -> bool:
        """Whether a sample is an image without neighbours in time."""
        return self.frames == (0,)

    def in_words(self) -> str:
        """Return e.g. ``frames at 0, -1, 1 and measured depth``."""
        frames = [] if self.alone else [f"frames at {', '.join(map(str, self.frames))}"]
        return " and ".join([*frames, *(NAMES[name] for name in self.names)]) or "images"


@dataclass(frozen=True)
class PseudoDepthInfo:
    """What a teacher's maps mean.

    Attributes:
        teacher: run folder, folder or name of the model.
        quantity: ``depth`` or ``disparity`` (large = near).
        meaning: ``metric`` (m or 1/m), ``scale`` (up to one factor) or ``scale_shift`` (up to a factor and an
            offset for each picture).

    Raises:
        ConfigError: quantity or meaning is none of these.
    """

    teacher: str
    quantity: str
    meaning: str

    def __post_init__(self) -> None:
        for name, known in (("quantity", QUANTITIES), ("meaning", tuple(MEANINGS))):
            one_of(name, getattr(self, name), known)

    def as_stored(self) -> PseudoDepthInfo:
        """Return what the stored maps mean: depth wherever disparity can be turned into it."""
        quantity = self.quantity if self.meaning == "scale_shift" else "depth"
        return PseudoDepthInfo(self.teacher, quantity, self.meaning)

    def in_words(self) -> str:
        """Return e.g. ``disparity up to an unknown factor and offset for each picture, by NAME``."""
        return f"{self.quantity} {MEANINGS[self.meaning]}, by {self.teacher}"


@dataclass(frozen=True)
class Description:
    """What a data set is, for people and for tasks that must know it before the first batch.

    Attributes:
        kind: layout in a word or two, e.g. ``frame store``, ``CamVid``, ``image folder``.
        path: what it was opened with.
        size: (height, width) of all images handed out, px: the size a network is trained at.
        counts: number of samples in each split.
        fields: names of what at least one sample has besides images, see ``NAMES``.
        neighbours: whether samples have frames besides the target.
        class_names: of class maps, boxes or image-level labels, in the order of the ids; () without.
        class_colours: (red, green, blue) of each class, 0 to 255; () without.
        depth_protocol: evaluation protocol that fits measured depth: ``kitti`` (sparse LiDAR), ``dense``, or
            None.
        pseudo_depth: what a teacher's depth means, None without.
        sentences: what is worth knowing, one sentence each.
    """

    kind: str
    path: str
    size: tuple[int, int]
    counts: Mapping[str, int]
    fields: tuple[str, ...] = ()
    neighbours: bool = False
    class_names: tuple[str, ...] = ()
    class_colours: tuple[tuple[int, int, int], ...] = ()
    depth_protocol: str | None = None
    pseudo_depth: PseudoDepthInfo | None = None
    sentences: tuple[str, ...] = ()

    def in_words(self, *, remarks: bool = False) -> str:
        """Return one line: what it is, how many samples in each split, classes, size; ``sentences`` too."""
        counts = ", ".join(f"{count} {split}" for split, count in self.counts.items())
        classes = f", {len(self.class_names)} classes" if self.class_names else ""
        said = f" ({'; '.join(self.sentences)})" if remarks and self.sentences else ""
        return f"{self.kind}: {counts}{classes}, {in_px(self.size)}{said}"


class Batch(Protocol):
    """What travels from a data set to a task."""

    def to(self, device: str) -> Self:
        """Return the batch on ``device``."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...


IMAGES = Fields()
"""Images alone."""
BatchT_co = TypeVar("BatchT_co", bound=Batch, covariant=True)
Positions = Sequence[int] | np.ndarray


class Dataset(Protocol[BatchT_co]):
    """Samples in splits, read by position, with the fields asked for.

    Positions are ``0 .. len - 1`` in one space for all splits. Reading a position twice gives the same
    values, whatever was read before; nothing is held in memory without bound.
    """

    def __len__(self) -> int:
        """Return the number of samples in all splits."""
        ...

    def splits(self, fields: Fields = IMAGES) -> Mapping[str, np.ndarray]:
        """Return for each split (``train``, ``val``, ``test``) the positions, int64, of samples with fields.

        Raises:
            DataError: no training sample has them; the message says what is missing and how to get it.
        """
        ...

    def read(self, indices: Positions, fields: Fields) -> BatchT_co:
        """Return the samples at ``indices``, images uint8.

        Raises:
            ConfigError: a position that does not exist, or a frame that a sample does not have.
            DataError: a file cannot be used, or a sample lacks a field.
        """
        ...

    def check(self, indices: Positions, fields: Fields) -> None:
        """Make sure that these samples can be read, before anything is trained on them.

        What takes long to read is read now, with progress, and kept on disk; this may be interrupted and
        repeated.

        Raises:
            DataError: a file cannot be used, or a sample lacks a field.
        """
        ...

    def names(self, indices: Positions) -> list[str]:
        """Return what the user knows the samples by, e.g. the file names of the images."""
        ...

    def describe(self) -> Description:
        """Return what it is."""
        ...

    def fingerprint(self, fields: Fields = IMAGES) -> str:
        """Return 16 hexadecimal digits for the content, not the place, of what is read with these fields.

        A moved or renamed data set has the same, another one at the same path another.
        """
        ...


def positions(indices: Positions, count: int) -> np.ndarray:
    """Return positions as an int64 array.

    Raises:
        ConfigError: one of them is outside ``0 .. count - 1``.
    """
    found = np.asarray(indices, dtype=np.int64)
    outside = found[(found < 0) | (found >= count)]
    if outside.size:
        raise ConfigError(f"Sample {outside[0]} does not exist: there are {count} samples.")
    return found
