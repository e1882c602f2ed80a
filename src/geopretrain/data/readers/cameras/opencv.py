"""Calibrations of one camera as OpenCV (YAML, XML), ROS (camera_info), Kalibr and EuRoC write them.

They name things differently; what is read is focal lengths and principal point (``camera_matrix``, ``K`` or
``intrinsics``), the coefficients of the distortion, its model and the size of the pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from geopretrain.data.readers.cameras.calibration import (
    ADVICE,
    Calibration,
    CameraFileError,
    pinhole_matrix,
)
from geopretrain.data.readers.cameras.lens import Lens, Size
from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError
from geopretrain.records import reason

_MATRIX = (
    "camera_matrix",
    "cameramatrix",
    "camera_matrix_left",
    "k",
    "m1",
    "intrinsics",
    "intrinsic_matrix",
    "mtx",
)
_BENDS = (
    "distortion_coefficients",
    "distortion_coeffs",
    "distortion_coefs",
    "dist_coeffs",
    "distcoeffs",
    "dist_coefs",
    "distortion",
    "d",
    "d1",
    "dist",
)
_WIDTHS, _HEIGHTS = ("image_width", "width", "imagewidth"), ("image_height", "height", "imageheight")
_SIZES = ("resolution", "image_size", "imagesize", "img_size")
_MODEL = ("distortion_model", "distortion_type", "camera_model")
_BROWN = {
    "plumb_bob",
    "rational_polynomial",
    "radtan",
    "radial-tangential",
    "brown",
    "pinhole",
    "opencv",
    "none",
}
_FISHEYES = {"equidistant", "fisheye", "equi", "kannala_brandt", "opencv_fisheye"}
_COUNTS = (0, 2, 4, 5, 8, 12, 14)


def read_opencv(path: Path) -> Calibration | None:
    """Read a calibration file; None where a file that can be read holds no camera.

    Raises:
        CameraFileError: damaged, or of a lens that is not known.
    """
    values = _xml(path) if path.suffix.lower() == ".xml" else _yaml(path)
    found = _camera_in(values)
    if found is None:
        return None
    matrix = _matrix(_named(found, _MATRIX), path)
    fisheye = _is_fisheye(found, path)
    return Calibration(path, [Lens(matrix, _coefficients(found, fisheye, path), fisheye, _size(found, path))])


def _yaml(path: Path) -> Any:
    """Return a YAML file as plain values; OpenCV's first line and tags are none of YAML's."""
    try:
        text = read_text(path)
        text = re.sub(r"\A\s*%YAML[^\n]*\n", "", text)
        return yaml.safe_load(re.sub(r"!!opencv-[\w-]+", "", text))
    except DataError as error:
        raise CameraFileError(f"{error} {ADVICE}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CameraFileError(f"{path} cannot be read as YAML ({reason(error)}). {ADVICE}") from error


def _xml(path: Path) -> Any:
    """Return what OpenCV's own reader finds in an XML file, as plain values."""
    import cv2

    if not read_text(path, "replace").strip():
        raise CameraFileError(f"{path} is empty. {ADVICE}")
    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        root = storage.root()
        return {name: _node(root.getNode(name)) for name in root.keys()}  # noqa: SIM118 (no mapping)
    except (cv2.error, SystemError) as error:
        raise CameraFileError(
            f"{path} cannot be read as XML of OpenCV ({reason(error)}). {ADVICE}"
        ) from error


def _node(node: Any) -> Any:
    if node.isMap() and (matrix := node.mat()) is not None:
        return {"data": matrix.ravel().tolist()}
    if node.isSeq():
        return [_node(node.at(i)) for i in range(node.size())]
    if node.isString():
        return node.string()
    return node.real() if node.isReal() or node.isInt() else None


def _camera_in(values: Any) -> Mapping[str, Any] | None:
    """Return the mapping that holds a camera, at the top or one level below, with names in lower case."""
    if not isinstance(values, Mapping):
        return None
    for candidate in (values, *values.values()):
        if isinstance(candidate, Mapping):
            named = {str(name).lower(): value for name, value in candidate.items()}
            matrix, more = _named(named, _MATRIX), _named(named, (*_BENDS, *_WIDTHS, *_SIZES))
            if isinstance(matrix, (Mapping, list)) and more is not None:
                return named
    return None


def _named(values: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _numbers(value: Any, what: str, path: Path) -> list[float]:
    """Return a list, list of lists, or OpenCV's and ROS's ``{rows, cols, data}`` as a list of numbers."""
    data = value.get("data") if isinstance(value, Mapping) else value
    try:
        numbers = np.asarray(data, dtype=np.float64).ravel().tolist()
    except (TypeError, ValueError):
        numbers = [float("nan")]
    if not np.isfinite(numbers).all():
        raise CameraFileError(f"{path}: {what} must hold finite numbers. {ADVICE}")
    return numbers


def _matrix(value: Any, path: Path) -> np.ndarray:
    """Return ``3 3`` from nine numbers, or from fx fy cx cy."""
    numbers = _numbers(value, "the camera matrix", path)
    if len(numbers) == 4:
        return pinhole_matrix(*numbers, where=path)
    if len(numbers) != 9:
        raise CameraFileError(
            f"{path}: the camera matrix holds {len(numbers)} numbers; 9 were expected. {ADVICE}"
        )
    return pinhole_matrix(numbers[0], numbers[4], numbers[2], numbers[5], where=path)


def _coefficients(found: Mapping[str, Any], fisheye: bool, path: Path) -> tuple[float, ...]:
    value = _named(found, _BENDS)
    numbers = [] if value is None else _numbers(value, "the distortion", path)
    if len(numbers) not in ((4,) if fisheye else _COUNTS):
        expected = "4 (of a fisheye lens)" if fisheye else ", ".join(str(count) for count in _COUNTS)
        raise CameraFileError(
            f"{path}: the distortion holds {len(numbers)} coefficients; expected: {expected}. {ADVICE}"
        )
    padded = [*numbers, *[0.0] * (4 - len(numbers))] if numbers else []
    return tuple(padded) if fisheye or any(padded) else ()


def _is_fisheye(found: Mapping[str, Any], path: Path) -> bool:
    flag = found.get("fisheye_model")
    if flag is not None:
        return bool(flag)
    names = [str(found[name]).lower() for name in _MODEL if isinstance(found.get(name), str)]
    unknown = [name for name in names if name and name not in _BROWN | _FISHEYES]
    if unknown:
        raise CameraFileError(
            f"{path} is of the lens model {unknown[0]}, which cannot be undone here (known: "
            f"{', '.join(sorted(_BROWN | _FISHEYES))}). Undistort the pictures first, or calibrate with one "
            "of these."
        )
    return any(name in _FISHEYES for name in names)


def _size(found: Mapping[str, Any], path: Path) -> Size | None:
    pair = _named(found, _SIZES)
    if pair is not None:
        numbers = _numbers(pair, "the size of the pictures", path)
        width, height = numbers if len(numbers) == 2 else (0.0, 0.0)
    else:
        sides = _named(found, _WIDTHS), _named(found, _HEIGHTS)
        if None in sides:
            return None
        width, height = (_numbers(side, "the size of the pictures", path)[0] for side in sides)
    if min(width, height) < 1:
        raise CameraFileError(
            f"{path}: the size of the pictures must be a width and a height in px. {ADVICE}"
        )
    return round(height), round(width)
