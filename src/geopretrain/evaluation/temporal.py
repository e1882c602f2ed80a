"""Steadiness of predicted depth over video, under the protocols ``temporal-pose`` and ``temporal-flow``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.readers.base import UNKNOWN
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.depth import Size, predict_disparity
from geopretrain.evaluation.footage import Footage, footage
from geopretrain.evaluation.measured import readable
from geopretrain.metrics.depth import fit_line, resize_disparity
from geopretrain.metrics.ibims import mean_of_known
from geopretrain.metrics.temporal import alignment_error, flow_change

if TYPE_CHECKING:
    from geopretrain.runs.folder import RunFolder
    from geopretrain.tasks.base import DepthTask

POSE, FLOW = "temporal-pose", "temporal-flow"
TEMPORAL = (POSE, FLOW)
"""Names of the protocols."""
_NUMBERS = {POSE: "tae", FLOW: "flow_change"}
"""Of each pair of frames."""
_ALIGNED_ON = 40
"""Frames of a clip, evenly spread, that its factor is found on."""
_PIXELS = 2000
"""Measured pixels of each of them."""
_FARTHEST = 1000.0


def score_temporal(
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
    """Return how steady the depth of a task is between neighbouring frames.

    Args:
        task: predicts depth.
        data: store, video or data set.
        run: of the task.
        protocol: ``temporal-pose`` (known poses and depth) or ``temporal-flow`` (flow by OpenCV's DIS).
        frames: of a store: ``held_out``, ``in_sample``, ``all``, or ``auto``: held out where that is known.
        size: (height, width) px the network works at.
        flip: average predictions with those of the mirrored pictures.
        every: take every n-th pair.

    Returns:
        ``tae`` or ``flow_change``, means over all pairs; ``images`` (number of pairs), ``alignment``,
        ``baselines`` (``measured``: the number of the measured depth itself), and what `score_depth` has.

    Raises:
        ConfigError: the task knows too little of depth for this.
        DataError: no pair can be scored.
    """
    _check_meaning(task.depth_meaning, protocol)
    sequences, chosen = footage(data, run, frames)
    predict, score = partial(_disparity, task, size, flip), _by_pose if protocol == POSE else _by_flow
    left_out: list[str] = []
    scores: list[dict[str, Any]] = []
    for sequence in sequences:
        scores += score(sequence, sequence.pairs[::every], predict, task.depth_meaning, left_out)
    summary = _summary(scores, _NUMBERS[protocol])
    if not np.isfinite(summary[_NUMBERS[protocol]]):
        raise DataError(_why_nothing(data, protocol, left_out))
    return {
        "protocol": protocol,
        "counted": "pairs of neighbouring frames",
        "alignment": _alignment(task.depth_meaning, protocol),
        **summary,
        "frames": chosen,
        "predicted": "disparity",
        "meaning": task.depth_meaning,
        "flip": flip,
        "left_out": left_out,
        "per_image": scores,
    }


def _check_meaning(meaning: str, protocol: str) -> None:
    if meaning == "scale_shift" and protocol == FLOW:
        raise ConfigError(
            "This run knows disparity only up to a factor and a shift, and the shift changes how much it "
            "seems to flicker. Use --protocol temporal-pose with data that have poses and depth."
        )


def _summary(scores: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the mean of a number over all pairs, that of measured depth, and how many pairs there are."""
    measured = mean_of_known([row["measured"] for row in scores if "measured" in row])
    return {
        "images": len(scores),
        "skipped": sum(not np.isfinite(row[name]) for row in scores),
        name: mean_of_known([row[name] for row in scores]),
        "baselines": {"measured": {name: measured}} if np.isfinite(measured) else {},
    }


def _alignment(meaning: str, protocol: str) -> str:
    if protocol == FLOW:
        return "not aligned (a common factor changes nothing)"
    return {
        "metric": "not aligned",
        "scale": "scaled by the median of each clip",
        "scale_shift": "scaled and shifted by least squares in disparity in each clip",
    }[meaning]


def _why_nothing(data: str, protocol: str, left_out: Sequence[str]) -> str:
    needs = "neighbouring frames with poses, measured depth and a camera" if protocol == POSE else "video"
    other = " Without them use --protocol temporal-flow." if protocol == POSE else ""
    return f"'{data}' has no {needs} to score.{other}{' ' + left_out[0] if left_out else ''}"


def _disparity(
    task: DepthTask, size: Size | None, flip: bool, image: NDArray[np.uint8]
) -> NDArray[np.floating]:
    """Return the disparity ``H W`` at the size of the picture."""
    found = predict_disparity(task, image, size, flip=flip)
    return resize_disparity(found, (image.shape[0], image.shape[1]))


def _by_pose(
    sequence: Footage,
    pairs: Sequence[tuple[int, int]],
    predict: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    meaning: str,
    left_out: list[str],
) -> list[dict[str, Any]]:
    K = sequence.intrinsics
    if sequence.pose_unit == UNKNOWN:
        left_out.append(f"The poses of {sequence.name} are {sequence.pose_origin}.")
        return []
    usable = [pair for pair in pairs if all(sequence.pose(i) is not None for i in pair)]
    if K is None or not usable:
        return []
    to_metres = _clip_alignment(sequence, usable, predict, meaning)
    if to_metres is None:
        return []
    rows, last = [], _Last(lambda i: to_metres(predict(sequence.image(i))))
    reads = ((f"{sequence.name}/{i:06d}", partial(_moved, sequence, last, (i, j))) for i, j in usable)
    for name, (maps, truths, T) in readable(reads, left_out):
        row: dict[str, Any] = {"name": name, "tae": alignment_error(maps[0], maps[1], K, T)}
        if all(truth is not None and truth.shape == maps[0].shape for truth in truths):
            row["measured"] = alignment_error(truths[0], truths[1], K, T)
        rows.append(row)
    return rows


def _moved(
    sequence: Footage, last: _Last, pair: tuple[int, int]
) -> tuple[list[Any], list[Any], NDArray[np.floating]]:
    """Return both depths, both truths, and the motion ``4 4`` of the first camera into the second."""
    first, second = (np.asarray(sequence.pose(i), np.float64) for i in pair)
    motion = np.linalg.inv(second) @ first
    return [last(i) for i in pair], [sequence.depth(i) for i in pair], motion


class _Last:
    """Remembers what was made of the last frames: the second of a pair is the first of the next."""

    def __init__(self, make: Callable[[int], NDArray[np.floating]]) -> None:
        self._make, self._made = make, dict[int, NDArray[np.floating]]()

    def __call__(self, index: int) -> NDArray[np.floating]:
        if index not in self._made:
            self._made = dict([*self._made.items()][-1:]) | {index: self._make(index)}
        return self._made[index]


def _clip_alignment(
    sequence: Footage,
    pairs: Sequence[tuple[int, int]],
    predict: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    meaning: str,
) -> Callable[[NDArray[np.floating]], NDArray[np.floating]] | None:
    """Return what turns disparities of the clip into metres, one rule for all of its frames."""
    if meaning == "metric":
        return _inverse
    chosen = [pairs[k][0] for k in spread_positions(len(pairs), _ALIGNED_ON)]
    seen, true = [], []
    for _, (disparity, truth) in readable(
        ((str(i), partial(_with_truth, sequence, predict, i)) for i in chosen), [], said=False
    ):
        known = np.flatnonzero((truth > 0) & np.isfinite(truth))
        few = known[spread_positions(len(known), _PIXELS)]
        seen.append(disparity.ravel()[few].astype(np.float64))
        true.append(1 / truth.ravel()[few].astype(np.float64))
    x, y = (np.concatenate(parts) if parts else np.zeros(0) for parts in (seen, true))
    if not x.size:
        return None
    factor, shift = (float(np.median(y / x)), 0.0) if meaning == "scale" else fit_line(x, y)
    return lambda disparity: 1 / np.maximum(factor * disparity + shift, 1 / _FARTHEST)


def _with_truth(
    sequence: Footage, predict: Callable[[NDArray[np.uint8]], NDArray[np.floating]], index: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    image, truth = sequence.image(index), sequence.depth(index)
    if truth is None:
        raise DataError("no measured depth")
    return resize_disparity(predict(image), (truth.shape[0], truth.shape[1])), truth


def _inverse(disparity: NDArray[np.floating]) -> NDArray[np.floating]:
    return 1 / np.maximum(disparity, 1 / _FARTHEST)


def _by_flow(
    sequence: Footage,
    pairs: Sequence[tuple[int, int]],
    predict: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    meaning: str,
    left_out: list[str],
) -> list[dict[str, Any]]:
    from geopretrain.data.prepare.motion import dense_flow

    rows, last = [], _Last(lambda i: predict(sequence.image(i)))

    def both(pair: tuple[int, int]) -> tuple[Any, ...]:
        images = [sequence.image(i) for i in pair]
        flows = dense_flow(*images), dense_flow(*images[::-1])
        return (last(pair[0]), last(pair[1]), *flows)

    reads = ((f"{sequence.name}/{i:06d}", partial(both, (i, j))) for i, j in pairs)
    for name, maps in readable(reads, left_out):
        rows.append({"name": name, "flow_change": flow_change(*maps)})
    return rows
