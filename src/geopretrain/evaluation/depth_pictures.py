"""Pictures of scored depth: truth, aligned prediction, its errors, and its edges where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopretrain import pictures
from geopretrain.data.subsets import spread_positions
from geopretrain.evaluation.depth import Size, fitting_protocol, predict_disparity
from geopretrain.evaluation.measured import MeasuredFrame, at_bottom, readable
from geopretrain.metrics import DepthProtocol
from geopretrain.metrics.boundaries import depth_edges
from geopretrain.metrics.depth import aligned_depth, depth_at_size

if TYPE_CHECKING:
    from geopretrain.tasks.base import DepthTask

LARGE_ERROR = 0.3
"""Relative error that gets the last red."""


def draw_scored(
    task: DepthTask,
    frames: Sequence[MeasuredFrame],
    protocol: str | DepthProtocol,
    *,
    count: int,
    size: Size | None = None,
    flip: bool = False,
) -> pictures.Picture | None:
    """Return a row for each of ``count`` evenly spread frames; None where none of them can be shown.

    A row has the picture, the true and the predicted depth in the same logarithmic colours (near is bright),
    the relative error after the alignment of the protocol (blue is none), and where edges are known, those of
    the prediction beside them. What is damaged is left out in silence: the scores have named it.
    """
    rules = fitting_protocol(task.depth_meaning, protocol)
    chosen = at_bottom([frames[i] for i in spread_positions(len(frames), count)], rules.bottom)
    reads = ((frame.name, partial(depth_parts, task, frame, rules, size=size, flip=flip)) for frame in chosen)
    rows = [
        pictures.side_by_side(list(parts.values()), [name, *list(parts)[1:]])
        for name, parts in readable(reads, [], said=False)
        if parts
    ]
    return pictures.grid(rows) if rows else None


def depth_parts(
    task: DepthTask,
    frame: MeasuredFrame,
    rules: DepthProtocol,
    *,
    size: Size | None = None,
    flip: bool = False,
) -> dict[str, pictures.Picture]:
    """Return ``image``, ``truth``, ``prediction``, ``error`` and perhaps ``edges``, see `draw_scored`.

    Nothing where no pixel of the frame counts.

    Args:
        task: predicts depth.
        frame: to show.
        rules: fitting to what the task knows.
        size: (height, width) px the network works at.
        flip: average the prediction with that of the mirrored picture.

    Raises:
        DataError: the frame is damaged.
    """
    truth, image = frame.read()
    disparity = predict_disparity(task, image, size, flip=flip)
    predicted = depth_at_size(disparity, (truth.shape[0], truth.shape[1]), rules)
    depth = aligned_depth(predicted, truth, rules)
    return {} if depth is None else _parts(frame, truth, image, depth)


def truth_parts(truth: NDArray[np.floating], image: NDArray[np.uint8]) -> dict[str, pictures.Picture]:
    """Return ``image``, at the size of the truth, and ``truth`` in the colours of `draw_scored`."""
    import cv2

    height, width = truth.shape
    how = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
    shown = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
    known = _known(truth)
    return {"image": shown, "truth": _near_is_bright(np.where(known, truth, np.nan), _limits(truth[known]))}


def _parts(
    frame: MeasuredFrame, truth: NDArray[np.floating], image: NDArray[np.uint8], depth: NDArray[np.floating]
) -> dict[str, pictures.Picture]:
    known = _known(truth)
    error = np.where(known, np.abs(depth - truth) / np.where(known, truth, 1), np.nan)
    parts = {
        **truth_parts(truth, image),
        "prediction": _near_is_bright(depth, _limits(truth[known])),
        "error": pictures.error_map(error, LARGE_ERROR, what="relative error"),
    }
    structure = frame.structure()
    if structure is not None and structure.edges is not None:
        found = depth_edges(np.where(known, depth, 0))
        parts["edges"] = pictures.edge_map(parts["image"], structure.edges, found)
    return parts


def _known(truth: NDArray[np.floating]) -> NDArray[np.bool_]:
    return (truth > 0) & np.isfinite(truth)


def _limits(measured: NDArray[np.floating]) -> tuple[float, float]:
    """Return what gets the darkest and the brightest colour."""
    low, high = np.percentile(-np.log(measured), (5, 99))
    return float(low), float(high)


def _near_is_bright(depth: NDArray[np.floating], limits: tuple[float, float]) -> pictures.Picture:
    with np.errstate(divide="ignore", invalid="ignore"):
        return pictures.colour_depth(-np.log(np.where(depth > 0, depth, np.nan)), limits)
