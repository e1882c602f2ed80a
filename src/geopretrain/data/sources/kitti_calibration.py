"""KITTI's calibration files: named lines of numbers, and the cameras in their projection matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.errors import DataError


def read_calibration(path: Path) -> dict[str, np.ndarray]:
    """Return the numeric lines ``name: numbers`` of a file (DataError where it is missing)."""
    if not path.is_file():
        raise DataError(
            f"{path} is missing. KITTI keeps it beside the drives: copy the calibration of that day there."
        )
    lines = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
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
