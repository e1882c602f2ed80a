"""The camera of a clip: from the data set, from the user, or a stated assumption about the field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from geopretrain.data.readers.calibrated import IF_CUT_OUT, is_central, principal_point_warning
from geopretrain.data.store.checks import USUAL_FOV, impossible_camera
from geopretrain.errors import ConfigError, DataError
from geopretrain.geometry.camera import (
    crop_intrinsics,
    field_of_view,
    intrinsics_from_fov,
    resize_intrinsics,
)
from geopretrain.schema import has_plain_digits
from geopretrain.wording import in_px, sides

ASSUMED_FOV = 55.0  # degrees, horizontal: between a dash camera's and a phone's main camera
GIVEN, DATA_SET, FROM_FOV = "given by the user", "from the data set", "from the field of view given"
CHECK_CAMERA = "Check the camera: "
"""What warnings about cameras begin with, in stores too; inspection and contact sheet look for it."""
_CENTRAL = (0.25, 0.75)  # where in the frame a principal point is believed


@dataclass(frozen=True)
class Camera:
    """Intrinsics ``3 3`` in px of the original frames, whether they are known, and where they are from."""

    intrinsics: np.ndarray
    known: bool
    origin: str


def parse_intrinsics(text: str) -> np.ndarray:
    """Return ``3 3`` from ``"fx,fy,cx,cy"`` in pixels (ConfigError when it is something else)."""
    try:
        values = [float(part) for part in text.replace(";", ",").split(",") if has_plain_digits(text)]
    except ValueError:
        values = []
    if len(values) != 4 or not np.isfinite(values).all() or values[0] <= 0 or values[1] <= 0:
        raise ConfigError(
            f"Intrinsics '{text}' cannot be used: expected fx,fy,cx,cy in pixels of the original frames, "
            "for example 721.5,721.5,609.6,172.9."
        )
    fx, fy, cx, cy = values
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def choose_camera(
    size: tuple[int, int],
    own: np.ndarray | None,
    *,
    given: np.ndarray | None = None,
    given_size: tuple[int, int] | None = None,
    fov: float | None = None,
    problem: str | None = None,
    origin: str = DATA_SET,
) -> Camera:
    """Decide on the camera of a clip: what the user gave, else what the data set says, else an assumption.

    Args:
        size: (height, width) of the original frames.
        own: intrinsics of the data set.
        given: intrinsics of the user, ``3 3`` px.
        given_size: (height, width) of the images that they were measured on.
        fov: horizontal field of view in degrees, used where nothing is known.
        problem: why the calibration of the data set cannot be used.
        origin: where ``own`` is from.

    Raises:
        DataError: there is a problem and the user gives no camera; the intrinsics given belong to frames of
            another size, or those of the data set cannot be a camera's.
    """
    if given is not None:
        _check_size(size, given, given_size)
        _check_possible(given, size, "given")
        return Camera(given, True, GIVEN)
    if own is not None:
        _check_possible(matrix := _check_matrix(own), size, "of the data set")
        return Camera(matrix, True, origin)
    if fov is not None:
        return Camera(intrinsics_for_fov(fov, size), False, f"{FROM_FOV} ({fov:g} degrees)")
    if problem is not None:
        raise DataError(problem)
    assumed = intrinsics_for_fov(ASSUMED_FOV, size)
    return Camera(
        assumed, False, f"unknown, a horizontal field of view of {ASSUMED_FOV:g} degrees is assumed"
    )


def intrinsics_for_fov(degrees: float, size: tuple[int, int]) -> np.ndarray:
    """Return ``3 3`` with this horizontal field of view and a central principal point."""
    return np.asarray(intrinsics_from_fov(float(degrees), size).double())


def field_of_view_degrees(intrinsics: np.ndarray, size: tuple[int, int]) -> tuple[float, float]:
    """Return the (horizontal, vertical) field of view in degrees."""
    horizontal, vertical = field_of_view(
        torch.as_tensor(np.asarray(intrinsics, dtype=np.float64)), size
    ).tolist()
    return horizontal, vertical


def camera_warning(intrinsics: np.ndarray, size: tuple[int, int], size_known: bool = False) -> str | None:
    """Return a sentence, beginning with ``CHECK_CAMERA``, about a camera that cannot be that of the frames.

    Args:
        intrinsics: ``3 3`` px.
        size: (height, width) of the frames.
        size_known: whether they are known to be of frames of this size, wherever their middle is.
    """
    angles = field_of_view_degrees(intrinsics, size)
    for name, angle in zip(("horizontal", "vertical"), angles, strict=True):
        if not USUAL_FOV[0] <= angle <= USUAL_FOV[1]:
            return (
                f"{CHECK_CAMERA}the {name} field of view is {angle:.0f} degrees, outside {USUAL_FOV[0]:g}-"
                f"{USUAL_FOV[1]:g}. Are the intrinsics those of frames of {in_px(size)}? "
                "Else pass --intrinsics."
            )
    sentence = None if size_known else principal_point_warning(intrinsics, size)
    return sentence and f"{CHECK_CAMERA}{sentence}"


def is_grave(warning: str) -> bool:
    """Return whether a warning says that a camera cannot be right, not just that it is unusual."""
    return CHECK_CAMERA in warning and IF_CUT_OUT not in warning


def stored_intrinsics(
    intrinsics: np.ndarray, crop: tuple[int, int, int, int], size: tuple[int, int]
) -> np.ndarray:
    """Return intrinsics after cropping to (top, left, height, width) and resizing to ``size``."""
    top, left, height, width = crop
    cropped = crop_intrinsics(torch.as_tensor(intrinsics, dtype=torch.float64), top, left)
    return resize_intrinsics(cropped, (height, width), size).numpy()


def _check_matrix(own: np.ndarray) -> np.ndarray:
    """Return the intrinsics of a data set as ``3 3`` float64 (DataError where they cannot be a camera's)."""
    matrix = np.asarray(own, dtype=np.float64)
    if not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
        numbers = ", ".join(f"{v:g}" for v in (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
        raise DataError(
            f"The intrinsics of the data set (fx, fy, cx, cy = {numbers}) cannot be a camera's: focal "
            "lengths must be above 0 px. Correct the calibration file, or pass --intrinsics fx,fy,cx,cy."
        )
    return matrix


def _check_possible(matrix: np.ndarray, size: tuple[int, int], whose: str) -> None:
    if problem := impossible_camera(matrix, size):
        raise DataError(
            f"The intrinsics {whose} must be {problem}. Correct the calibration file, or pass --intrinsics "
            f"fx,fy,cx,cy in pixels of frames of {in_px(size)}."
        )


def _check_size(size: tuple[int, int], given: np.ndarray, given_size: tuple[int, int] | None) -> None:
    height, width = size
    if given_size is not None and tuple(given_size) != tuple(size):
        of = f"Frames are {in_px(size)}, but the intrinsics were given for {sides(given_size)}."
        scaled = resize_intrinsics(torch.as_tensor(given), given_size, size).numpy()
        numbers = ",".join(f"{v:.6g}" for v in (scaled[0, 0], scaled[1, 1], scaled[0, 2], scaled[1, 2]))
        if abs(width * given_size[0] - height * given_size[1]) <= 0.005 * width * given_size[0]:
            raise DataError(
                f"{of} If the frames were resized without cropping, pass --intrinsics {numbers} instead."
            )
        raise DataError(f"{of} Pass the intrinsics (fx,fy,cx,cy) of the frames themselves.")
    if given_size is None and not is_central(given, size, _CENTRAL):
        raise DataError(
            f"Frames are {in_px(size)}, but the principal point given is ({given[0, 2]:g}, "
            f"{given[1, 2]:g}), far from their middle: the intrinsics seem to belong to another image size. "
            "Pass those of these frames, or, if they are right, say so with --intrinsics-size "
            f"{sides(size)}."
        )
