"""What a window knows beside the camera, once that is settled: poses of its frames, and points.

``python -m geopretrain.data.prepare.calibrate.reconstruction FOLDER FOCAL BEND`` adjusts the model in
``FOLDER/kept`` to the camera that all windows together have given (focal length in long sides of the picture,
COLMAP's SIMPLE_RADIAL), and writes ``FOLDER/reconstruction.npz``. The unit of length is the model's own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.data.prepare.calibrate.estimate import Estimate
from geopretrain.data.prepare.calibrate.video import run_apart, window_folders
from geopretrain.data.prepare.calibrate.window import KEPT, adjust
from geopretrain.data.readers import SourceClip

_FILE = "reconstruction.npz"
_SEEN_BY, _FAR = 3, 2.0
"""Frames that see a point at least, and mean reprojection error (px) at most, of points that count."""


@dataclass(frozen=True)
class Trajectory:
    """A window in a world of its own.

    Attributes:
        frames: numbers of its frames, ascending.
        poses: ``N 4 4``, camera to world.
        points: by number of the frame, ``M 3`` in its camera: the points that it sees, in the unit of the
            poses.
    """

    frames: np.ndarray
    poses: np.ndarray
    points: Mapping[int, np.ndarray] = field(default_factory=dict)


def trajectories(clips: Sequence[SourceClip], folder: Path, found: Estimate) -> dict[int, list[Trajectory]]:
    """Return by the position of the clip what the windows know that agree with an estimate.

    Windows that share frames with larger ones give only the others. What COLMAP has given up is not there.

    Args:
        clips: as `estimate_camera` had them.
        folder: likewise.
        found: what it returned.
    """
    places = window_folders(clips, folder)
    windows: dict[int, list[Trajectory]] = {}
    for at in found.agreeing:
        number, place = places[at]
        if not (place / _FILE).is_file() and (place / KEPT).is_dir():
            run_apart("reconstruction", place, repr(found.focal), repr(found.bend))
        if (place / _FILE).is_file():
            with np.load(place / _FILE) as values:
                windows.setdefault(number, []).append(_from(values))
    return {number: _disjoint(several) for number, several in windows.items()}


def _from(values: Mapping[str, np.ndarray]) -> Trajectory:
    """Return what was written of a window; earlier versions have not written points."""
    frames, points = values["frames"], dict[int, np.ndarray]()
    if "points" in values:
        seen_by, all_points = values["seen_by"], values["points"]
        points = {int(frame): all_points[seen_by == frame] for frame in frames}
    return Trajectory(frames, values["poses"], points)


def _disjoint(windows: list[Trajectory]) -> list[Trajectory]:
    """Return the windows without the frames that larger ones have, those with two frames left."""
    kept: list[Trajectory] = []
    seen: set[int] = set()
    for one in sorted(windows, key=lambda window: -len(window.frames)):
        new = np.array([int(frame) not in seen for frame in one.frames], dtype=bool)
        if new.sum() >= 2:
            points = {frame: of_it for frame, of_it in one.points.items() if frame not in seen}
            kept.append(Trajectory(one.frames[new], one.poses[new], points))
            seen.update(one.frames[new].tolist())
    return kept


def settled(folder: Path, focal: float, bend: float) -> Trajectory:
    """Return the model of a window adjusted to a camera that is given."""
    import pycolmap

    model = pycolmap.Reconstruction(folder / KEPT)
    for camera in model.cameras.values():
        camera.params = [focal * max(camera.width, camera.height), *camera.params[1:3], bend]
    adjust(model, focal=False, bend=False)
    images = [image for image in model.images.values() if image.has_pose]
    images.sort(key=lambda image: int(Path(image.name).stem))
    frames = np.array([int(Path(image.name).stem) for image in images], dtype=np.int64)
    poses = [_homogeneous(image.cam_from_world().inverse()) for image in images]
    model.update_point_3d_errors()
    points = {int(Path(image.name).stem): _seen(image, model) for image in images}
    return Trajectory(frames, np.array(poses, dtype=np.float64).reshape(-1, 4, 4), points)


def _seen(image: Any, model: Any) -> np.ndarray:
    """Return the points ``N 3`` that a frame was found to see, in its camera: never one behind another thing.

    Only such that three frames or more see, and that lie where these see them.
    """
    to_camera, found = image.cam_from_world().matrix(), []
    for observed in image.get_observation_points2D():
        point = model.point3D(observed.point3D_id)
        in_camera = to_camera[:, :3] @ point.xyz + to_camera[:, 3]
        if point.track.length() >= _SEEN_BY and point.error <= _FAR and in_camera[2] > 0:
            found.append(in_camera)
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _homogeneous(motion: Any) -> np.ndarray:
    return np.vstack([motion.matrix(), (0, 0, 0, 1)])


def main(folder: Path, focal: float, bend: float) -> None:
    """Write what a window knows once the camera is given."""
    found = settled(folder, focal, bend)
    part = folder / f"{_FILE}.part"
    with part.open("wb") as file:
        seen_by = np.repeat(list(found.points), [len(one) for one in found.points.values()]).astype(np.int64)
        points = np.concatenate([np.zeros((0, 3)), *found.points.values()])
        np.savez(file, frames=found.frames, poses=found.poses, seen_by=seen_by, points=points)
    part.replace(folder / _FILE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
