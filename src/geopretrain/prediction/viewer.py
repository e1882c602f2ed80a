"""A file for the viewer Rerun (https://rerun.io): pictures, depth, cameras and points on one line of time."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.console import console
from geopretrain.errors import ConfigError
from geopretrain.extras import require_extra
from geopretrain.files import atomic_path
from geopretrain.prediction.outputs import camera_of, cloud_points
from geopretrain.tasks.base import DepthTask, Task
from geopretrain.tasks.predictions import MEANINGS

if TYPE_CHECKING:
    from geopretrain.prediction.inputs import Shot
    from geopretrain.prediction.rendering import Rendering

MAX_POINTS = 40_000
"""Points of a picture, evenly taken, so that minutes of video stay a file that opens."""


def require_viewer() -> None:
    """Make sure that such files can be written (ConfigError)."""
    require_extra("rerun", "rerun", "Files for the viewer (--save rerun)")


class ViewerFile:
    """An ``.rrd`` file; ``rerun FILE`` shows it.

    Of each video (and of all pictures together): ``camera`` with its pose where the data know it, the picture
    and its depth in it, and ``points``, coloured; beside them what ``predict`` draws. Axes are x right, y
    down, z forward.

    Args:
        path: to write.
        task: whose predictions are shown.
        intrinsics: of the pictures as the user gave them, see `camera_of`.
        fov: likewise.

    Raises:
        ConfigError: the viewer's library is not installed.
    """

    def __init__(self, path: Path, task: Task, intrinsics: str | None, fov: float | None) -> None:
        require_viewer()
        self.path, self.task = path, task
        self._given = intrinsics, fov
        self._count = 0
        self._said: set[str] = set()

    def __enter__(self) -> ViewerFile:
        import rerun

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file: Any = rerun.RecordingStream("geopretrain")
            self._file.save(temporary)
            stack.callback(self._close)
            self._stack = stack.pop_all()
        self._file.log("about", rerun.TextDocument(_about(self.task)), static=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _close(self) -> None:
        self._file.flush()
        self._file.disconnect()

    def add(self, shot: Shot, seen: Rendering) -> None:
        """Append a picture and what was predicted for it."""
        import rerun

        name = shot.video or "pictures"
        self._file.set_time("picture", sequence=self._count)
        self._count += 1
        self._file.log(["prediction", name], rerun.Image(seen.picture))
        place = ["world", name, "camera"]
        if shot.pose is not None:
            pose = np.asarray(shot.pose, np.float64)
            self._file.log(place, rerun.Transform3D(mat3x3=pose[:3, :3], translation=pose[:3, 3]))
        K = self._camera(shot)
        if K is not None:
            height, width = shot.image.shape[:2]
            axes = rerun.ViewCoordinates.RDF
            pinhole = rerun.Pinhole(image_from_camera=K, resolution=[width, height], camera_xyz=axes)
            self._file.log([*place, "image"], pinhole)
        self._file.log([*place, "image"], rerun.Image(shot.image))
        if seen.disparity is not None and isinstance(self.task, DepthTask):
            self._add_depth(place, shot, seen.disparity, K)

    def _add_depth(self, place: list[str], shot: Shot, disparity: np.ndarray, K: np.ndarray | None) -> None:
        """Append depth and points, of runs that know depth up to a factor at least."""
        import rerun

        assert isinstance(self.task, DepthTask)
        if self.task.depth_meaning == "scale_shift":
            return
        with np.errstate(divide="ignore"):
            depth = np.where(disparity > 0, np.minimum(1 / disparity, self.task.max_depth), 0)
        self._file.log([*place, "image", "depth"], rerun.DepthImage(depth.astype(np.float32), meter=1.0))
        if K is None:
            return
        points, colours = cloud_points(disparity, shot.image, K)
        few = slice(None, None, max(1, -(-len(points) // MAX_POINTS)))
        self._file.log([*place, "points"], rerun.Points3D(points[few], colors=colours[few]))

    def _camera(self, shot: Shot) -> np.ndarray | None:
        """Return ``3 3`` px; None, which is said once for each source, where nothing is known."""
        try:
            return camera_of(shot, *self._given)
        except ConfigError as error:
            if shot.source not in self._said:
                self._said.add(shot.source)
                console.warn(f"{error} The viewer shows depth without points.")
            return None


def _about(task: Task) -> str:
    """Return what the viewer says of the predictions."""
    if not isinstance(task, DepthTask):
        return f"Predictions of a run of {task.name}."
    known = f"Depth of a run of {task.name}, known {MEANINGS[task.depth_meaning]}."
    if task.depth_meaning == "metric":
        return known
    return f"{known} Poses, where there are any, are in metres: points of different pictures need not fit."
