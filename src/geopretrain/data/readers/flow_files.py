"""Optical flow on disk: Middlebury's ``.flo`` and KITTI's 16-bit PNG; always ``2 H W`` px (right, down)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.errors import DataError
from geopretrain.wording import in_px

_FLO_TAG = 202021.25
_UNKNOWN = 1e9  # px; larger values in a .flo mean: not valid


def read_flo(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return flow ``2 H W`` float32 px and valid ``H W`` bool of a ``.flo`` file.

    Raises:
        DataError: no such file, another format, or truncated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Flow {path} cannot be read ({error.strerror or error}).") from error
    if len(data) < 12 or np.frombuffer(data, "<f4", 1)[0] != np.float32(_FLO_TAG):
        raise DataError(f"Flow {path} is no .flo file: it does not begin with {_FLO_TAG}.")
    width, height = (int(n) for n in np.frombuffer(data, "<i4", 2, offset=4))
    needed = 12 + 8 * width * height
    if width < 1 or height < 1 or len(data) < needed:
        raise DataError(
            f"Flow {path} is truncated: {len(data)} bytes where {in_px((height, width))} need "
            f"{needed}. Copy it again."
        )
    values = np.frombuffer(data, "<f4", 2 * width * height, offset=12).reshape(height, width, 2)
    flow = np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)
    valid = np.asarray((np.abs(flow) < _UNKNOWN).all(axis=0))  # false for NaN too
    return np.where(valid, flow, np.float32(0)), valid


def read_kitti_flow(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return flow ``2 H W`` float32 px and valid ``H W`` bool of a KITTI flow PNG.

    The PNG has 16 bits and the channels u, v, valid; u = (value - 32768) / 64.

    Raises:
        DataError: unreadable, or not a PNG of three 16-bit channels.
    """
    import cv2

    data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None  # Pillow reduces it to 8 bits
    if values is None:
        raise DataError(f"Flow {path} cannot be read: it is missing, damaged or truncated.")
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint16:
        raise DataError(f"Flow {path} is not a PNG of three 16-bit channels (u, v, valid).")
    values = values[..., ::-1]  # OpenCV gives the channels backwards
    valid = values[..., 2] > 0
    flow = (values[..., :2].astype(np.float32) - 32768) / 64
    return np.where(valid, flow.transpose(2, 0, 1), np.float32(0)), valid


def read_flow(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return flow ``2 H W`` px and valid ``H W`` of a ``.flo`` or KITTI ``.png`` file (DataError)."""
    return read_kitti_flow(path) if path.suffix.lower() == ".png" else read_flo(path)
