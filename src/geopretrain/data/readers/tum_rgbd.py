"""TUM RGB-D: ``rgb.txt`` and ``depth.txt`` list images by time; depth is registered, metres x 5000.

Depth maps and poses (``groundtruth.txt``) are taken from the nearest time within 0.02 s, as the data set's
own tools do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.readers.base import found_below
from geopretrain.data.readers.depth_maps import read_depth_png
from geopretrain.data.readers.folder import ImageSequence, read_camera_file
from geopretrain.data.text_lists import listed_path, read_lines
from geopretrain.errors import DataError

UNITS_PER_METRE = 5000.0
MAX_APART = 0.02  # s
_CAMERAS = {  # fx, fy, cx, cy as published with the data set
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}
CAMERA_SIZE = (480, 640)
_USUAL_CAMERA = (525.0, 525.0, 319.5, 239.5)


class TumSequence(ImageSequence):
    """One hand-held sequence."""

    kind = "tum_rgbd"
    title = "a TUM RGB-D sequence"

    def __init__(self, folder: Path, name: str) -> None:
        self._times, rows = read_list(folder / "rgb.txt")
        super().__init__(name, [folder / listed_path(row[0]) for row in rows], path=folder)
        steps = np.diff(self._times)
        if len(steps) and np.median(steps) > 0:
            self.fps = float(1 / np.median(steps))
            self._gaps = {int(i) + 1 for i in np.flatnonzero(steps > 1.5 * np.median(steps))}
        self._find_camera(folder)
        self.add_depth(self._associated(folder), "dense")
        self._poses = self._read_poses(folder / "groundtruth.txt")
        self.has_poses = bool(self._poses)

    def time(self, index: int) -> float | None:
        """Return seconds since the first image."""
        return float(self._times[index] - self._times[0])

    def read_depth(self, file: Path) -> np.ndarray:
        """Return dense depth in metres."""
        return read_depth_png(file, UNITS_PER_METRE)

    def pose(self, index: int) -> np.ndarray | None:
        """Return the pose by motion capture, ``4 4`` camera to world, m."""
        return self._poses.get(index)

    def _associated(self, folder: Path) -> dict[int, Path]:
        times, rows = read_list(folder / "depth.txt")
        return {i: folder / listed_path(rows[j][0]) for i, j in nearest_in_time(self._times, times).items()}

    def _read_poses(self, file: Path) -> dict[int, np.ndarray]:
        if not file.is_file():
            return {}
        times, rows = read_list(file, columns=7)
        pairs = nearest_in_time(self._times, times)
        return {i: pose_matrix([float(v) for v in rows[j]]) for i, j in pairs.items()}

    def _find_camera(self, folder: Path) -> None:
        own, size = read_camera_file(folder / "intrinsics.txt")
        if own is not None:
            self.use_camera(own, size)
            return
        known = next((n for n in _CAMERAS if n in str(folder.resolve())), None)
        fx, fy, cx, cy = _CAMERAS[known] if known else _USUAL_CAMERA
        if not known:
            self.warnings.append("Which camera took this is not said: the usual one (525 px) is assumed.")
        self.use_camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), CAMERA_SIZE)


def find_tum(path: Path) -> list[Path]:
    """Return the sequences at or one or two levels below a folder, in natural order."""
    found = [f.parent for f in found_below(path, "rgb.txt")]
    return sorted((f for f in found if (f / "depth.txt").is_file()), key=natural_key)


def read_list(path: Path, columns: int = 1) -> tuple[np.ndarray, list[list[str]]]:
    """Return times (s) and the other columns of a list of the data set (DataError for a damaged line)."""
    rows = [line.text.split() for line in read_lines(path)]
    try:
        times = np.array([float(row[0]) for row in rows])
    except ValueError as error:
        raise DataError(f"{path} has a line that does not begin with a time in seconds.") from error
    if not rows or any(len(row) < columns + 1 for row in rows):
        raise DataError(f"{path}: every line needs a time and {columns} more value{'s' * (columns > 1)}.")
    return times, [row[1 : columns + 1] for row in rows]


def nearest_in_time(times: np.ndarray, others: np.ndarray, within: float = MAX_APART) -> dict[int, int]:
    """Return for each time the nearest of ``others`` (s), those left out with none ``within`` some time."""
    if not len(others):
        return {}
    order = np.argsort(others)
    right = np.clip(np.searchsorted(others[order], times), 1, max(len(others) - 1, 1))
    candidates = np.stack([right - 1, np.minimum(right, len(others) - 1)])
    apart = np.abs(others[order][candidates] - times)
    best = order[np.take_along_axis(candidates, apart.argmin(0)[None], 0)[0]]
    return {i: int(best[i]) for i in np.flatnonzero(apart.min(0) <= within).tolist()}


def pose_matrix(values: list[float]) -> np.ndarray:
    """Return ``4 4`` from tx, ty, tz (m) and the unit quaternion qx, qy, qz, qw."""
    x, y, z, w = np.array(values[3:]) / np.linalg.norm(values[3:])
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = values[:3]
    return pose
