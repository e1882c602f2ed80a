"""NYU Depth v2's labelled pictures: ``nyu_depth_v2_labeled.mat`` (MATLAB 7.3, which is HDF5).

MATLAB's axes come in reverse order: ``images`` N 3 W H, ``depths``, ``rawDepths`` (m) and ``labels`` N W H,
where 0 is unlabelled. Beside it ``splits.mat`` (``trainNdxs``, ``testNdxs``, from 1: 795 and 654)
and ``classMapping40.mat`` (``mapClass``, ``className``), which groups the 894 names into 40 classes (Gupta et
al., CVPR 2013); 13 classes are groups of these (Couprie et al., 2013).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.dataset import IGNORE
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import SPLITS, LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.readers.mat import (
    AGAIN,
    NYU_FILE,
    NYU_SPLITS,
    nyu_depth,
    nyu_file,
    nyu_image,
    nyu_shape,
    nyu_splits,
    opened,
    read_mat,
)
from geopretrain.data.spec import one_of_these, place_of
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette

MAPPING_FILE = "classMapping40.mat"
DEPTHS = {"filled": "depths", "raw": "rawDepths"}
NAMES_13 = (
    *("bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv"),
    *("wall", "window"),
)
TO_13 = (
    *(0, 12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5, 7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7),
    *(6, 7, 7, 7, 7, 7, 7, 6, 7),
)
"""Class from 1 to 13 of each of the 40 from 1 on; 0 is none."""


class NyuLabelled(LabelledSource):
    """The labelled pictures, each read from the file when it is asked for."""

    kind = "NYU Depth v2, labelled"

    def __init__(self, spec: str) -> None:
        """Look what is there; ``PATH?classes=13`` and ``PATH?depth=raw`` choose.

        Raises:
            DataError: a file is damaged, or the split names pictures that are not in it.
            ConfigError: an option with another value, or the extra is not installed.
        """
        place = place_of(spec)
        self.file = nyu_file(place) or place / NYU_FILE
        classes = one_of_these(spec, "classes", ("13", "40")) or "40"
        self._depths = DEPTHS[one_of_these(spec, "depth", DEPTHS) or "filled"]
        with opened(self.file) as content:
            self._shape = nyu_shape(content, self._depths, self.file)
        self.images, self.warnings = self._splits()
        self.counts = {split: len(self.images[split]) for split in SPLITS}
        mapping = self.file.with_name(MAPPING_FILE)
        self._files = [self.file, *(f for f in (self.file.with_name(NYU_SPLITS), mapping) if f.is_file())]
        if mapping.is_file():
            self.fields = ("labels", "depth")
            self.class_names, self._table = read_mapping(mapping, int(classes))
            self.class_colours = class_palette(len(self.class_names))
        else:
            self.fields = ("depth",)
            self.absent = {
                "labels": f"{MAPPING_FILE}, which groups its 894 names into 40 classes, is not beside it"
            }

    def name(self, split: str, index: int) -> str:
        """Return the number of the picture, from 0."""
        return f"{self.file.name}/{self.images[split][index]:04d}"

    def original_size(self) -> tuple[int, int]:
        """Return (height, width), px."""
        return self._shape[1:]

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Read a picture, its depth and, where they can be grouped, its classes."""
        number = self.images[split][index]
        with opened(self.file) as content:
            image, depth = nyu_image(content, number), nyu_depth(content, self._depths, number)
            labels = content["labels"][number].T.astype(np.int64) if "labels" in self.fields else None
        return LabelledImage(image, None if labels is None else self._grouped(labels, number), depth)

    def unread(self) -> object:
        """Return names, lengths and times of the files, and what was chosen."""
        return [self._depths, list(self.class_names), unread_files(self.file.parent, self._files)]

    def fingerprint(self) -> str:
        """Return a digest of what was chosen and of the files."""
        chosen = [self._depths, list(self.class_names), self.images]
        return digest_files(Digest().add(chosen), self.file.parent, self._files).hex()

    def _grouped(self, labels: np.ndarray, number: int) -> np.ndarray:
        if (largest := int(labels.max())) >= len(self._table):
            raise DataError(
                f"{self.file}: picture {number} has the class {largest}, but {MAPPING_FILE} groups "
                f"{len(self._table) - 1}."
            )
        return np.asarray(self._table[labels], np.uint8)

    def _splits(self) -> tuple[dict[str, list[int]], tuple[str, ...]]:
        parts = nyu_splits(self.file, self._shape[0])
        found, said = with_all_splits(parts, self.file)
        if "all" in parts:
            said += (f"not the official split: {NYU_SPLITS} is not beside {self.file.name}",)
        return found, said


def read_mapping(file: Path, classes: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of 40 or 13 classes, and the class of each of the 894 from 0 on, 255 = none."""
    content = read_mat(file)
    try:
        of_40 = np.asarray(content["mapClass"], np.int64).reshape(-1)
        names = tuple(str(name) for name in content["className"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} holds no mapClass and className. {AGAIN}") from error
    if len(names) != 40 or of_40.min() < 0 or of_40.max() > 40:
        raise DataError(f"{file} must group names into 40 classes. {AGAIN}")
    numbers = np.concatenate([[0], of_40])
    if classes == 13:
        numbers, names = np.array(TO_13)[numbers], NAMES_13
    return names, np.where(numbers > 0, numbers - 1, IGNORE)
