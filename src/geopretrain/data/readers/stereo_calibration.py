"""The ``calib.txt`` of a rectified stereo pair, in the three spellings in use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geopretrain.data.readers.kitti_calibration import calibrated_size, camera_of, matrix, read_calibration
from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError

EXPECTED = (
    "Expected one of: lines fx, fy, cx, cy and baseline (m), such as 'fx: 721.5'; KITTI's P0 and P1 (or P2 "
    "and P3); Middlebury's cam0=[...], cam1=[...], doffs and baseline (mm)"
)
_KITTI_PAIRS = (("P_rect_02", "P_rect_03"), ("P2", "P3"), ("P0", "P1"))
_NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"


@dataclass(frozen=True)
class StereoCalibration:
    """Intrinsics ``3 3`` (px) of both cameras, the baseline (m), and the size they are of.

    Attributes:
        intrinsics, right_intrinsics: None where the focal length is not known.
        baseline: m.
        size: (height, width) px of the pictures that were calibrated, None where that is not said.
    """

    intrinsics: np.ndarray | None
    right_intrinsics: np.ndarray | None
    baseline: float
    size: tuple[int, int] | None = None

    @property
    def offset(self) -> float:
        """Principal point of the right minus that of the left camera, px (Middlebury's doffs)."""
        if self.intrinsics is None or self.right_intrinsics is None:
            return 0.0
        return float(self.right_intrinsics[0, 2] - self.intrinsics[0, 2])


def read_stereo_calibration(path: Path) -> StereoCalibration:
    """Read a calibration in any of the three spellings.

    Raises:
        DataError: missing, or of no known spelling; the message says what was expected.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing. {EXPECTED}.")
    text = read_text(path, "replace")
    if "cam0" in text:
        return _middlebury(text, path)
    lines = read_calibration(path)
    for left, right in _KITTI_PAIRS:
        if left in lines and right in lines:
            return _kitti(lines, left, right, path)
    return _named(text, path)


def _middlebury(text: str, path: Path) -> StereoCalibration:
    """Read ``cam0=[f 0 cx; 0 f cy; 0 0 1]``; the baseline is in mm."""
    cameras = [re.search(name + r"\s*=\s*\[([^\]]*)\]", text) for name in ("cam0", "cam1")]
    baseline = re.search(r"^\s*baseline\s*=\s*" + _NUMBER, text, re.MULTILINE)
    if baseline is None or None in cameras:
        raise DataError(f"{path} lacks cam0, cam1 or baseline. {EXPECTED}.")
    try:
        left, right = (
            np.array([float(v) for v in found[1].replace(";", " ").split()]).reshape(3, 3)
            for found in cameras
            if found is not None
        )
    except ValueError as error:
        raise DataError(f"{path}: cam0 and cam1 must hold nine numbers each.") from error
    return StereoCalibration(left, right, float(baseline[1]) / 1000, _size(text))


def _kitti(lines: dict[str, np.ndarray], left: str, right: str, path: Path) -> StereoCalibration:
    intrinsics, to_left = camera_of(matrix(lines, left, (3, 4), path))
    right_camera, to_right = camera_of(matrix(lines, right, (3, 4), path))
    size = calibrated_size(lines, left[-2:], intrinsics)
    return StereoCalibration(intrinsics, right_camera, float(to_left[0, 3] - to_right[0, 3]), size)


def _named(text: str, path: Path) -> StereoCalibration:
    """Read ``name: number`` (or ``name = number``) lines; doffs is optional."""
    found = dict(re.findall(r"^\s*(\w+)\s*[:=]\s*" + _NUMBER + r"\s*$", text, re.MULTILINE))
    values = {name.lower(): float(value) for name, value in found.items()}
    missing = [name for name in ("fx", "fy", "cx", "cy", "baseline") if name not in values]
    if missing:
        raise DataError(f"{path} does not say {', '.join(missing)}. {EXPECTED}.")
    intrinsics = np.array([[values["fx"], 0, values["cx"]], [0, values["fy"], values["cy"]], [0, 0, 1.0]])
    right = intrinsics.copy()
    right[0, 2] += values.get("doffs", 0.0)
    return StereoCalibration(intrinsics, right, values["baseline"], _size(text))


def _size(text: str) -> tuple[int, int] | None:
    """Return the (height, width) of ``width=...`` and ``height=...`` lines, None where one is missing."""
    sides = [re.search(rf"^\s*{name}\s*[:=]\s*(\d+)", text, re.MULTILINE) for name in ("height", "width")]
    height, width = (int(side[1]) if side else 0 for side in sides)
    return (height, width) if height and width else None
