"""Images with what is known of them, one object whatever the layout on disk; read as needed, kept on disk."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geopretrain.console import console
from geopretrain.data.batches import LabelledBatch
from geopretrain.data.cache import RowCache, cache_folder
from geopretrain.data.dataset import IGNORE, IMAGES, NAMES, Description, Fields, Positions, positions
from geopretrain.data.fingerprint import digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource
from geopretrain.data.labelled.detect import open_labelled_source
from geopretrain.data.labelled.object_checks import ObjectCounts, checked_objects
from geopretrain.data.labelled.rows import OBJECTS, ObjectFiles, RowFormat, resized
from geopretrain.data.sizes import working_size
from geopretrain.errors import ConfigError, DataError, RunFolderError
from geopretrain.schema import as_path, parse_size

LABELS, IMAGE_LABELS = Fields(names=("labels",)), Fields(names=("image_labels",))
BOXES = Fields(names=("boxes",))
CACHE_VERSION = 3  # since 2, palettes are read by the colours of a list; since 3, transparency is of no class
OBJECTS_VERSION = 4
"""Of the files of boxes and masks."""
MAX_THREADS = 8  # that decode image files in the first pass
MAX_ERRORS = 10
"""Files that cannot be used, after which the first pass stops looking for more."""
MAX_NAMED = 5
"""Files left out that are named."""
_PER_TURN = 64  # images between two looks at errors and interruptions


class LabelledSet:
    """Splits of images with labels, all brought to one size.

    What has been read is kept in the user's cache folder, so that later epochs and later runs only copy
    bytes; in memory there is never more than a batch. The cache belongs to the files (place, names,
    lengths, times) and the size: it is made anew where one of them changes.

    Attributes:
        path: what was opened.
        source: its reader.
        class_names: name of each class.
        class_colours: ``K 3`` uint8, for pictures.
        size: (height, width) of all images handed out, px.
        counts: number of images in each split.
    """

    def __init__(
        self, source: LabelledSource, size: tuple[int, int] | None = None, *, path: str = ""
    ) -> None:
        """Wrap a reader; None chooses a ``size`` near the aspect of the images, see `working_size`."""
        self.source, self.path = source, path or source.kind
        self.class_names: tuple[str, ...] = source.class_names
        self.class_colours: NDArray[np.uint8] = source.class_colours
        self.size = working_size(source.original_size(), size)
        self.counts: dict[str, int] = dict(source.counts)
        self._format = RowFormat(self.size, source.fields)

    @classmethod
    def open(
        cls, spec: str | Path, size: tuple[int, int] | None = None, names: Sequence[str] = LABELS.names
    ) -> LabelledSet:
        """Open labelled images of any known layout.

        Args:
            spec: what the user named.
            size: (height, width) to work at, px.
            names: fields that the images are opened for, such as boxes and masks.

        Raises:
            DataError: nothing usable is there; the message says what was expected.
            ConfigError: an impossible ``size``, or an unknown option of a synthetic set.
        """
        as_path(spec, "data")
        return cls(open_labelled_source(str(spec), names), parse_size(size), path=str(spec))

    @property
    def num_classes(self) -> int:
        """Number of classes, without the ignored label 255."""
        return len(self.class_names)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def splits(self, fields: Fields = IMAGES) -> dict[str, NDArray[np.int64]]:
        """Return the positions of the images of each split.

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
        """Read images (``B 3 H W`` uint8) and the fields asked for, see `LabelledBatch`.

        Raises:
            ConfigError: a position does not exist.
            DataError: a file is unreadable, image and labels do not fit together, a label holds an id outside
                the class list, or the images have no such field.
            RunFolderError: the cache cannot be written.
        """
        self._refuse(fields)
        rows = positions(indices, len(self))
        found = self._format.unpack(self._cache.read(rows, self._make_row))
        known: dict[str, Any] = {}
        for name, kind in (("labels", np.int64), ("image_labels", np.int64), ("depth", np.float32)):
            if name in fields.names:
                known[name] = torch.from_numpy(found[name].astype(kind))
        if any(name in fields.names for name in OBJECTS):
            known |= self._objects_of(rows, fields)
        labels = known.pop("labels", None)
        return LabelledBatch(torch.from_numpy(found["images"]), labels, torch.from_numpy(rows), **known)

    def check(self, indices: Positions, fields: Fields = LABELS) -> None:
        """Read the images once, with progress, so that what is wrong is said before anything is trained.

        What is read is kept: an interrupted pass goes on where it was.

        Raises:
            DataError: some files cannot be used; the first of them is named.
            RunFolderError: the cache cannot be written.
        """
        errors = self._read_missing(indices, fields, MAX_ERRORS)
        if errors:
            raise _together(list(errors.values()))

    def usable(self, indices: Positions, fields: Fields = LABELS) -> NDArray[np.int64]:
        """Return those of the images that can be read, reading them once as `check` does.

        The others are named to the user, and the exit code says that a part was left out.

        Raises:
            DataError: they have no such field.
            RunFolderError: the cache cannot be written.
        """
        wanted = positions(indices, len(self))
        errors = self.unusable(wanted, fields)
        if not errors:
            return wanted
        count = (
            "1 image cannot be used and is"
            if len(errors) == 1
            else f"{len(errors)} images cannot be used and are"
        )
        said = " ".join(str(error) for error in list(errors.values())[:MAX_NAMED])
        more = f" And {len(errors) - MAX_NAMED} more." if len(errors) > MAX_NAMED else ""
        console.warn_left_out(f"{self.path}: {count} left out. {said}{more}")
        return wanted[~np.isin(wanted, list(errors))]

    def unusable(self, indices: Positions, fields: Fields = LABELS) -> dict[int, DataError]:
        """Return what is wrong with those of the images that cannot be read, by position; nothing is said."""
        return self._read_missing(indices, fields, None)

    def _read_missing(self, indices: Positions, fields: Fields, most: int | None) -> dict[int, DataError]:
        """Read what is not in the cache; return what is wrong by position, at most about ``most`` of it."""
        self._refuse(fields)
        rows = self._cache.missing(np.unique(positions(indices, len(self))))
        errors: dict[int, DataError] = {}
        if not len(rows):
            return errors
        self._cache.check_space(len(rows))
        threads = 1 if self.source.rendered else min(MAX_THREADS, os.cpu_count() or 1)
        with (
            console.progress(f"{self.source.kind}: reading", len(rows), unit="images") as line,
            ThreadPoolExecutor(threads) as pool,
        ):
            for first in range(0, len(rows), _PER_TURN):
                turn = rows[first : first + _PER_TURN].tolist()
                tried = zip(turn, pool.map(self._try_row, turn), strict=True)
                errors |= {row: error for row, error in tried if error is not None}
                line.advance(len(turn))
                if most is not None and len(errors) >= most:
                    break
        return errors

    def image_classes(self, indices: Positions) -> NDArray[np.int64]:
        """Return the class of each image; they are read only where that is not known without."""
        self._refuse(IMAGE_LABELS)
        rows, start = positions(indices, len(self)), 0
        found = np.empty(len(rows), np.int64)
        for split, count in self.counts.items():
            inside = (rows >= start) & (rows < start + count)
            known = self.source.image_classes(split)
            if known is None:
                found[inside] = [self._class_read(row) for row in rows[inside].tolist()]
            else:
                found[inside] = known[rows[inside] - start]
            start += count
        return found

    def class_pixels(self, indices: Positions) -> NDArray[np.int64]:
        """Return how many pixels of each image are of each class, ``N K+1``; the last: of none (255)."""
        return self._counted(indices)[:, 1:]

    def unnamed(self, index: int) -> set[str]:
        """Return what is ignored in the labels of an image although the class list does not say so."""
        return self.source.unnamed(*self._place(index))

    def picture_digests(self, indices: Positions) -> NDArray[np.int64]:
        """Return a checksum of each image without its labels, ``N``."""
        return self._counted(indices, IMAGES)[:, 0]

    def object_counts(self, indices: Positions) -> ObjectCounts:
        """Return which objects the images have, without their masks; for images that have been read."""
        self._refuse(BOXES)
        return ObjectCounts.of([self._objects_in(int(row)) for row in positions(indices, len(self))])

    def names(self, indices: Positions) -> list[str]:
        """Return the file name of each image within the data set."""
        return [self.source.name(*self._place(int(index))) for index in positions(indices, len(self))]

    def original(self, index: int) -> LabelledImage:
        """Return an image with what is known of it, as large as they are (raises as `read`)."""
        return self.source.read(*self._place(index), self.size)

    def original_images(self, indices: Positions) -> list[NDArray[np.uint8]]:
        """Return images ``H W 3`` uint8 as large as they are (raises as `read`)."""
        return [self.original(int(index)).image for index in positions(indices, len(self))]

    @property
    def labelled_by_hand(self) -> int:
        """Number of training images without those that labels were propagated to, which are the last."""
        return self.counts.get("train", 0) - len(self.source.propagated_from)

    def with_propagated(self, chosen: Sequence[int]) -> list[int]:
        """Return training images labelled by hand and those that their labels were propagated to.

        Args:
            chosen: numbers in the train split.
        """
        first, wanted = self.labelled_by_hand, set(chosen)
        frames = [first + k for k, source in enumerate(self.source.propagated_from) if source in wanted]
        return [*chosen, *(frame for frame in frames if frame not in wanted)]

    def describe(self) -> Description:
        """Return what it is."""
        return Description(
            kind=self.source.kind,
            path=self.path,
            size=self.size,
            counts=self.counts,
            fields=self.source.fields,
            class_names=self.class_names,
            class_colours=tuple((int(r), int(g), int(b)) for r, g, b in self.class_colours),
            sentences=self.source.warnings,
        )

    def tell(self) -> None:
        """Say what the reader has assumed, missed and left out, where it has."""
        if self.source.warnings:
            console.say(f"{self.path}: {self.describe().in_words(remarks=True)}.")

    def fingerprint(self, fields: Fields = LABELS) -> str:
        """Return 16 hexadecimal digits for classes, names and lengths of files, and the content of some."""
        return self.source.fingerprint()

    def rows_beside(self, name: str, row_bytes: int) -> RowCache:
        """Return a place for a row of so many bytes for each image, kept as long as the images are."""
        return RowCache(self._folder / name, len(self), row_bytes)

    @property
    def _has_objects(self) -> bool:
        return any(name in self.source.fields for name in OBJECTS)

    @cached_property
    def _cache(self) -> RowCache:
        return RowCache(self._folder, len(self), self._format.row_bytes)

    @cached_property
    def _counts(self) -> RowCache:
        return RowCache(self._folder / "counts", len(self), 4 * (self.num_classes + 2))

    @cached_property
    def _objects(self) -> ObjectFiles:
        return ObjectFiles(self._folder / "objects")

    @cached_property
    def _folder(self) -> Path:
        key = [CACHE_VERSION, self.source.unread(), self.source.fields, list(self.size), self.counts]
        key += [OBJECTS_VERSION, list(self.class_names)] if self._has_objects else []
        return cache_folder("images", digest(key))

    def _place(self, position: int) -> tuple[str, int]:
        """Return the split of a position, and the place in it."""
        for split, count in self.counts.items():
            if position < count:
                return split, position
            position -= count
        raise ConfigError(f"There are only {len(self)} samples.")

    def _refuse(self, fields: Fields) -> None:
        if not fields.alone:
            raise DataError(f"{self.path} holds single images, so there are no {fields.in_words()}.")
        for name in fields.names:
            if name not in self.source.fields:
                has = " and ".join(NAMES[field] for field in self.source.fields) or "images alone"
                why = f": {self.source.absent[name]}" if name in self.source.absent else ""
                raise DataError(f"{self.path} holds no {NAMES[name]}, but {has}{why}.")

    def _make_row(self, row: int) -> NDArray[np.uint8]:
        """Read and resize an image; objects are kept in a file of their own."""
        sample = self.source.read(*self._place(row), self.size)
        if not self._has_objects:
            return self._format.pack(resized(sample, self.size))
        sample, dropped = checked_objects(
            sample, self.size, self.names([row])[0], self.num_classes, masks="masks" in self.source.fields
        )
        sample = resized(sample, self.size)
        self._objects.write(row, sample, dropped)
        return self._format.pack(sample)

    def _class_read(self, row: int) -> int:
        return int(self._format.unpack(self._cache.read(np.array([row]), self._make_row))["image_labels"][0])

    def _counted(self, indices: Positions, fields: Fields = LABELS) -> NDArray[np.int64]:
        """Return checksum and counts of each image, from rows that are there; kept like these."""
        self._refuse(fields)
        rows = self._counts.read(positions(indices, len(self)), self._count_row)
        return rows.view("<u4").astype(np.int64)

    def _count_row(self, row: int) -> NDArray[np.uint8]:
        found = self._format.unpack(self._cache.read(np.array([row]), self._make_row))
        labels = found.get("labels", np.zeros(0, np.uint8))  # without class maps no pixel is of any class
        pixels = np.bincount(labels.ravel(), minlength=max(IGNORE, self.num_classes) + 1)
        image = zlib.crc32(found["images"].tobytes())
        return np.array([image, *pixels[: self.num_classes], pixels[IGNORE]], "<u4").view(np.uint8)

    def _try_row(self, row: int) -> DataError | None:
        try:
            self._cache.make(row, self._make_row)
        except DataError as error:
            return error
        return None

    def _objects_of(self, rows: NDArray[np.int64], fields: Fields) -> dict[str, tuple[torch.Tensor, ...]]:
        names = ("boxes", "box_labels", "box_crowd", *(["masks"] if "masks" in fields.names else []))
        found = [self._objects_in(int(row), masks="masks" in fields.names) for row in rows]
        return {name: tuple(torch.from_numpy(each[name]) for each in found) for name in names}

    def _objects_in(self, row: int, masks: bool = False) -> dict[str, np.ndarray]:
        """Return the objects of an image; a file that is missing or damaged is made again."""
        found = self._objects.read(row, masks)
        if found is None:
            self._cache.make(row, self._make_row)
            found = self._objects.read(row, masks)
        if found is None:  # written this moment
            raise RunFolderError(f"The cache in {self._objects.folder} cannot be read. Remove it.")
        return found


def _together(errors: Sequence[DataError]) -> DataError:
    """Return one error for several files."""
    if len(errors) == 1:
        return errors[0]
    most = " or more" if len(errors) >= MAX_ERRORS else ""
    return DataError(f"{len(errors)}{most} images cannot be used. The first: {errors[0]}")
