"""Predicted motion of the camera against known poses, under the protocol ``pose``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from geopretrain.data.batches import as_float, at_size
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.footage import Footage, footage
from geopretrain.evaluation.measured import readable
from geopretrain.geometry.camera import resize_intrinsics
from geopretrain.metrics.ibims import mean_of_known
from geopretrain.metrics.trajectory import (
    direction_errors,
    rotation_errors,
    snippet_errors,
    trajectory_error,
)

if TYPE_CHECKING:
    from geopretrain.runs.folder import RunFolder
    from geopretrain.tasks.base import DepthTask

POSE = "pose"
"""Name of the protocol."""
_ALIGNMENT = "one factor for each snippet of five frames (ATE5), one similarity for each trajectory (ATE)"

Array = NDArray[np.float64]
Size = tuple[int, int]


def score_pose(
    task: DepthTask,
    data: str,
    run: RunFolder,
    *,
    frames: str = "auto",
    size: Size | None = None,
    every: int = 1,
) -> dict[str, Any]:
    """Return how far the motion that a task predicts is from the poses of the data.

    Args:
        task: predicts motion.
        data: store, video or data set with poses.
        run: of the task.
        frames: of a store: ``held_out``, ``in_sample``, ``all``, or ``auto``: held out where poses of these
            are known.
        size: (height, width) px the network works at.
        every: take every n-th frame.

    Returns:
        ``rotation`` and ``direction`` (degrees, means over pairs of frames), ``ate5`` (mean over snippets of
        five frames) and ``ate`` (mean over trajectories) in the unit of the poses, ``ate_relative`` (``ate``
        over the length of the way); ``poses`` (where they are from), ``unit``, and what `score_depth` has.
        The baseline ``straight_ahead`` goes one step forward without turning.

    Raises:
        ConfigError: the task predicts no motion.
        DataError: nothing can be scored.
    """
    if not task.predicts_motion:
        raise ConfigError(
            f"This run, of {task.name}, predicts no motion of the camera. Give one of monodepth or scdepth "
            "that learned from video."
        )
    sequences, chosen = footage(data, run, frames, lambda one: any(_chains(one, every)))
    scores, straight, left_out = _gathered(task, sequences, size, every)
    if not scores.pairs:
        raise DataError(_why_nothing(data, left_out))
    units = sorted({sequence.pose_unit for sequence in sequences})
    return {
        "protocol": POSE,
        "counted": "pairs of frames",
        "alignment": _ALIGNMENT,
        "images": len(scores.pairs),
        "skipped": 0,
        **scores.means(one_unit=len(units) == 1),
        "poses": "; ".join(sorted({sequence.pose_origin for sequence in sequences})),
        "unit": " and ".join(units),
        "trajectories": len(scores.ate),
        "frames": chosen,
        "predicted": "motion",
        "meaning": task.depth_meaning,
        "flip": False,
        "left_out": left_out,
        "baselines": {"straight_ahead": straight.means(one_unit=len(units) == 1)},
        "per_image": scores.pairs,
    }


def _gathered(
    task: DepthTask, sequences: Sequence[Footage], size: Size | None, every: int
) -> tuple[_Scores, _Scores, list[str]]:
    """Return the errors of the task and of going straight ahead, and what was left out, in sentences."""
    left_out: list[str] = []
    scores, straight = _Scores(), _Scores()
    for sequence in sequences:
        for chain in _chains(sequence, every):
            for names, predicted, true in _motions(task, sequence, chain, size, left_out):
                scores.add(names, predicted, true)
                straight.add(names, np.tile(_ahead(), (len(true), 1, 1)), true)
    return scores, straight, left_out


@dataclass
class _Scores:
    """Errors of pairs, snippets and trajectories, gathered."""

    pairs: list[dict[str, Any]] = field(default_factory=list)
    ate5: list[float] = field(default_factory=list)
    ate: list[tuple[float, float]] = field(default_factory=list)

    def add(self, names: Sequence[str], predicted: Array, true: Array) -> None:
        """Score the motions ``N 4 4`` between the frames of a trajectory."""
        angles = rotation_errors(predicted, true).tolist(), direction_errors(predicted, true).tolist()
        for name, rotation, direction in zip(names, *angles, strict=True):
            self.pairs.append({"name": name, "rotation": rotation, "direction": direction})
        self.ate5 += snippet_errors(predicted, true).tolist()
        self.ate.append(trajectory_error(predicted, true))

    def means(self, *, one_unit: bool) -> dict[str, float]:
        """Return the means; those that have a unit are no numbers where there are several units."""
        unit = 1.0 if one_unit else math.nan
        return {
            "rotation": mean_of_known([pair["rotation"] for pair in self.pairs]),
            "direction": mean_of_known([pair["direction"] for pair in self.pairs]),
            "ate5": unit * mean_of_known(self.ate5),
            "ate": unit * mean_of_known([error for error, _ in self.ate]),
            "ate_relative": mean_of_known([relative for _, relative in self.ate]),
        }


def _chains(sequence: Footage, every: int) -> Iterator[list[int]]:
    """Yield the frames of each world that have a pose and are at least a stride apart."""
    known = [frame for frame in sequence.frames if _pose(sequence, frame) is not None]
    step = sequence.stride * every
    for _, frames in groupby(known, sequence.world):
        chain: list[int] = []
        for frame in frames:
            if not chain or frame - chain[-1] >= step:
                chain.append(frame)
        if len(chain) > 1:
            yield chain


def _pose(sequence: Footage, frame: int) -> Array | None:
    """Return a pose; one that is damaged or no number is none."""
    try:
        pose = sequence.pose(frame)
    except DataError:
        return None
    return None if pose is None or not np.isfinite(pose).all() else np.asarray(pose, np.float64)


def _motions(
    task: DepthTask, sequence: Footage, chain: list[int], size: Size | None, left_out: list[str]
) -> Iterator[tuple[list[str], Array, Array]]:
    """Yield names, predicted and true motions ``N 4 4`` of the parts of a chain that can be read."""
    parts: list[list[tuple[str, tuple[Array, Array]]]] = [[]]
    for pair in pairwise(chain):
        read = (f"{sequence.name}/{pair[0]:06d}", partial(_motion, task, sequence, pair, size))
        found = list(readable([read], left_out))
        parts[-1] += found
        if not found and parts[-1]:
            parts.append([])
    for part in filter(None, parts):
        names, motions = zip(*part, strict=True)
        predicted, true = (np.stack(values) for values in zip(*motions, strict=True))
        yield list(names), predicted, true


@torch.no_grad()
def _motion(
    task: DepthTask, sequence: Footage, pair: tuple[int, int], size: Size | None
) -> tuple[Array, Array]:
    """Return predicted and true motion ``4 4`` from the camera of the first frame to that of the second."""
    images = [torch.from_numpy(sequence.image(frame).copy()).permute(2, 0, 1)[None] for frame in pair]
    first, second = (at_size(as_float(image.to(task.device)), size) for image in images)
    camera = None
    if sequence.intrinsics is not None:
        given = torch.as_tensor(sequence.intrinsics, dtype=torch.float32, device=task.device)[None]
        (height, width), (rows, columns) = images[0].shape[-2:], first.shape[-2:]
        camera = resize_intrinsics(given, (height, width), (rows, columns))
    predicted = task.camera_motion(first, second, camera)[0].double().cpu().numpy()
    poses = [_pose(sequence, frame) for frame in pair]
    return predicted, np.linalg.inv(np.asarray(poses[1])) @ np.asarray(poses[0])


def _ahead() -> Array:
    """Return the motion of points where the camera goes one step forward."""
    motion = np.eye(4)
    motion[2, 3] = -1
    return motion


def _why_nothing(data: str, left_out: Sequence[str]) -> str:
    return (
        f"'{data}' has no neighbouring frames with poses to score. Poses come with the data set, with "
        "transforms.json or a COLMAP model, or from `geopretrain data prepare --calibrate focal`; "
        f"stores of earlier versions have none.{' ' + left_out[0] if left_out else ''}"
    )
