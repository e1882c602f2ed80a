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
from geopretrain.evaluation.measured import MeasuredFrame, readable
from geopretrain.metrics import DepthProtocol
from geopretrain.metrics.boundaries import depth_edges
from geopretrain.metrics.depth import aligned_depth, depth_at_size

if TYPE_CHECKING:
    from geopretrain.tasks.base import DepthTask

LARGE_ERROR = 0.3
"""Relative error that gets the last red."""
_SPARSE = 0.3
"""Fraction of measured pixels below which they are widened, to be seen."""


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
    chosen = [frames[position] for position in spread_positions(len(frames), count)]
    rows = []
    for _, (frame, truth, image) in readable(((f.name, partial(_read, f)) for f in chosen), [], said=False):
        height, width = truth.shape
        predicted = depth_at_size(predict_disparity(task, image, size, flip=flip), (height, width), rules)
        depth = aligned_depth(predicted, truth, rules)
        if depth is not None:
            rows.append(_row(frame, truth, image, depth))
    return pictures.grid(rows) if rows else None


def _read(frame: MeasuredFrame) -> tuple[MeasuredFrame, NDArray[np.floating], NDArray[np.uint8]]:
    return (frame, *frame.read())


def _row(
    frame: MeasuredFrame, truth: NDArray[np.floating], image: NDArray[np.uint8], depth: NDArray[np.floating]
) -> pictures.Picture:
    import cv2

    height, width = truth.shape
    how = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
    shown = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
    known = (truth > 0) & np.isfinite(truth)
    limits = tuple(np.percentile(-np.log(truth[known]), (5, 99)))
    grow = 1 + round(height / 200) if known.mean() < _SPARSE else 0
    error = np.where(known, np.abs(depth - truth) / np.where(known, truth, 1), np.nan)
    parts = {
        frame.name: shown,
        "truth": _near_is_bright(np.where(known, truth, np.nan), limits),
        "prediction": _near_is_bright(depth, limits),
        "error": pictures.error_map(error, LARGE_ERROR, what="relative error", grow=grow),
    }
    structure = frame.structure()
    if structure is not None and structure.edges is not None:
        found = depth_edges(np.where(known, depth, 0))
        parts["edges"] = pictures.edge_map(shown, structure.edges, found)
    return pictures.side_by_side(list(parts.values()), list(parts))


def _near_is_bright(depth: NDArray[np.floating], limits: tuple[float, float]) -> pictures.Picture:
    with np.errstate(divide="ignore", invalid="ignore"):
        return pictures.colour_depth(-np.log(np.where(depth > 0, depth, np.nan)), limits)
