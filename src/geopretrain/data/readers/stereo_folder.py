"""Rectified stereo: a plain ``left/`` and ``right/`` folder, and pairs in the layout of Middlebury 2014."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.readers.base import files_with, found_below
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.depth_maps import (
    DEPTH_SUFFIXES,
    KITTI_UNITS,
    MILLIMETRES,
    depth_from_disparity,
    read_depth,
    read_grey16,
    read_pfm,
)
from geopretrain.data.readers.folder import (
    ImageSequence,
    image_files,
    matched_by_name,
    motion_to_the_right,
    read_camera_file,
)
from geopretrain.data.readers.stereo_calibration import StereoCalibration, read_stereo_calibration
from geopretrain.errors import DataError


class _RectifiedPairs(ImageSequence):
    """Pairs with a calibration, whose disparities are in px of the pictures that were calibrated."""

    calibration: StereoCalibration

    def _use_calibration(self) -> np.ndarray | None:
        """Set the camera of the pictures, and return that of the right ones; None where it is not known."""
        left, right = self.calibration.intrinsics, self.calibration.right_intrinsics
        if left is None or right is None:
            return None
        resize = fit_to_pictures(self, left, self.calibration.size)
        if resize is None:
            return None
        self.intrinsics = resize @ left
        return resize @ right

    def depth_of(self, disparity: np.ndarray) -> np.ndarray:
        """Return depth (m) of a disparity map, whose values stay when somebody makes it smaller."""
        calibration = self.calibration
        assert calibration.intrinsics is not None
        focal = float(calibration.intrinsics[0, 0])
        return depth_from_disparity(disparity, focal, calibration.baseline, calibration.offset)


class StereoFolder(_RectifiedPairs):
    """``left/`` and ``right/`` with equal names, ``calib.txt`` or a baseline.

    ``depth/`` or ``disparity/`` is used where it is there; a disparity map is a ``.pfm`` (px) or a
    16-bit PNG (px x 256, 0 = unknown) of the left image.
    """

    kind = "stereo"
    title = "a folder of stereo pairs"

    def __init__(self, folder: Path, name: str, *, baseline: float | None, depth_unit: float | None) -> None:
        files = image_files(folder / "left")
        super().__init__(name, files, path=folder)
        self.depth_unit = depth_unit or MILLIMETRES
        self.calibration = _calibration(folder, baseline)
        right_camera = self._use_calibration()
        pairs = matched_by_name(files, image_files(folder / "right"), _without_side)
        if not pairs:
            raise DataError(
                f"{folder / 'right'} holds no right image of any frame in left/: {_example(folder)}. Give "
                "both images of a pair the same name."
            )
        self.add_stereo(pairs, motion_to_the_right(self.calibration.baseline), right_camera)
        self._add_maps(folder)

    def read_depth(self, file: Path) -> np.ndarray:
        """Return depth from ``depth/`` or from ``disparity/``."""
        if file.parent.name == "depth":
            return read_depth(file, self.depth_unit)
        disparity = read_pfm(file) if file.suffix.lower() == ".pfm" else read_grey16(file) / KITTI_UNITS
        return self.depth_of(disparity)

    def _add_maps(self, folder: Path) -> None:
        """Use ``depth/``, else ``disparity/`` where the focal length is known."""
        place = next((folder / n for n in ("depth", "disparity") if (folder / n).is_dir()), None)
        if place is None:
            return
        if place.name == "disparity" and self.calibration.intrinsics is None:
            self.warnings.append("disparity/ is not used: no focal length is known. Add a calib.txt.")
            return
        maps = files_with(place, DEPTH_SUFFIXES)
        self.add_depth(matched_by_name(self.files, maps, _without_side), "dense")


def _calibration(folder: Path, baseline: float | None) -> StereoCalibration:
    """Return the calibration of calib.txt, or with a given baseline (m) that of intrinsics.txt."""
    file = folder / "calib.txt"
    if file.is_file():
        read = read_stereo_calibration(file)
        return read if baseline is None else replace(read, baseline=baseline)
    if baseline is None:
        raise DataError(
            f"{folder} has left/ and right/ but no calib.txt: the baseline is not known. Add calib.txt (fx, "
            "fy, cx, cy in px and baseline in metres, one 'name: number' a line), or pass --baseline. To use "
            "one camera only, name left/ itself."
        )
    own, size = read_camera_file(folder / "intrinsics.txt")
    return StereoCalibration(own, own, baseline, size)


class MiddleburyPair(_RectifiedPairs):
    """One scene of Middlebury 2014: ``im0``, ``im1``, ``calib.txt`` and, where public, ``disp0.pfm``."""

    kind = "middlebury"
    title = "a Middlebury stereo pair"
    ordered = False

    def __init__(self, folder: Path, name: str) -> None:
        images = {file.stem: file for file in image_files(folder)}
        super().__init__(name, [images["im0"]], path=folder)
        self.calibration = read_stereo_calibration(folder / "calib.txt")
        right_camera = self._use_calibration()
        pairs = {0: images["im1"]} if "im1" in images else {}
        self.add_stereo(pairs, motion_to_the_right(self.calibration.baseline), right_camera)
        disparity = folder / "disp0.pfm"
        self.add_depth({0: disparity} if disparity.is_file() else {}, "dense")

    def read_depth(self, file: Path) -> np.ndarray:
        """Return f b / (disparity + doffs); infinite disparity is unknown."""
        return self.depth_of(read_pfm(file))


def find_stereo_folders(path: Path) -> list[Path]:
    """Return the folders with ``left/`` and ``right/`` at or one or two levels below, in natural order.

    Raises:
        DataError: a folder has ``left/`` with images and a ``right/`` without.
    """
    found = [left.parent for left in found_below(path, "left")]
    pairs = [f for f in found if (f / "right").is_dir() and image_files(f / "left")]
    for folder in pairs:
        if not image_files(folder / "right"):
            raise DataError(
                f"{folder / 'right'} holds no images; the right images of left/ were expected there."
            )
    return sorted(pairs, key=natural_key)


def find_middlebury(path: Path) -> list[Path]:
    """Return the scenes (``im0.*`` with ``calib.txt``) at or one or two levels below, in natural order."""
    found = {f.parent for f in found_below(path, "im0.*")}
    return sorted((f for f in found if (f / "calib.txt").is_file()), key=natural_key)


def _without_side(stem: str) -> str:
    """Return a name without the word for the side: ``left_01`` and ``right_01`` are a pair."""
    return re.sub(r"left|right|(?<=[_-])[lr](?![a-z])", "", stem.lower())


def _example(folder: Path) -> str:
    left, right = image_files(folder / "left")[0].name, image_files(folder / "right")[0].name
    return f"for example left/{left} and right/{right}"
