"""A clip seen through another: the same frames, some of them, or changed on the way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geopretrain.data.readers.base import Frame, SourceClip


class DerivedClip(SourceClip):
    """A clip whose frames, depth, right images and poses are those of another, if nothing else is said.

    Subclasses say in `source_index` which frame of the other a frame is, and change what they must.
    """

    def __init__(self, clip: SourceClip) -> None:
        super().__init__(
            clip.name, clip.path, clip.size, fps=clip.fps, intrinsics=clip.intrinsics, length=clip.length
        )
        self.kind, self.title, self.ordered = clip.kind, clip.title, clip.ordered
        self.calibrated_size, self.camera_problem = clip.calibrated_size, clip.camera_problem
        self.camera_origin = clip.camera_origin
        self.has_depth, self.depth_protocol = clip.has_depth, clip.depth_protocol
        self.depth_words = clip.depth_words
        self.has_stereo, self.T_to_stereo = clip.has_stereo, clip.T_to_stereo
        self.stereo_intrinsics, self.has_poses = clip.stereo_intrinsics, clip.has_poses
        self.listed, self.listed_stride, self.role = clip.listed, clip.listed_stride, clip.role
        self.pose_unit, self.pose_origin = clip.pose_unit, clip.pose_origin
        self.warnings = list(clip.warnings)
        self._clip = clip

    def source_index(self, index: int) -> int:
        """Return the number in the other clip of a frame of this one."""
        return index

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames of the other clip from ``start`` on."""
        return self._clip.frames(start)

    def frame(self, index: int) -> Frame:
        """Return one frame."""
        return self._clip.frame(index)

    def depth(self, index: int) -> np.ndarray | None:
        """Return measured depth of a frame, float32 ``H W`` metres."""
        return self._clip.depth(self.source_index(index))

    def depth_indices(self) -> list[int]:
        """Return the frames which have a depth map."""
        return self._clip.depth_indices()

    def stereo(self, index: int) -> np.ndarray | None:
        """Return the right image of a frame, ``H W 3`` uint8."""
        return self._clip.stereo(self.source_index(index))

    def stereo_indices(self) -> list[int]:
        """Return the frames which have a right image."""
        return self._clip.stereo_indices()

    def pose(self, index: int) -> np.ndarray | None:
        """Return the pose of a frame, ``4 4``."""
        return self._clip.pose(self.source_index(index))

    def points(self, index: int) -> np.ndarray | None:
        """Return sparse points of a frame, ``N 3``."""
        return self._clip.points(self.source_index(index))

    def trajectory(self, index: int) -> int:
        """Return the number of the world that the pose of a frame is in."""
        return self._clip.trajectory(self.source_index(index))

    def time(self, index: int) -> float | None:
        """Return the time of a frame in seconds from the start."""
        return self._clip.time(self.source_index(index))

    def starts_anew(self, index: int) -> bool:
        """Return whether frames are missing just before this one."""
        return self._clip.starts_anew(self.source_index(index))
