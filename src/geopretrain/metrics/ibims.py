"""The numbers of iBims-1 beside the usual ones: directed depth errors, errors by distance, and all of them.

Koch, Liebel, Fraundorfer, Körner, *Evaluation of CNN-based Single-Image Depth Estimation Methods*, ECCV
Workshops 2018, as the script that comes with the data set computes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.data.structure import Structure
from geopretrain.errors import DataError
from geopretrain.metrics.boundaries import boundary_errors, depth_edges
from geopretrain.metrics.planes import planarity_error

STRUCTURE_NAMES = ("dbe_acc", "dbe_com", "pe_plan", "pe_orie", "dde_0", "dde_m", "dde_p")
"""What `structure_errors` can give."""
DIRECTED_AT = 3.0
"""Distance of the plane that directed depth errors are about, m."""
FARTHEST_INTERVAL = 20
"""Intervals of 1 m in which errors by distance are given."""


def directed_errors(truth: ArrayLike, prediction: ArrayLike, at: float = DIRECTED_AT) -> dict[str, float]:
    """Return on which side of a plane ``at`` metres pixels are predicted.

    Returns:
        ``dde_0``: fraction on the right side; ``dde_m``: predicted nearer than it and farther in truth;
        ``dde_p``: the other way. Not a number where no pixel is known in both.
    """
    gt, pred = _both(truth, prediction)
    if not gt.size:
        return dict.fromkeys(("dde_0", "dde_m", "dde_p"), math.nan)
    far, seen_far = gt > at, pred > at
    return {
        "dde_0": float((far == seen_far).mean()),
        "dde_m": float((far & ~seen_far).mean()),
        "dde_p": float((~far & seen_far).mean()),
    }


def errors_by_distance(truth: ArrayLike, prediction: ArrayLike) -> dict[str, list[float]]:
    """Return ``abs_rel``, ``log10`` and ``rmse`` (m) of the truths in [0, 1] m, [1, 2] m, ... [19, 20] m.

    Both ends belong to an interval; not a number where no truth lies in it.
    """
    gt, pred = _both(truth, prediction)
    found: dict[str, list[float]] = {"abs_rel": [], "log10": [], "rmse": []}
    for end in range(1, FARTHEST_INTERVAL + 1):
        chosen = (gt >= end - 1) & (gt <= end)
        near, seen = gt[chosen], pred[chosen]
        values = (np.abs(near - seen) / near, np.abs(np.log10(near / seen)), (near - seen) ** 2)
        means = [float(one.mean()) if near.size else math.nan for one in values]
        for name, value in zip(found, (*means[:2], math.sqrt(means[2])), strict=True):
            found[name].append(value)
    return found


def structure_errors(
    truth: ArrayLike, prediction: ArrayLike, structure: Structure, *, smallest_plane: float | None = None
) -> dict[str, float]:
    """Return what the depth of edges and planes is like, and directed errors.

    Args:
        truth: depth ``H W``, m, 0 = none.
        prediction: depth ``H W``, m, after any alignment, 0 = none.
        structure: of the picture.
        smallest_plane: pixels, see `planarity_error`.

    Returns:
        ``dbe_acc``, ``dbe_com`` (px) with edges; ``pe_plan`` (cm) and ``pe_orie`` (degrees), means over the
        planes that are large enough, with planes; ``dde_0``, ``dde_m``, ``dde_p``. Not a number where nothing
        could be scored.
    """
    found = directed_errors(truth, prediction)
    if structure.edges is not None:
        found |= boundary_errors(structure.edges, depth_edges(prediction))
    if structure.planes and structure.intrinsics is not None:
        rows = [
            planarity_error(truth, prediction, plane, structure.intrinsics, smallest=smallest_plane)
            for plane in structure.planes
        ]
        found["pe_plan"] = mean_of_known([row["flatness_cm"] for row in rows])
        found["pe_orie"] = mean_of_known([row["orientation_deg"] for row in rows])
    return found


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean without what is not a number; not a number where nothing is left."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _both(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the depths ``N`` of pixels that both know."""
    gt, pred = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if gt.shape != pred.shape:
        raise DataError(f"Truth {gt.shape} and prediction {pred.shape} must have one size.")
    known = (gt > 0) & (pred > 0) & np.isfinite(gt) & np.isfinite(pred)
    return gt[known], pred[known]
