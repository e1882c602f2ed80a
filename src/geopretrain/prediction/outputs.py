"""What ``predict`` writes besides pictures: 16-bit depth, coloured points, video."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.files import atomic_path, write_json
from geopretrain.tasks.predictions import MEANINGS
from geopretrain.wording import in_px

if TYPE_CHECKING:
    from geopretrain.prediction.inputs import Shot
    from geopretrain.prediction.rendering import Rendering
    from geopretrain.runs.folder import RunFolder
    from geopretrain.tasks.base import DepthTask

METRIC_VALUES = 256.0
"""Values of a 16-bit PNG per metre, as KITTI has it; farther than 255 m is cut off."""
MAX_DISTANCE = 10.0
"""Points farther than so many times the median depth are left out of a cloud: sky, mostly."""
STEADINESS = 0.9
"""Fraction of the colour range of a video that is kept from frame to frame, so colours do not flicker."""


def write_depth(path: Path, disparity: np.ndarray, task: DepthTask, run: RunFolder) -> None:
    """Write depth as a 16-bit PNG, and beside it ``.json`` saying what a value means.

    Depth is in metres where the run knows them, else in the run's own unit; a run that knows disparity only
    up to a factor and a shift gives its disparity, scaled to the range.

    Args:
        path: of the PNG.
        disparity: ``H W``, 1 / unit of depth.
        task: knows the meaning.
        run: where the prediction comes from.
    """
    from PIL import Image

    values, note = depth_values(disparity, task)
    with atomic_path(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")
    note |= {"invalid": 0, "run": str(run.path), "method": run.config.get("method")}
    write_json(path.with_suffix(".json"), note)


def depth_values(disparity: np.ndarray, task: DepthTask) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the uint16 values ``H W`` of a 16-bit PNG (0 = none), and what they mean."""
    meaning = task.depth_meaning
    if meaning == "scale_shift":
        unit, shown = "unknown", disparity - disparity.min()
        per_unit = 65534.0 / max(float(shown.max()), 1e-12)
        values = np.rint(shown * per_unit) + 1
        note: dict[str, Any] = {
            "quantity": "disparity",
            "value": "1 + values_per_unit * (disparity - offset)",
        }
        note |= {"offset": float(disparity.min())}
    else:
        # the farthest depth a network can tell uses the whole range
        farthest = task.max_depth
        per_unit = METRIC_VALUES if meaning == "metric" else 65535.0 // farthest
        unit = "metre" if meaning == "metric" else "unknown"
        with np.errstate(divide="ignore"):
            values = np.rint(np.where(disparity > 0, per_unit / disparity, 0))
        values = np.where(disparity > 0, np.clip(values, 1, 65535), 0)
        note = {"quantity": "depth", "value": "values_per_unit * depth"}
    return values.astype(np.uint16), {**note, "unit": unit, "meaning": meaning, "values_per_unit": per_unit}


def write_cloud(
    path: Path,
    disparity: np.ndarray,
    shot: Shot,
    task: DepthTask,
    *,
    intrinsics: str | None = None,
    fov: float | None = None,
) -> None:
    """Write the points a picture shows, coloured, as a binary PLY file (camera: x right, y down, z forward).

    Raises:
        ConfigError: nothing is known of the camera.
    """
    K = camera_of(shot, intrinsics, fov)
    points, colours = cloud_points(disparity, shot.image, K)
    unit = f"depth is right {MEANINGS[task.depth_meaning]}".replace("right in metres", "in metres")
    with atomic_path(path) as temporary:
        temporary.write_bytes(ply(points, colours, unit))


def camera_of(shot: Shot, intrinsics: str | None, fov: float | None) -> np.ndarray:
    """Return ``3 3`` px: what the user gave, else what the source knows.

    Raises:
        ConfigError: neither says anything, or what it says cannot be the camera of a picture of this size.
    """
    from geopretrain.data.prepare.intrinsics import intrinsics_for_fov, parse_intrinsics
    from geopretrain.data.store.checks import impossible_camera

    size = (shot.image.shape[0], shot.image.shape[1])
    if intrinsics is None and fov is not None:
        return intrinsics_for_fov(fov, size)
    camera = shot.intrinsics if intrinsics is None else parse_intrinsics(intrinsics)
    if camera is None:
        unknown = shot.camera_problem or f"Nothing is known of the camera of '{shot.name}'."
        raise ConfigError(
            f"{unknown} So no points can be made of its depth: give --intrinsics fx,fy,cx,cy (px) or --fov "
            "DEGREES; 55 is fair for a dash camera."
        )
    if problem := impossible_camera(camera, size):
        which = "The intrinsics that come with" if intrinsics is None else "--intrinsics for"
        raise ConfigError(
            f"{which} '{shot.name}' must be {problem}. Give fx,fy,cx,cy in px of the pictures of "
            f"{in_px(size)} with --intrinsics{' or correct them' * (intrinsics is None)}."
        )
    return camera


def camera_doubt(shot: Shot, intrinsics: str | None, fov: float | None) -> str | None:
    """Return a sentence where the camera that `camera_of` returns can hardly be that of the picture."""
    from geopretrain.data.prepare.intrinsics import camera_warning

    if intrinsics is None and fov is not None:
        return None
    size = (shot.image.shape[0], shot.image.shape[1])
    size_known = intrinsics is None and shot.size_known
    return camera_warning(camera_of(shot, intrinsics, fov), size, size_known)


def cloud_points(
    disparity: np.ndarray, image: np.ndarray, intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return points ``N 3`` float32 (units of depth) and colours ``N 3`` uint8 of what is not too far."""
    import torch

    from geopretrain.geometry import backproject

    depth = np.where(disparity > 0, 1 / np.maximum(disparity, 1e-12), 0).astype(np.float64)
    near = (depth > 0) & (depth <= MAX_DISTANCE * np.median(depth[depth > 0]))
    K = torch.from_numpy(np.asarray(intrinsics, np.float64))[None]
    points = backproject(torch.from_numpy(depth)[None, None], K)[0].permute(1, 2, 0).numpy()
    return points[near].astype(np.float32), image[near]


def ply(points: np.ndarray, colours: np.ndarray, comment: str) -> bytes:
    """Return a binary PLY file of coloured points (``N 3`` each)."""
    row = [(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")]
    table = np.empty(len(points), dtype=row)
    for i, (xyz, rgb) in enumerate(zip("xyz", ("red", "green", "blue"), strict=True)):
        table[xyz], table[rgb] = points[:, i], colours[:, i]
    kinds = {"<f4": "float", "u1": "uchar"}
    header = [
        *("ply", "format binary_little_endian 1.0", f"comment {comment}"),
        *("comment x right, y down, z forward", f"element vertex {len(points)}"),
        *(f"property {kinds[kind]} {name}" for name, kind in row),
        "end_header\n",
    ]
    return "\n".join(header).encode("ascii") + table.tobytes()


class VideoWriter:
    """An MP4 file of pictures with what is seen in them below (of upright pictures: beside)."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._limits: tuple[float, float] | None = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w", format="mp4"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None and self._stream is not None:
            self._container.mux(self._stream.encode())
        self._stack.__exit__(*error)

    def add(self, image: np.ndarray, rendering: Rendering) -> None:
        """Append a frame; ``image`` is ``H W 3`` uint8 and of one size."""
        import av

        from geopretrain import pictures

        shown = rendering.picture if rendering.disparity is None else self._steady(rendering.disparity)
        join = pictures.grid if image.shape[1] > image.shape[0] else pictures.side_by_side
        picture = join([image, shown])
        picture = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
        if self._stream is None:
            self._stream = self._new_stream(picture.shape[1], picture.shape[0])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def _new_stream(self, width: int, height: int) -> Any:
        import av

        rate = Fraction(self.fps).limit_denominator(1000)
        for codec in ("libx264", "mpeg4"):
            if codec in av.codecs_available:
                stream = self._container.add_stream(codec, rate=rate)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                return stream
        raise RunFolderError("PyAV was built without an MP4 encoder here. Leave 'video' out of --save.")

    def _steady(self, disparity: np.ndarray) -> np.ndarray:
        """Colour a disparity map with a range that follows the video slowly."""
        from geopretrain import pictures

        low, high = pictures.depth_limits(disparity)
        if self._limits is not None:
            low, high = (
                STEADINESS * old + (1 - STEADINESS) * new
                for old, new in zip(self._limits, (low, high), strict=True)
            )
        self._limits = (low, high)
        return pictures.colour_depth(disparity, limits=self._limits)
