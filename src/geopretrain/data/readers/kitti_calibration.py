"""KITTI's calibration files: named lines of numbers, and the cameras in their projection matrices."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError


def read_calibration(path: Path) -> dict[str, np.ndarray]:
    """Return the numeric lines ``name: numbers`` of a file (DataError where it is missing)."""
    if not path.is_file():
        raise DataError(
            f"{path} is missing. KITTI keeps it beside the drives: copy the calibration of that day there."
        )
    lines = {}
    for line in read_text(path, "replace").split("\n"):
        name, _, values = line.partition(":")
        try:
            lines[name.strip()] = np.array([float(v) for v in values.split()])
        except ValueError:
            continue  # calib_time is a date
    return lines


def matrix(calibration: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Return one named matrix of a calibration (DataError where it is missing or of another length)."""
    values = calibration.get(name)
    if values is None or values.size != np.prod(shape):
        raise DataError(
            f"{path} has no line '{name}:' with {np.prod(shape)} numbers. Use the calibration files of KITTI."
        )
    return values.reshape(shape)


def rigid(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Return ``4 4`` from a rotation ``3 3`` and a translation ``3``."""
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation, translation
    return motion


def camera_of(projection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split ``3 4`` P = K [I | t] into K (``3 3`` px) and ``4 4``, from rectified camera 0 into this."""
    intrinsics = projection[:, :3].copy()
    return intrinsics, rigid(np.eye(3), np.linalg.solve(intrinsics, projection[:, 3]))


# fx = fy, cx, cy of the left colour camera (P_rect_02) on each day, by (height, width) of its images
_DAYS = {
    (375, 1242): (721.5377, 609.5593, 172.8540),  # 2011_09_26
    (370, 1224): (707.0493, 604.0814, 180.5066),  # 2011_09_28
    (374, 1238): (718.3351, 600.3891, 181.5122),  # 2011_09_29
    (370, 1226): (707.0912, 601.8873, 183.1104),  # 2011_09_30
    (376, 1241): (718.8560, 607.1928, 185.2157),  # 2011_10_03
}


_DATES = dict(zip(("2011_09_26", "2011_09_28", "2011_09_29", "2011_09_30", "2011_10_03"), _DAYS, strict=True))


def released_size(folder: Path) -> tuple[int, int] | None:
    """Return the (height, width) of images of the KITTI day that a drive is named after, None without one."""
    named = re.findall(r"20\d\d_\d\d_\d\d", str(folder.absolute()))
    return next((_DATES[date] for date in reversed(named) if date in _DATES), None)


def size_of_camera(intrinsics: np.ndarray) -> tuple[int, int] | None:
    """Return the (height, width) of images of the KITTI day with this camera (``3 3`` px), or None."""
    for size, (focal, cx, cy) in _DAYS.items():
        if np.allclose((intrinsics[0, 0], intrinsics[0, 2], intrinsics[1, 2]), (focal, cx, cy), atol=0.01):
            return size
    return None


def calibrated_size(
    calibration: dict[str, np.ndarray], camera: str, intrinsics: np.ndarray
) -> tuple[int, int] | None:
    """Return the (height, width) px of rectified images: ``S_rect_02`` says it, else the day's camera."""
    size = calibration.get(f"S_rect_{camera}")
    if size is not None and size.size == 2 and (size >= 1).all():
        return round(float(size[1])), round(float(size[0]))
    return size_of_camera(intrinsics)


def camera_of_size(size: tuple[int, int]) -> np.ndarray | None:
    """Return ``3 3`` (px) of the KITTI day whose images have this (height, width), None for others."""
    if size not in _DAYS:
        return None
    focal, cx, cy = _DAYS[size]
    return np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
