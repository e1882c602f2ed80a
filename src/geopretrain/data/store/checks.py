"""What the index of a store must satisfy beyond the types of its fields, and what a camera can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.wording import in_px

if TYPE_CHECKING:
    from geopretrain.data.store.clip_info import ClipInfo

POSSIBLE_FOV = (1.0, 175.0)
"""Degrees, horizontally and vertically, outside of which no pinhole camera is believed."""
USUAL_FOV = (15.0, 150.0)
"""Degrees outside of which a camera is doubted."""
MAX_SHIFT = 5
"""Sides of the image from its middle to a principal point that is believed possible at all."""
MAX_SPAN = 10**8
"""Frames from the first to the last, all clips together: tables of rows are as long."""
_MIN_BASELINE = 1e-6  # m

_FILES = (
    *(("first_row", "frames"), ("depth_row", "depth_frames")),
    *(("stereo_row", "stereo_frames"), ("pose_row", "pose_frames")),
    ("point_row", "point_frames"),
)
"""Where a clip begins in a file of rows, and which of its frames are there."""

Size = tuple[int, int]


def impossible_camera(intrinsics: Sequence[Sequence[float]] | np.ndarray, size: Size) -> str | None:
    """Return why intrinsics cannot be a camera's, as the rest of ``must be ...``; None where they can.

    Args:
        intrinsics: ``3 3`` px.
        size: (height, width) of the image, px.
    """
    matrix = np.asarray(intrinsics, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return "3x3 finite numbers"
    if not np.allclose(matrix[2], (0, 0, 1)) or matrix[1, 0] != 0:
        return "of the form [[fx, s, cx], [0, fy, cy], [0, 0, 1]]"
    if min(matrix[0, 0], matrix[1, 1]) <= 0:
        return "a camera's: focal lengths are above 0 px"
    low, high = POSSIBLE_FOV
    angles = fields_of_view(matrix, size)
    if not all(low <= angle <= high for angle in angles):
        return (
            f"a camera's: focal lengths of {matrix[0, 0]:.3g} and {matrix[1, 1]:.3g} px mean fields of view "
            f"of {angles[0]:.3g} and {angles[1]:.3g} degrees, outside {low:g} to {high:g}"
        )
    centre, sides = matrix[:2, 2], np.array(size[::-1])
    if (np.abs(centre - sides / 2) > MAX_SHIFT * sides).any():
        return (
            f"a camera's: its principal point ({centre[0]:.4g}, {centre[1]:.4g}) lies far outside of the "
            f"{in_px(size)}"
        )
    return None


def doubtful_camera(intrinsics: Sequence[Sequence[float]] | np.ndarray, size: Size) -> str | None:
    """Return what is odd about a camera that is possible, as a clause; None where nothing is."""
    matrix = np.asarray(intrinsics, dtype=np.float64)
    for angle, way in zip(fields_of_view(matrix, size), ("horizontal", "vertical"), strict=True):
        if not USUAL_FOV[0] <= angle <= USUAL_FOV[1]:
            return f"its {way} field of view is {angle:.0f} degrees"
    centre, sides = matrix[:2, 2], np.array(size[::-1])
    if (centre < 0).any() or (centre > sides).any():
        return f"its principal point ({centre[0]:.4g}, {centre[1]:.4g}) lies outside of the picture"
    return None


def doubts(place: str, clips: Sequence[ClipInfo], size: Size) -> list[str]:
    """Return a sentence for each kind of camera that is possible and odd, with the clips that have it."""
    odd: dict[str, list[str]] = {}
    for clip in clips:
        if doubt := doubtful_camera(clip.intrinsics, size):
            odd.setdefault(doubt, []).append(clip.name)
    return [
        f"WARNING: the camera of {', '.join(names[:3])}{', ...' * (len(names) > 3)} in {place} is "
        f"odd: {doubt}. Depth learned with a wrong camera is wrong: check the calibration, prepare again."
        for doubt, names in odd.items()
    ]


def fields_of_view(intrinsics: np.ndarray, size: Size) -> tuple[float, float]:
    """Return the (horizontal, vertical) fields of view in degrees of a centred camera."""
    height, width = size
    halves = (width / 2 / intrinsics[0, 0], height / 2 / intrinsics[1, 1])
    return float(2 * np.degrees(np.arctan(halves[0]))), float(2 * np.degrees(np.arctan(halves[1])))


def problems(size: Size, clips: Sequence[ClipInfo]) -> Iterator[tuple[str, str]]:
    """Yield (field, what it must be) for whatever in the clips of a store cannot be."""
    for number, clip in enumerate(clips):
        for field, expected in _of_clip(clip, size):
            yield f"clips[{number}].{field}", expected
    for rows, frames in _FILES:
        parts = sorted(
            (getattr(clip, rows), len(getattr(clip, frames))) for clip in clips if getattr(clip, frames)
        )
        ends = np.cumsum([0, *(length for _, length in parts)])
        if [start for start, _ in parts] != ends[:-1].tolist():
            yield f"{rows} of the clips", "such that their rows follow each other without gaps"
    if sum(clip.frames[-1] - clip.frames[0] + 1 for clip in clips if clip.frames) > MAX_SPAN:
        yield "frames", f"no more than {MAX_SPAN} from first to last"


def _of_clip(clip: ClipInfo, size: Size) -> Iterator[tuple[str, str]]:
    for name in ("frames", "targets", "depth_frames", "stereo_frames", "pose_frames"):
        numbers = getattr(clip, name)
        if any(after <= before for before, after in pairwise(numbers)):
            yield name, "ascending, without repetitions"
        if not set(numbers) <= set(clip.frames):
            yield name, "among the clip's frames"
    if any(after <= before for before, after in pairwise(clip.point_frames)):
        yield "point_frames", "ascending, without repetitions"
    if not set(clip.point_frames) <= set(clip.pose_frames):
        yield "point_frames", "among the pose_frames"
    if not set(clip.pose_starts) <= set(clip.pose_frames):
        yield "pose_starts", "among the pose_frames"
    if len(clip.target_motion) != len(clip.targets):
        yield "target_motion", "as many as there are targets"
    if not clip.train_end <= clip.val_start <= len(clip.targets):
        yield "train_end and val_start", f"in this order and at most {len(clip.targets)}"
    yield from _of_cameras(clip, size)


def _of_cameras(clip: ClipInfo, size: Size) -> Iterator[tuple[str, str]]:
    cameras = {"intrinsics": clip.intrinsics}
    if clip.stereo_frames:
        motion = np.asarray(clip.T_to_stereo if clip.T_to_stereo is not None else [], dtype=object)
        if motion.shape != (4, 4) or not np.allclose(motion[3].astype(float), (0, 0, 0, 1)):
            yield "T_to_stereo", "4x4 numbers, the last row 0 0 0 1"
        elif np.linalg.norm(motion[:3, 3].astype(float)) < _MIN_BASELINE:
            yield "T_to_stereo", "of two cameras apart"
        cameras["stereo_intrinsics"] = clip.stereo_intrinsics or []
    for name, camera in cameras.items():
        ragged = len({len(row) for row in camera}) > 1
        if problem := "3x3 finite numbers" if ragged else impossible_camera(camera, size):
            yield name, problem
