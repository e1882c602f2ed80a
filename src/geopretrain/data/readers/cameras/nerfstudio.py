"""``transforms.json`` of nerfstudio and instant-ngp: cameras for the file or for each frame, and poses.

Pixels are counted from the corner of the first one, as in COLMAP, where these files come from. Poses are
camera to world with x right, y up, z backward (OpenGL); they are turned to y down, z forward here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geopretrain.data.readers.cameras.calibration import (
    ADVICE,
    Calibration,
    CameraFileError,
    NamedPicture,
    checked_pose,
    distinct,
    pinhole_matrix,
)
from geopretrain.data.readers.cameras.lens import Lens, Size
from geopretrain.records import Finite, Object, Positive, Text, as_type, mapping, read_json_text

_GL_TO_CV = np.diag([1.0, -1.0, -1.0, 1.0])
_BROWN = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE", "FULL_OPENCV"}
_FISHEYE = {"OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "FISHEYE"}


@dataclass(frozen=True)
class _Camera:
    """What the file, or a frame of it, says of a camera."""

    camera_model: Text | None = None
    is_fisheye: bool = False
    camera_angle_x: Positive | None = None
    camera_angle_y: Positive | None = None
    fl_x: Positive | None = None
    fl_y: Positive | None = None
    cx: Finite | None = None
    cy: Finite | None = None
    w: Positive | None = None
    h: Positive | None = None
    k1: Finite = 0.0
    k2: Finite = 0.0
    k3: Finite = 0.0
    k4: Finite = 0.0
    p1: Finite = 0.0
    p2: Finite = 0.0
    distortion_params: list[Finite] = field(default_factory=list)
    """k1 k2 k3 k4 p1 p2, as nerfstudio orders them."""


@dataclass(frozen=True)
class _Frame:
    file_path: Text
    transform_matrix: list[list[Finite]] | None = None


@dataclass(frozen=True)
class _File:
    frames: list[Object]


def read_transforms(path: Path, picture_size: Size) -> Calibration:
    """Read a ``transforms.json``.

    Args:
        path: of the file.
        picture_size: (height, width) of the pictures beside it, for files that do not say it.

    Raises:
        CameraFileError: damaged, without a focal length, or of a lens that is not known.
    """
    values = read_json_text(path, error=CameraFileError, advice=ADVICE)
    if not isinstance(values, dict):
        raise CameraFileError(f"{path} is no transforms.json: an object with frames was expected. {ADVICE}")
    file = as_type(_File, values, path, error=CameraFileError, advice=ADVICE)
    common = {name: value for name, value in values.items() if name != "frames"}
    lenses, names = [], []
    for number, frame in enumerate(file.frames):
        where = f"{path}, frames[{number}]"
        known = as_type(_Frame, frame, path, error=CameraFileError, advice=ADVICE)
        camera = as_type(_Camera, common | mapping(frame), path, error=CameraFileError, advice=ADVICE)
        lenses.append(_lens(camera, picture_size, where))
        names.append((known.file_path.replace("\\", "/"), _pose(known, where)))
    if not lenses:
        camera = as_type(_Camera, common, path, error=CameraFileError, advice=ADVICE)
        lenses.append(_lens(camera, picture_size, path))
    different, which = distinct(lenses)
    pictures = [NamedPicture(name, at, pose) for (name, pose), at in zip(names, which, strict=False)]
    return Calibration(path, different, pictures)


def _pose(frame: _Frame, where: str) -> np.ndarray | None:
    if frame.transform_matrix is None:
        return None
    return np.asarray(checked_pose(frame.transform_matrix, f"{where}.transform_matrix") @ _GL_TO_CV)


def _lens(camera: _Camera, picture_size: Size, where: object) -> Lens:
    size = None if camera.w is None or camera.h is None else (round(camera.h), round(camera.w))
    height, width = size or picture_size
    fx = camera.fl_x or _of_angle(camera.camera_angle_x, width)
    fy = camera.fl_y or _of_angle(camera.camera_angle_y, height) or fx
    fx = fx or fy
    if fx is None or fy is None:
        raise CameraFileError(f"{where} holds no fl_x and no camera_angle_x. {ADVICE}")
    cx = width / 2 if camera.cx is None else camera.cx
    cy = height / 2 if camera.cy is None else camera.cy
    fisheye = _is_fisheye(camera, where)
    return Lens(
        pinhole_matrix(fx, fy, cx, cy, corner=True, where=where),
        _coefficients(camera, fisheye, where),
        fisheye,
        size,
    )


def _of_angle(angle: float | None, side: float) -> float | None:
    """Return the focal length in px for a field of view in radians over a side in px."""
    return None if angle is None or angle >= math.pi else side / 2 / math.tan(angle / 2)


def _is_fisheye(camera: _Camera, where: object) -> bool:
    model = (camera.camera_model or "").upper()
    if model and model not in _BROWN | _FISHEYE:
        raise CameraFileError(
            f"{where} is of the camera model {model}, which cannot be brought to a pinhole camera here "
            f"(known: {', '.join(sorted(_BROWN | _FISHEYE))}). Undistort the pictures with the program that "
            "made the file."
        )
    return camera.is_fisheye or model in _FISHEYE


def _coefficients(camera: _Camera, fisheye: bool, where: object) -> tuple[float, ...]:
    """Return the distortion in OpenCV's order; nothing where there is none."""
    k1, k2, k3, k4, p1, p2 = camera.k1, camera.k2, camera.k3, camera.k4, camera.p1, camera.p2
    if camera.distortion_params:
        if len(camera.distortion_params) != 6:
            raise CameraFileError(
                f"{where}: distortion_params must be the six numbers k1 k2 k3 k4 p1 p2. {ADVICE}"
            )
        k1, k2, k3, k4, p1, p2 = camera.distortion_params
    if fisheye:
        return k1, k2, k3, k4
    if k4:
        raise CameraFileError(
            f"{where} holds k4, which belongs to a fisheye lens: say so with camera_model OPENCV_FISHEYE. "
            f"{ADVICE}"
        )
    coefficients = (k1, k2, p1, p2, k3)
    return coefficients if any(coefficients) else ()
