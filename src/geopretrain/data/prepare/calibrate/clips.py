"""Clips with the cameras that their own frames tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from geopretrain.console import ProgressLine
from geopretrain.data.prepare.calibrate.estimate import Estimate
from geopretrain.data.prepare.calibrate.reconstruction import Trajectory, trajectories
from geopretrain.data.prepare.calibrate.video import estimate_camera, shrinking
from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.base import UNKNOWN
from geopretrain.data.readers.cameras.lens import Lens, undistortion
from geopretrain.data.readers.cameras.undistorted import CalibratedClip
from geopretrain.errors import DataError
from geopretrain.extras import require_extra

Wanted = Literal["focal", "distortion"]
_BENDS = 0.01
"""Of the long side, by which the lens moves a corner, from which on undoing it is advised."""
ESTIMATED = "estimated by pycolmap from the frames themselves: scale unknown"
"""Where such poses are from."""
_ELSE = (
    "the field of view given or assumed is used instead (monodepth learns the focal length with "
    "learned_intrinsics)"
)


def need_colmap() -> None:
    """Make sure that COLMAP is installed (ConfigError)."""
    require_extra("pycolmap", "calibrate", "Cameras estimated by --calibrate")


def with_estimated_cameras(
    clips: Sequence[SourceClip], wanted: Wanted, folder: Path, line: ProgressLine
) -> list[SourceClip]:
    """Return the clips, those of unknown camera with the one that their frames tell.

    Clips of one folder and size are taken to be of one camera.

    Args:
        clips: as they were opened.
        wanted: the focal length, or one coefficient of distortion too, which is undone.
        folder: where frames and results are kept meanwhile; an interrupted estimate goes on from there.
        line: shows the progress.
    """
    groups: dict[tuple[Path, tuple[int, int]], list[int]] = {}
    for number, clip in enumerate(clips):
        if clip.intrinsics is None and clip.camera_problem is None and clip.ordered and not clip.has_stereo:
            groups.setdefault((Path(clip.path).parent, (clip.size[0], clip.size[1])), []).append(number)
    ready = list(clips)
    for place, numbers in enumerate(groups.values()):
        group, at = [clips[n] for n in numbers], folder / f"calibrating_{place:03d}"
        found = estimate_camera(group, at, line)
        known = trajectories(group, at, found) if found.problem is None else {}
        for position, number in enumerate(numbers):
            clip = _with(clips[number], found, wanted, shared=len(numbers) > 1)
            bend = found.bend if wanted == "focal" else 0.0  # else its pictures are straight by now
            ready[number] = _with_poses(clip, known.get(position, []), bend)
    if not groups:
        for clip in ready[:1]:
            clip.warnings.append("--calibrate changes nothing: all cameras are known.")
    return ready


def _with(clip: SourceClip, found: Estimate, wanted: Wanted, *, shared: bool) -> SourceClip:
    if found.problem is not None:
        clip.warnings.append(f"The camera could not be estimated from the video: {found.problem}; {_ELSE}.")
        return clip
    matrix = _matrix(found.focal, clip.size)
    lens = Lens(matrix, (found.bend, 0.0, 0.0, 0.0), size=clip.size)
    moved = _moved_corner(lens, clip.size)
    said = in_words(found, clip.size) + (", one camera for the videos of this folder" if shared else "")
    if wanted == "focal":
        clip.intrinsics, clip.camera_origin = matrix, "estimated from its frames"
        if moved > _BENDS:
            said += (
                f". The lens moves corners by {moved:.1%} of the width: --calibrate distortion undoes that"
            )
        clip.warnings.append(f"{said}.")
        return clip
    try:
        straight = undistortion([lens], clip.size) if lens.bends(clip.size) else None
    except DataError as error:
        clip.warnings.append(f"The camera could not be estimated from the video: {error}; {_ELSE}.")
        return clip
    clip.intrinsics = matrix
    calibrated = CalibratedClip(clip, straight, {}, {})
    calibrated.camera_origin = "estimated from its frames"
    calibrated.warnings.append(f"{said}; distortion {found.bend:+z.3f}, undone.")
    return calibrated


def _with_poses(clip: SourceClip, windows: Sequence[Trajectory], bend: float) -> SourceClip:
    """Return a clip with the poses and points of its windows, where it has no poses of its own.

    Args:
        clip: with its camera.
        windows: with their poses.
        bend: distortion that its pictures have, COLMAP's SIMPLE_RADIAL.
    """
    poses: dict[int, np.ndarray] = {}
    worlds: dict[int, int] = {}
    for number, window in enumerate(windows):
        poses.update(zip(window.frames.tolist(), window.poses, strict=True))
        worlds.update(dict.fromkeys(window.frames.tolist(), number))
    if not poses or clip.has_poses:
        return clip
    clip.warnings.append(f"Poses of {len(poses)} frames are {ESTIMATED}.")
    lens = Lens(np.asarray(clip.intrinsics), (bend, 0.0, 0.0, 0.0), size=clip.size)
    seen = {frame: points for window in windows for frame, points in window.points.items()}
    points = {frame: _pixels(lens, in_camera) for frame, in_camera in seen.items()}
    return CalibratedClip(clip, None, {}, poses, ESTIMATED, UNKNOWN, worlds, points)


def _pixels(lens: Lens, points: np.ndarray) -> np.ndarray:
    """Return where a camera sees points ``N 3`` in front of it: ``N 3``, x and y in px, and depth."""
    if not len(points):
        return np.zeros((0, 3))
    return np.column_stack([lens.project(points[:, :2] / points[:, 2:]), points[:, 2]])


def in_words(found: Estimate, size: tuple[int, int]) -> str:
    """Return what was found for frames of (height, width) px."""
    return (
        f"Focal length {found.focal * max(size):.0f} px, estimated from its frames: {found.used} of "
        f"{found.windows} windows agree within {found.spread:.1%}, {found.registered:.0%} of their frames "
        f"registered, reprojection error {found.error * shrinking(size):.2f} px"
    )


def _matrix(focal: float, size: tuple[int, int]) -> np.ndarray:
    """Return ``3 3`` px with the principal point in the middle."""
    height, width = size
    pixels = focal * max(size)
    return np.array([[pixels, 0, (width - 1) / 2], [0, pixels, (height - 1) / 2], [0, 0, 1.0]])


def _moved_corner(lens: Lens, size: tuple[int, int]) -> float:
    """Return by which fraction of the long side the lens moves what a pinhole camera sees in a corner."""
    corner = np.array([[size[1] / 2, size[0] / 2]]) / lens.intrinsics[0, 0]
    straight = corner * lens.intrinsics[0, 0] + lens.intrinsics[:2, 2]
    return float(np.abs(lens.project(corner) - straight).max() / max(size))
