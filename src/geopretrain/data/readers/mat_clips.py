"""Pictures in files of MATLAB as frames with depth: NYU Depth v2's labelled ones, and iBims-1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.data.readers.base import Frame, SourceClip
from geopretrain.data.readers.depth_folder import NYU_INTRINSICS, NYU_SIZE
from geopretrain.data.readers.mat import (
    AGAIN,
    nyu_depth,
    nyu_file,
    nyu_image,
    nyu_shape,
    nyu_splits,
    opened,
    read_mat,
)
from geopretrain.data.structure import Plane, Structure, ibims_normal
from geopretrain.errors import DataError

NYU_DEPTHS = "depths"
IBIMS_FOLDER = "ibims1_core_mat"
IBIMS_PLANES = ("floor", "wall", "table")
_NORMAL = slice(4, 7)  # columns of the parameters of a plane


class _Pictures(SourceClip):
    """Single pictures, read one at a time."""

    ordered = False

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the pictures; one that cannot be read comes with ``error`` set."""
        for index in range(start, self.length or 0):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """Return one picture."""
        try:
            return Frame(index, self.frame_name(index), self.image(index))
        except DataError as error:
            return Frame(index, self.frame_name(index), None, str(error))

    def frame_name(self, index: int) -> str:
        """Return what the user knows a picture by."""
        raise NotImplementedError

    def image(self, index: int) -> np.ndarray:
        """Return a picture, ``H W 3`` uint8 (DataError)."""
        raise NotImplementedError


class NyuLabelledClip(_Pictures):
    """The labelled pictures of one split of NYU Depth v2, with depth whose holes are filled in."""

    kind = "nyuv2"
    title = "the labelled pictures of NYU Depth v2"

    def __init__(self, file: Path, name: str, numbers: list[int], size: tuple[int, int]) -> None:
        super().__init__(name, str(file), size, length=len(numbers))
        self.file, self.numbers = file, numbers
        self.has_depth, self.depth_protocol = True, "dense"
        if size == NYU_SIZE:
            self.calibrated_size, self.intrinsics = size, NYU_INTRINSICS

    def frame_name(self, index: int) -> str:
        """Return the number of a picture in the file, from 0."""
        return f"{self.numbers[index]:04d}"

    def image(self, index: int) -> np.ndarray:
        """Return a picture."""
        with opened(self.file) as content:
            return nyu_image(content, self.numbers[index])

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth of a picture, m."""
        with opened(self.file) as content:
            return nyu_depth(content, NYU_DEPTHS, self.numbers[index])


def open_nyu_labelled(path: Path) -> list[SourceClip]:
    """Return a clip for each split of NYU Depth v2's labelled file, none without it (DataError)."""
    file = nyu_file(path)
    if file is None:
        return []
    with opened(file) as content:
        count, height, width = nyu_shape(content, NYU_DEPTHS, file)
    splits = nyu_splits(file, count)
    return [NyuLabelledClip(file, f"nyuv2/{name}", rows, (height, width)) for name, rows in splits.items()]


class Ibims(_Pictures):
    """iBims-1: indoor pictures with exact depth, depth boundaries and planes (Koch et al., ECCVW 2018).

    Depth counts where the data set's two masks (transparent, invalid) are 1, as in its script.
    """

    kind = "ibims1"
    title = "iBims-1"

    def __init__(self, folder: Path, files: list[Path]) -> None:
        self.files = files
        first = self._content(0)
        super().__init__("ibims1", str(folder), _shape(first["rgb"], files[0]), length=len(files))
        self.has_depth, self.depth_protocol = True, "dense"
        self.calibrated_size, self.intrinsics = self.size, _camera(first["calib"])

    def frame_name(self, index: int) -> str:
        """Return the name of a picture."""
        return self.files[index].stem

    def image(self, index: int) -> np.ndarray:
        """Return a picture."""
        return np.asarray(self._content(index)["rgb"], np.uint8)

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth of a picture, m."""
        content = self._content(index)
        valid = np.asarray(content["mask_transp"], bool) & np.asarray(content["mask_invalid"], bool)
        return np.where(valid, np.nan_to_num(np.asarray(content["depth"], np.float32)), np.float32(0))

    def structure(self, index: int) -> Structure | None:
        """Return depth boundaries and planes of a picture; each has a camera of its own."""
        content = self._content(index)
        planes = [plane for kind in IBIMS_PLANES for plane in _planes(content, kind)]
        return Structure(np.asarray(content["edges"]), planes, _camera(content["calib"]))

    def _content(self, index: int) -> Any:
        file = self.files[index]
        content = read_mat(file).get("data")
        known = content if isinstance(content, dict) else {}
        if missing := [name for name in _IBIMS_PARTS if name not in known]:
            raise DataError(f"{file} is no file of iBims-1: it holds no {missing[0]}. {AGAIN}")
        return content


_IBIMS_PARTS = ("rgb", "depth", "calib", "edges", "mask_transp", "mask_invalid")


def open_ibims(path: Path) -> list[SourceClip]:
    """Return iBims-1 as one clip, none where it is not there.

    Raises:
        DataError: the first file cannot be read.
    """
    folder = path if path.name == IBIMS_FOLDER else path / IBIMS_FOLDER
    files = sorted(folder.glob("*.mat"))
    return [Ibims(folder, files)] if files else []


def _planes(content: Any, kind: str) -> Iterator[Plane]:
    """Yield the planes of a kind: their number in the mask is the row of their parameters, from 1."""
    mask = np.asarray(content.get(f"mask_{kind}", 0))
    parameters = np.atleast_2d(np.asarray(content.get(f"mask_{kind}_paras", np.zeros((0, 8))), np.float64))
    for number in range(1, int(mask.max(initial=0)) + 1 if mask.ndim == 2 else 1):
        known = number <= len(parameters) and parameters.shape[1] >= _NORMAL.stop
        normal = ibims_normal(parameters[number - 1, _NORMAL]) if known else None
        if (mask == number).any():
            yield Plane(kind, mask == number, normal)


def _camera(calibration: Any) -> np.ndarray:
    """Return ``3 3`` px of what is stored transposed, with pixels counted from 1."""
    return np.asarray(calibration, np.float64).T - [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def _shape(image: Any, file: Path) -> tuple[int, int]:
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3:
        raise DataError(f"{file} is no file of iBims-1: rgb is of shape {shape}. {AGAIN}")
    return shape[0], shape[1]
