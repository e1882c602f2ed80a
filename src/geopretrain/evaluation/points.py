"""Predicted depth against sparse points: what a reconstruction from the video itself, or a LiDAR, has found.

A point says how far away is what its pixel shows, in a unit that may be unknown. Predictions are looked up
there (disparity, bilinear: exact on planes) and brought to that unit as the name of the protocol says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.depth import predict_disparity
from geopretrain.evaluation.footage import Footage, footage
from geopretrain.evaluation.measured import readable
from geopretrain.metrics import DepthProtocol, DepthScores
from geopretrain.tasks.predictions import MEANINGS

if TYPE_CHECKING:
    from geopretrain.runs.folder import RunFolder
    from geopretrain.tasks.base import DepthTask

PER_IMAGE, PER_VIDEO, SCALE_SHIFT = "points-median", "points-video-median", "points-scale-shift"
POINTS = (PER_IMAGE, PER_VIDEO, SCALE_SHIFT)
"""Names of the protocols."""
FEWEST = 10
"""Points below which a picture is not scored."""
_RANGE = (1e-3, 1e3)
"""Depths that count, over the median depth of all points of the video."""
_ONE_FACTOR = "scaled by one factor for each video, by the medians over all of its points"

Array = NDArray[np.float64]
Size = tuple[int, int]


def score_points(
    task: DepthTask,
    data: str,
    run: RunFolder,
    protocol: str,
    *,
    frames: str = "auto",
    size: Size | None = None,
    flip: bool = False,
    every: int = 1,
) -> dict[str, Any]:
    """Return the errors of depth at sparse points.

    Args:
        task: predicts depth.
        data: store, video or data set with sparse points or sparse LiDAR.
        run: of the task.
        protocol: ``points-median`` (scaled by the median of each picture), ``points-video-median`` (by one
            factor for each video, or for each world of its poses), ``points-scale-shift`` (scaled and shifted
            in disparity in each picture).
        frames: of a store, see `footage`.
        size: (height, width) px the network works at.
        flip: average predictions with those of the mirrored pictures.
        every: take every n-th frame.

    Returns:
        What `score_depth` does (errors that have a unit are in the median depth of the video),
        with ``points`` (number of all that count), and the baseline ``constant``: one depth everywhere.

    Raises:
        ConfigError: the task knows less of depth than the protocol takes for granted.
        DataError: nothing can be scored.
    """
    _check_meaning(task, protocol)
    sequences, chosen = footage(data, run, frames, _has_points)
    found = _Errors(_rules(protocol))
    for video in _videos(task, sequences, size, flip, every, found.left_out):
        found.add(video.at_one_unit(protocol == PER_VIDEO))
    if not found.scores.rows:
        raise DataError(_why_nothing(data, found.left_out))
    origin = "; ".join(sorted({one.points_origin for one in sequences} - {""}))
    return {
        **found.as_json(origin),
        "alignment": _ONE_FACTOR if protocol == PER_VIDEO else found.rules.alignment_in_words,
        "counted": "pictures",
        "frames": chosen,
        "predicted": "disparity",
        "meaning": task.depth_meaning,
        "flip": flip,
        "left_out": found.left_out,
    }


def _check_meaning(task: DepthTask, protocol: str) -> None:
    if task.depth_meaning == "scale_shift" and protocol != SCALE_SHIFT:
        raise ConfigError(
            f"This run knows depth only {MEANINGS[task.depth_meaning]}, so '{protocol}' would say nothing of "
            f"it. Use --protocol {SCALE_SHIFT}."
        )


class _Errors:
    """Errors of pictures, those of one depth everywhere beside them, and what could not be read."""

    def __init__(self, rules: DepthProtocol) -> None:
        self.rules = rules
        self.scores, self.constant = DepthScores(rules), DepthScores(rules)
        self.names, self.left_out = list[str](), list[str]()

    def add(self, pictures: Iterable[tuple[str, Array, Array]]) -> None:
        """Take the depths of some pictures: name, predicted and true."""
        for name, predicted, true in pictures:
            self.names.append(name)
            self.scores.add(predicted[None], true[None])
            self.constant.add(np.ones_like(true)[None], true[None])

    def as_json(self, origin: str) -> dict[str, Any]:
        """Return all errors, and whose points they are at (``origin``: in words)."""
        found, flat = self.scores.result(), self.constant.result()
        rows = [{"name": self.names[row["position"]], **row} for row in found.pop("per_image")]
        points = int(sum(row["pixels"] for row in rows))
        return {
            **found,
            "points": points,
            "truth": f"{points} sparse points, {origin}",
            "baselines": {"constant": {name: value for name, value in flat.items() if name != "per_image"}},
            "per_image": rows,
        }


def _rules(protocol: str) -> DepthProtocol:
    """Return the protocol of depth that applies once depths are over the median depth of the video."""
    rules = DepthProtocol(protocol, min_depth=_RANGE[0], max_depth=_RANGE[1])
    if protocol == PER_IMAGE:
        return rules
    return replace(rules, alignment="none" if protocol == PER_VIDEO else "scale_shift")


@dataclass
class _Video:
    """Depths of the pictures of one video at their points: name, predicted and true, ``N`` each."""

    pictures: list[tuple[str, Array, Array]] = field(default_factory=list)

    def at_one_unit(self, scaled: bool) -> Iterator[tuple[str, Array, Array]]:
        """Yield the pictures, truth over its median in the video; ``scaled``: the prediction over its own."""
        if not self.pictures:
            return
        predicted, true = (np.concatenate(depths) for depths in list(zip(*self.pictures, strict=True))[1:])
        units = float(np.median(predicted)) if scaled else 1.0, float(np.median(true))
        for name, one, other in self.pictures:
            yield name, one / units[0], other / units[1]


def _videos(
    task: DepthTask,
    sequences: Sequence[Footage],
    size: Size | None,
    flip: bool,
    every: int,
    left_out: list[str],
) -> Iterator[_Video]:
    """Yield what is predicted of each video; worlds of poses that have nothing in common are several."""
    for sequence in sequences:
        for _, world in groupby(_with_points(sequence, every), sequence.world):
            video = _Video()
            reads = [(f"{sequence.name}/{frame:06d}", partial(_read, sequence, frame)) for frame in world]
            for name, (image, points) in readable(reads, left_out):
                disparity = predict_disparity(task, image, size, flip=flip)
                depth = 1 / np.maximum(at_points(disparity, points, image.shape[:2]), 1e-12)
                video.pictures.append((name, depth, points[:, 2].astype(np.float64)))
            yield video


def _read(sequence: Footage, frame: int) -> tuple[NDArray[np.uint8], Array]:
    return sequence.image(frame), np.asarray(sequence.points(frame), dtype=np.float64)


def _has_points(sequence: Footage) -> bool:
    return next(_with_points(sequence, 1), None) is not None


def _with_points(sequence: Footage, every: int) -> Iterator[int]:
    """Yield the frames that have enough points."""
    for frame in sequence.frames[::every]:
        try:
            points = sequence.points(frame)
        except DataError:  # is named where it is read to be scored
            yield frame
            continue
        if points is not None and len(points) >= FEWEST:
            yield frame


def at_points(disparity: NDArray[np.floating], points: Array, size: Size) -> Array:
    """Return the values ``N`` of a map ``h w`` at points ``N 3`` (x, y in px of a picture of ``size``, ...).

    Pixel centres are at whole numbers; bilinear, so that a plane's disparity comes out exactly.
    """
    height, width = disparity.shape
    x = np.clip((points[:, 0] + 0.5) * width / size[1] - 0.5, 0, width - 1)
    y = np.clip((points[:, 1] + 0.5) * height / size[0] - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    u, v = x - left, y - top
    values = disparity.astype(np.float64)
    upper = (1 - u) * values[top, left] + u * values[top, left + 1]
    lower = (1 - u) * values[top + 1, left] + u * values[top + 1, left + 1]
    return np.asarray((1 - v) * upper + v * lower)


def _why_nothing(data: str, left_out: Sequence[str]) -> str:
    return (
        f"'{data}' has no picture with {FEWEST} sparse points. They come from `geopretrain data prepare "
        "--calibrate focal`, from a COLMAP model with points3D beside the pictures, or are sparse LiDAR "
        "(KITTI); stores of earlier versions have none."
        f"{' ' + left_out[0] if left_out else ''}"
    )
