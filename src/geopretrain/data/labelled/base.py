"""What every reader of labelled images gives: named splits of images, each with what is known of it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.fingerprint import Digest, digest
from geopretrain.data.value_range import range_beside

SPLITS = ("train", "val", "test")
FINGERPRINTED = 64
"""Files whose content goes into a fingerprint, evenly spread; of all others names and lengths."""
MAX_LENGTHS = 100_000
"""Files up to which the length of each is asked for; of more, only of some, evenly spread, and all names."""
File = TypeVar("File")


@dataclass(frozen=True)
class LabelledImage:
    """One image and what is known of it, at whatever size the reader has it; None where absent.

    Attributes:
        image: ``H W 3`` uint8.
        labels: ``H W`` uint8 class ids, 255 = ignore.
        depth: ``H W`` float32 m, 0 = no measurement.
        image_label: class of the image.
        boxes: ``N 4`` float32 px (x0, y0, x1, y1; x1 and y1 exclusive).
        box_labels: ``N`` int64 class of each box.
        masks: ``N H W`` bool, one per box.
        box_crowd: ``N`` bool: the box holds a crowd that nobody has told apart (COCO's ``iscrowd``), which is
            neither learned nor missed; None where there are none.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None
    depth: NDArray[np.float32] | None = None
    image_label: int | None = None
    boxes: NDArray[np.float32] | None = None
    box_labels: NDArray[np.int64] | None = None
    masks: NDArray[np.bool_] | None = None
    box_crowd: NDArray[np.bool_] | None = None


class LabelledSource(ABC):
    """A set of labelled images in one layout; a new layout is a class of this and a row in ``LAYOUTS``.

    Nothing is decoded before ``read`` asks for it, and ``read`` may be called from several threads.

    Attributes:
        kind: of data, in a word or two.
        counts: number of images in each split.
        fields: names of what the images have, see ``geopretrain.data.dataset.NAMES``.
        class_names: one name per class.
        class_colours: ``K 3`` uint8.
        class_ids: id of each class in the files; () where it is the number of the class.
        warnings: sentences about assumptions made while opening.
        rendered: whether ``read`` computes the images and nothing is gained by several threads.
        absent: why a field is not there, by its name, as a clause; only where more is known than that.
        propagated_from: the last training images have labels that were propagated to them; of each of these
            the number of the training image that its labels are from. () where all are labelled by hand.
    """

    kind: str
    counts: dict[str, int]
    fields: tuple[str, ...] = ("labels",)
    class_names: tuple[str, ...] = ()
    class_colours: NDArray[np.uint8] = np.zeros((0, 3), np.uint8)
    class_ids: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    rendered: bool = False
    absent: Mapping[str, str] = {}
    propagated_from: tuple[int, ...] = ()

    @abstractmethod
    def name(self, split: str, index: int) -> str:
        """Return a name that identifies the image within the data set."""

    @abstractmethod
    def original_size(self) -> tuple[int, int]:
        """Return the (height, width) that stands for all images, px, such as that of the first."""

    @abstractmethod
    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Return one image with its labels.

        Args:
            split: name of the split.
            index: position in it.
            size: (height, width) it will be brought to; readers of files leave that to the caller.

        Raises:
            DataError: a file is unreadable, or image and labels do not fit together; the file is named.
        """

    def image_classes(self, split: str) -> NDArray[np.int32] | None:
        """Return the class of each image of a split, None where that is not known before they are read."""
        return None

    def viewed(self, names: Sequence[str]) -> LabelledSource:
        """Return the same images as they are seen by what needs these fields; they themselves mostly."""
        return self

    def unnamed(self, split: str, index: int) -> set[str]:
        """Return what is ignored in the labels of an image although the class list does not say so."""
        return set()

    @abstractmethod
    def unread(self) -> Any:
        """Return what tells, without reading the images, whether they have changed (JSON).

        Names, lengths and times of the files, or the options of a renderer.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits for the content, not the place or the time."""


def evenly_spread(items: Sequence[File], count: int) -> list[File]:
    """Return at most ``count`` of some files, evenly spread from the first to the last."""
    if not items:
        return []
    return [items[number] for number in np.unique(np.linspace(0, len(items) - 1, count).astype(int))]


def unread_files(root: Path, files: Sequence[Path | str]) -> list[Any]:
    """Return place, names, lengths and times of files; of over 100 000, lengths and times of some.

    Args:
        root: folder that they lie in.
        files: paths (relative ones to the folder that we work in, as ``root`` is), or names below ``root``.
    """
    chosen = _asked(files)
    described = [[_name(root, file), *_length_and_time(_path(root, file))] for file in chosen]
    names = [] if len(chosen) == len(files) else [_digest_of_names(root, files)]
    return [str(root.resolve()), described, *names, *_range(root, chosen)]


def digest_files(found: Digest, root: Path, files: Sequence[Path | str]) -> Digest:
    """Add names and lengths of all files and the content of some of them; see `unread_files`."""
    chosen = _asked(files)
    if len(chosen) < len(files):
        found.add(_digest_of_names(root, files))
    for file in chosen:
        found.add([_name(root, file), _length_and_time(_path(root, file))[0]])
    for value_range in _range(root, chosen):
        found.add(value_range)
    for file in evenly_spread(files, FINGERPRINTED):
        with suppress(OSError):  # reading it will say what is wrong
            found.add_file(_path(root, file))
    return found


def _length_and_time(file: Path) -> tuple[int, int]:
    """Return bytes and time of a file, -1 and 0 where it cannot be had: reading it will say what is wrong."""
    try:
        stat = file.stat()
    except OSError:
        return -1, 0
    return stat.st_size, stat.st_mtime_ns


def _asked(files: Sequence[Path | str]) -> Sequence[Path | str]:
    """Return the files whose length is asked for: a system call for each of a million takes minutes."""
    return files if len(files) <= MAX_LENGTHS else evenly_spread(files, MAX_LENGTHS // 10)


def _path(root: Path, file: Path | str) -> Path:
    """Return where a file is: a name is one below ``root``, a path is whole already."""
    return root / file if isinstance(file, str) else file


def _name(root: Path, file: Path | str) -> str:
    if isinstance(file, str):
        return file
    return (
        file.relative_to(root).as_posix()
        if file.is_relative_to(root)
        else Path(os.path.relpath(file, root)).as_posix()
    )


def _digest_of_names(root: Path, files: Sequence[Path | str]) -> str:
    return digest([_name(root, file) for file in files])


def _range(root: Path, files: Sequence[Path | str]) -> list[Any]:
    """Return what a ``range.txt`` beside the files says, nothing without one: it decides on what is read."""
    folders = {_path(root, file).parent for file in files}
    ranges = {range_beside(folder / "any") for folder in folders} - {None}
    return [sorted(ranges)] if ranges else []
