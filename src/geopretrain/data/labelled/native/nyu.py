"""NYU Depth v2's labelled pictures: ``nyu_depth_v2_labeled.mat`` (MATLAB 7.3, which is HDF5).

MATLAB's axes come in reverse order: ``images`` N 3 W H, ``depths``, ``rawDepths`` (m) and ``labels`` N W H,
where 0 is unlabelled. Beside it ``splits.mat`` (``trainNdxs``, ``testNdxs``, from 1: 795 and 654)
and ``classMapping40.mat`` (``mapClass``, ``className``), which groups the 894 names into 40 classes (Gupta et
al., CVPR 2013); 13 classes are groups of these (Couprie et al., 2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.data.dataset import IGNORE
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import SPLITS, LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.pairs import with_all_splits
from geopretrain.data.labelled.spec import one_of_these, place_of
from geopretrain.errors import DataError
from geopretrain.extras import require_extra
from geopretrain.pictures import class_palette

FILE, SPLIT_FILE, MAPPING_FILE = "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"
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
_AGAIN = "Copy it again from where it came from."


class NyuLabelled(LabelledSource):
    """The labelled pictures, each read from the file when it is asked for."""

    kind = "NYU Depth v2, labelled"

    def __init__(self, spec: str) -> None:
        """Look what is there; ``PATH?classes=13`` and ``PATH?depth=raw`` choose.

        Raises:
            DataError: a file is damaged, or the split names pictures that are not in it.
            ConfigError: an option with another value, or the extra is not installed.
        """
        require_extra("h5py", "datasets", "Files of MATLAB 7.3")
        self.file = mat_file(place_of(spec))
        classes = one_of_these(spec, "classes", ("13", "40")) or "40"
        self._depths = DEPTHS[one_of_these(spec, "depth", DEPTHS) or "filled"]
        with opened(self.file) as content:
            self._shape = _shape(content, self._depths, self.file)
        self.images, self.warnings = self._splits()
        self.counts = {split: len(self.images[split]) for split in SPLITS}
        mapping = self.file.with_name(MAPPING_FILE)
        self._files = [self.file, *(f for f in (self.file.with_name(SPLIT_FILE), mapping) if f.is_file())]
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
            image = np.ascontiguousarray(content["images"][number].transpose(2, 1, 0), np.uint8)
            depth = np.ascontiguousarray(content[self._depths][number].T, np.float32)
            labels = content["labels"][number].T.astype(np.int64) if "labels" in self.fields else None
        depth[~(np.isfinite(depth) & (depth > 0))] = 0
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
        count, file = self._shape[0], self.file.with_name(SPLIT_FILE)
        if not file.is_file():
            found, said = with_all_splits({"all": list(range(count))}, self.file)
            return found, (*said, f"not the official split: {SPLIT_FILE} is not beside {self.file.name}")
        content = read_mat(file)
        parts = {}
        for split, key in (("train", "trainNdxs"), ("test", "testNdxs")):
            if key not in content:
                raise DataError(f"{file} holds no {key}; the data set's splits.mat was expected.")
            numbers = np.asarray(content[key], np.int64).reshape(-1) - 1
            if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
                raise DataError(
                    f"{file}: {key} must be numbers from 1 to {count}, the pictures of {self.file.name}."
                )
            parts[split] = numbers.tolist()
        return with_all_splits(parts, self.file)


def mat_file(path: Path) -> Path:
    """Return the file of labelled pictures at or in a place, whether it is there or not."""
    return path / FILE if path.is_dir() else path


def has_labelled(path: Path) -> bool:
    """Return whether this is the file of labelled pictures, or the folder with it."""
    file = mat_file(path)
    return file.is_file() and file.suffix.lower() == ".mat" and not file.name.startswith("ibims")


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading (DataError where that cannot be, or a part cannot be read)."""
    import h5py

    try:
        with h5py.File(file, "r") as content:
            yield content
    except KeyError as error:
        raise DataError(f"{file} does not hold what {FILE} does ({error.args[0]}). {_AGAIN}") from error
    except OSError as error:
        said = str(error)
        what = (
            "is cut off" if "truncated" in said else "is no file of MATLAB 7.3" if "signature" in said else ""
        )
        raise DataError(f"{file} {what or f'cannot be read ({said[:120]})'}. {_AGAIN}") from error


def read_mat(file: Path) -> dict[str, Any]:
    """Return the content of a file of MATLAB 5 to 7.2 as plain values (DataError)."""
    from scipy.io import loadmat

    try:
        return dict(loadmat(file, simplify_cells=True))
    except Exception as error:  # scipy raises whatever it stumbles over in a damaged file
        raise DataError(f"{file} is no file of MATLAB that can be read ({error}). {_AGAIN}") from error


def read_mapping(file: Path, classes: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of 40 or 13 classes, and the class of each of the 894 from 0 on, 255 = none."""
    content = read_mat(file)
    try:
        of_40 = np.asarray(content["mapClass"], np.int64).reshape(-1)
        names = tuple(str(name) for name in content["className"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} holds no mapClass and className. {_AGAIN}") from error
    if len(names) != 40 or of_40.min() < 0 or of_40.max() > 40:
        raise DataError(f"{file} must group names into 40 classes. {_AGAIN}")
    numbers = np.concatenate([[0], of_40])
    if classes == 13:
        numbers, names = np.array(TO_13)[numbers], NAMES_13
    return names, np.where(numbers > 0, numbers - 1, IGNORE)


def _shape(content: Any, depths: str, file: Path) -> tuple[int, int, int]:
    """Return number, height and width of the pictures (DataError where the parts do not fit together)."""
    images, others = content["images"].shape, [content[name].shape for name in (depths, "labels")]
    if len(images) != 4 or images[1] != 3 or any(shape != (images[0], *images[2:]) for shape in others):
        shapes = ", ".join(str(shape) for shape in (images, *others))
        raise DataError(f"{file}: images, {depths} and labels do not fit together ({shapes}). {_AGAIN}")
    return images[0], images[3], images[2]
