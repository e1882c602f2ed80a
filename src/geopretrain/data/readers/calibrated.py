"""Cameras calibrated at one size, pictures of another: the camera is scaled to them, and that is said.

Calibrations hold pixels of the pictures that the data set was released with. Where somebody made the pictures
smaller, their camera must be made smaller with them, or a field of view of 81 degrees is taken for one of 43.
"""

from __future__ import annotations

import numpy as np

from geopretrain.data.readers.base import SourceClip
from geopretrain.wording import in_px, sides

Size = tuple[int, int]
_SAME_ASPECT = 0.04
"""Aspects that differ by less were stretched while resizing (KITTI's 1242x375 to 1024x320); else cropped."""
CENTRAL = (0.35, 0.65)
"""Where in the picture, as a fraction of its sides, principal points are."""


IF_CUT_OUT = "if the pictures were cut out of larger ones"
"""In the sentence about a principal point that may be right all the same."""


def is_central(intrinsics: np.ndarray, size: Size, within: tuple[float, float] = CENTRAL) -> bool:
    """Return whether the principal point of a camera (``3 3`` px) lies around the middle of a picture."""
    relative = (intrinsics[0, 2] + 0.5) / size[1], (intrinsics[1, 2] + 0.5) / size[0]
    return all(within[0] < place < within[1] for place in relative)


def resizing(calibrated: Size, size: Size) -> np.ndarray:
    """Return ``3 3`` that brings pixels of pictures of one (height, width) to those of another.

    Pixel centres are at whole numbers and the border of the picture stays in place: x' = (x + 0.5) s - 0.5.
    """
    y, x = size[0] / calibrated[0], size[1] / calibrated[1]
    return np.array([[x, 0, 0.5 * x - 0.5], [0, y, 0.5 * y - 0.5], [0, 0, 1]])


def fit_to_pictures(clip: SourceClip, intrinsics: np.ndarray, calibrated: Size | None) -> np.ndarray | None:
    """Return ``3 3`` which brings a calibration to the size of the clip's pictures; its warnings say so.

    Multiply it from the left to intrinsics (``3 3``) and projections (``3 4``) in px.

    Args:
        clip: whose ``size`` is that of the pictures.
        intrinsics: ``3 3`` px at the calibrated size.
        calibrated: (height, width) of the pictures that were calibrated, None where nothing says it.

    Returns:
        None where the pictures were cropped too: then the camera is not known, as ``clip.camera_problem``
        says.
    """
    if calibrated is None:
        return np.eye(3)
    clip.calibrated_size = calibrated
    if tuple(clip.size) == calibrated:
        return np.eye(3)
    here, there = in_px(clip.size), sides(calibrated)
    resize = resizing(calibrated, clip.size)
    stretched = resize[0, 0] / resize[1, 1]
    if abs(stretched - 1) > _SAME_ASPECT:
        numbers = _numbers(resize @ intrinsics)
        clip.camera_problem = (
            f"The pictures are of {here}, but their calibration is of {there}, another shape: it cannot be "
            "told how they were cut. Give the camera of the pictures as they are with --intrinsics "
            f"fx,fy,cx,cy ({numbers} if they were only stretched), or use the pictures as released."
        )
        return None
    stretching = f", {abs(stretched - 1):.1%} stretched" if abs(stretched - 1) > 0.005 else ""
    clip.warnings.append(
        f"The camera was calibrated for pictures of {there}, these are of {here}{stretching}, and it is "
        "scaled to them."
    )
    return resize


def nominal_size(intrinsics: np.ndarray, nominal: Size) -> Size | None:
    """Return the size a data set was released with if the camera fits to it, None where it is another's."""
    return nominal if is_central(intrinsics, nominal) else None


def principal_point_warning(intrinsics: np.ndarray, size: Size) -> str | None:
    """Return a sentence where the principal point is far from the middle of pictures of (height, width)."""
    if is_central(intrinsics, size):
        return None
    x, y = intrinsics[0, 2], intrinsics[1, 2]
    outside = not (0 <= x < size[1] and 0 <= y < size[0])
    text = (
        f"the principal point ({x:.1f}, {y:.1f}) is {'outside' if outside else 'far from the middle of'} the "
        f"pictures of {in_px(size)}"
    )
    likely = (round(2 * y + 1), round(2 * x + 1))
    if min(likely) > 1 and abs(likely[1] * size[0] / (likely[0] * size[1]) - 1) < 0.1:
        numbers = _numbers(resizing(likely, size) @ intrinsics)
        return (
            f"{text}, as if it were of pictures of about {sides(likely)}. If they were resized, pass "
            f"--intrinsics {numbers}."
        )
    if outside:
        return f"{text}: the intrinsics are of other pictures. Pass those of these with --intrinsics."
    return f"{text}. That is right only {IF_CUT_OUT}; else pass the intrinsics of these with --intrinsics."


def _numbers(matrix: np.ndarray) -> str:
    return ",".join(f"{v:.6g}" for v in (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
