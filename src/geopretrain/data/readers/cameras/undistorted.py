"""A clip with the camera of a file: frames as a pinhole camera sees them, and their poses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from geopretrain.data.readers.base import MEASURED, OF_THE_FILE, Frame, SourceClip
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.cameras.calibration import ADVICE, Calibration, CameraFileError, NamedPicture
from geopretrain.data.readers.cameras.lens import Lens, Undistortion, undistortion
from geopretrain.data.readers.derived import DerivedClip
from geopretrain.data.readers.folder import ImageSequence
from geopretrain.errors import DataError
from geopretrain.wording import in_px


class CalibratedClip(DerivedClip):
    """Frames and depth as one pinhole camera sees them, with poses where the clip has none of its own.

    Args:
        clip: as its layout gives it.
        undistortion: of its pictures, None where they are those of a pinhole camera already.
        lens_of: number of the lens of each frame; the first one for frames that are not in it.
        poses: ``4 4`` camera to world by frame.
        pose_origin: where they are from, as the rest of "the poses are".
        pose_unit: of the poses.
        worlds: number of the world of a frame's pose, where there are several.
        points: by frame, see `SourceClip.points`.
    """

    def __init__(
        self,
        clip: SourceClip,
        undistortion: Undistortion | None,
        lens_of: dict[int, int],
        poses: dict[int, np.ndarray],
        pose_origin: str = MEASURED,
        pose_unit: str = OF_THE_FILE,
        worlds: dict[int, int] | None = None,
        points: dict[int, np.ndarray] | None = None,
    ) -> None:
        super().__init__(clip)
        self._points = points or {}
        self._undistort, self._lens_of, self._worlds = undistortion, lens_of, worlds or {}
        self._poses = {} if clip.has_poses else poses
        if undistortion is not None:
            self.size, self.intrinsics = undistortion.size, undistortion.intrinsics
            self.calibrated_size = undistortion.size
        if self._poses:
            self.has_poses, self.pose_unit, self.pose_origin = True, pose_unit, pose_origin

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames, undistorted."""
        return map(self._undistorted, super().frames(start))

    def frame(self, index: int) -> Frame:
        """Return one frame, undistorted."""
        return self._undistorted(super().frame(index))

    def depth(self, index: int) -> np.ndarray | None:
        """Return measured depth of a frame; each pixel takes that of the nearest one before."""
        depth = super().depth(index)
        if depth is None or self._undistort is None or depth.shape != self._clip.size:
            return depth
        return self._undistort(depth, self._lens_of.get(index, 0), nearest=True)

    def pose(self, index: int) -> np.ndarray | None:
        """Return the pose of a frame, camera to world."""
        return self._poses.get(index) if self._poses else super().pose(index)

    def points(self, index: int) -> np.ndarray | None:
        """Return sparse points of a frame, ``N 3``."""
        return self._points.get(index) if self._points else super().points(index)

    def trajectory(self, index: int) -> int:
        """Return the number of the world that the pose of a frame is in."""
        return self._worlds.get(index, 0) if self._poses else super().trajectory(index)

    def _undistorted(self, frame: Frame) -> Frame:
        if self._undistort is None or frame.image is None:
            return frame
        return replace(frame, image=self._undistort(frame.image, self._lens_of.get(frame.index, 0)))


def apply(clip: SourceClip, calibration: Calibration, *, named: bool) -> SourceClip:
    """Return a clip with the cameras of a file.

    Args:
        clip: as its layout gives it.
        calibration: what the file says.
        named: whether the user named it; then it must fit.

    Raises:
        DataError: the lens cannot be undone, or a file that was named does not fit.
    """
    pictures = calibration.matched(clip.files) if isinstance(clip, ImageSequence) else {}
    lenses = calibration.lenses
    if not pictures and len(lenses) > 1:
        problem = (
            f"{calibration.path} holds {len(lenses)} different cameras and names none of the pictures of "
            f"{clip.name}, so that it is not known which one they are of."
        )
        if named:
            raise CameraFileError(f"{problem} {ADVICE}")
        clip.warnings.append(problem)
        return clip
    lens_of = _lens_of_each(pictures, clip.length or 0)
    fitted = [_fitted(clip, lens, named=named) for lens in lenses]
    if None in fitted:  # the pictures were cropped: clip.camera_problem says so
        return clip
    return _with_lenses(clip, calibration, [lens for lens in fitted if lens is not None], lens_of, pictures)


def _with_lenses(
    clip: SourceClip,
    calibration: Calibration,
    lenses: list[Lens],
    lens_of: dict[int, int],
    pictures: dict[int, NamedPicture],
) -> SourceClip:
    bent = len(lenses) > 1 or lenses[0].bends(clip.size)
    if bent and clip.has_stereo:
        raise CameraFileError(
            f"{calibration.path} holds a lens that bends lines; pairs of cameras must be rectified before. "
            f"{ADVICE}"
        )
    try:
        straight = undistortion(lenses, clip.size) if bent else None
    except DataError as error:
        raise CameraFileError(f"{calibration.path}: {error}. {ADVICE}") from error
    if straight is None:
        clip.set_intrinsics(lenses[0].intrinsics)
    posed = {} if clip.has_poses else {i: one for i, one in pictures.items() if one.pose is not None}
    poses = {index: one.pose for index, one in posed.items() if one.pose is not None}
    size, matrix = (
        (clip.size, lenses[0].intrinsics) if straight is None else (straight.size, straight.intrinsics)
    )
    seen = {i: pixels_of(one.points, matrix, size) for i, one in posed.items() if len(one.points)}
    calibrated = CalibratedClip(clip, straight, lens_of, poses, f"of {calibration.called}", points=seen)
    calibrated.camera_problem = None
    calibrated.camera_origin = f"from {calibration.called}"
    calibrated.warnings += _sentences(clip, calibration, lenses, straight, len(poses), len(seen))
    return calibrated


def pixels_of(points: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return where a pinhole camera sees points ``N 3`` (x and y in px, depth), those in its pictures."""
    before = points[points[:, 2] > 0]
    pixels = (before[:, :2] / before[:, 2:]) @ intrinsics[:2, :2].T + intrinsics[:2, 2]
    inside = ((pixels >= -0.5) & (pixels < np.array(size[::-1]) - 0.5)).all(1)
    return np.column_stack([pixels, before[:, 2]])[inside]


def _fitted(clip: SourceClip, lens: Lens, *, named: bool) -> Lens | None:
    """Return a lens at the size of the clip's pictures, None where they were cropped (`fit_to_pictures`)."""
    before = list(clip.warnings)
    resizing = fit_to_pictures(clip, lens.intrinsics, lens.size)
    clip.warnings[:] = [*before, *(said for said in clip.warnings if said not in before)]
    if resizing is None:
        if named:
            raise DataError(clip.camera_problem or "")
        return None
    return lens.scaled(resizing, clip.size)


def _lens_of_each(pictures: dict[int, NamedPicture], length: int) -> dict[int, int]:
    """Return the lens of each frame; one that is not named has that of the nearest one which is."""
    if not pictures:
        return {}
    named = np.array(sorted(pictures))
    nearest = (int(named[np.abs(named - index).argmin()]) for index in range(length))
    return {index: pictures[at].lens for index, at in enumerate(nearest)}


def _sentences(
    clip: SourceClip,
    calibration: Calibration,
    lenses: list[Lens],
    straight: Undistortion | None,
    poses: int,
    with_points: int,
) -> list[str]:
    said = f"The camera is that of {calibration.called}"
    if straight is not None:
        height, width = straight.size
        kind = f"its {len(lenses)} cameras" if len(lenses) > 1 else "its lens"
        said += f"; what {kind} bends is undone, pictures become {in_px((height, width))}"
        said += ", what lies over 60 degrees from the middle is left away" if straight.cut else ""
    named = f", with the poses of {poses} of {clip.length} frames" if poses else ""
    named += f" and the points that {with_points} of these see" if with_points else ""
    return [f"{said}{named}.", *([calibration.problem] if calibration.problem else [])]
