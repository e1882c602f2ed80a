"""The poses of a clip, as they go into the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.base import METRES
from geopretrain.errors import DataError

_NOT_ORTHOGONAL = 0.01


@dataclass(frozen=True)
class Poses:
    """Poses of the frames of a clip.

    Attributes:
        rows: ``3 4`` float64, camera to world, by number of the frame.
        worlds: number of the world that each is in.
        unit: of them.
        origin: where they are from.
        problems: sentences about those that cannot be used.
    """

    rows: dict[int, np.ndarray] = field(default_factory=dict)
    worlds: dict[int, int] = field(default_factory=dict)
    unit: str = METRES
    origin: str = ""
    problems: list[str] = field(default_factory=list)

    def row(self, frame: int) -> np.ndarray:
        """Return the pose of a frame as it is stored."""
        return self.rows[frame]

    def of_frames(self, frames: Sequence[int]) -> dict[str, Any]:
        """Return what the index says of the poses of some frames, given ascending."""
        known = [frame for frame in frames if frame in self.rows]
        if not known:
            return {"pose_frames": []}
        starts = [b for a, b in pairwise(known) if self.worlds[a] != self.worlds[b]]
        return {
            "pose_frames": known,
            "pose_starts": starts,
            "pose_unit": self.unit,
            "pose_origin": self.origin,
        }


def read_poses(clip: SourceClip, frames: Sequence[int]) -> Poses:
    """Return the poses of frames that have one; those that cannot be read or are none are named, not used."""
    if not clip.has_poses:
        return Poses()
    found = Poses(unit=clip.pose_unit, origin=clip.pose_origin)
    wrong = []
    for frame in frames:
        try:
            pose = clip.pose(frame)
        except DataError as error:
            wrong.append(str(error))
            continue
        if pose is not None and not _is_pose(pose):
            wrong.append(f"the pose of frame {frame} is none: finite numbers and a rotation were expected")
        elif pose is not None:
            found.rows[frame] = np.asarray(pose, dtype=np.float64)[:3]
            found.worlds[frame] = clip.trajectory(frame)
    if wrong:
        count = "1 pose" if len(wrong) == 1 else f"{len(wrong)} poses"
        found.problems.append(f"{count} cannot be used. The first: {wrong[0].rstrip('.')}.")
    return found


def _is_pose(pose: np.ndarray) -> bool:
    """Return whether ``4 4`` is a rigid motion."""
    rotation = np.asarray(pose, dtype=np.float64)[:3, :3]
    if not np.isfinite(pose).all() or np.linalg.det(rotation) <= 0:
        return False
    return np.allclose(rotation @ rotation.T, np.eye(3), atol=_NOT_ORTHOGONAL)
