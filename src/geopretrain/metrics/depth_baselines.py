"""Baselines of depth, predictions that have not seen the picture: constant, row-wise, ground ramp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.errors import DataError
from geopretrain.metrics.depth import evaluate_depth_maps
from geopretrain.metrics.depth_protocols import DepthProtocol, get_protocol, measured, valid_mask

Size = tuple[int, int]

HORIZONS = np.linspace(0.1, 0.7, 31)
"""Heights of the horizon that are tried, as fractions of the image height from the top."""
FLOORS = np.geomspace(0.005, 0.5, 12)
"""Smallest disparities that are tried; 1 is that of the ground one image height below the horizon."""
RAMP_PIXELS = 500
"""Pixels of a frame that a ramp is fitted to, evenly spread over those that count."""


def constant_baseline(
    other_gts: Sequence[ArrayLike], size: Size, protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """The same depth everywhere: the median over the OTHER frames of their median depth. Returns ``H W``."""
    return _Baselines(other_gts, protocol).constant(size)


def row_wise_baseline(
    other_gts: Sequence[ArrayLike], size: Size, protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """One depth per row: median over the OTHER frames of the median depth of that row. Returns ``H W``.

    Frames count by their measurements in the row, in units of their own median depth; the median of these
    gives the metres. The baseline knows that the floor is near and the horizon far, and nothing about the
    picture. Rows without any measurement take the value of the nearest rows that have one.
    """
    return _Baselines(other_gts, protocol).row_wise(size)


def ground_ramp_baseline(
    other_gts: Sequence[ArrayLike], size: Size, protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """Flat ground below a horizon, one far depth above it, fitted to the OTHER frames. Returns ``H W``.

    Disparity grows linearly below the horizon and has a least value; both are those of ``HORIZONS`` and
    ``FLOORS`` with the smallest mean AbsRel over the other frames, each scaled to its median.
    """
    return _Baselines(other_gts, protocol).ground_ramp(size)


def baseline_errors(
    gts: Sequence[ArrayLike],
    protocol: DepthProtocol | str,
    *,
    min_gap: int = 10,
    made_from: Sequence[ArrayLike] = (),
) -> dict[str, dict[str, Any]]:
    """Errors of ``constant``, ``row_wise``, ``ground_ramp`` under the protocol the network is held to.

    The baselines are in metres, so that a protocol's fixed factor does not apply to them.

    Args:
        gts: true depths ``H W``, m, in the order of time.
        protocol: what they are scored under.
        min_gap: the baseline of a frame is made from the frames at least so many places away (neighbouring
            video frames show the same scene, so they would give the answer away); where there are none, from
            all other frames.
        made_from: true depths of further frames; where given, every baseline is made from these alone.

    Returns:
        {} where there are no other frames to make them from.
    """
    rules = replace(get_protocol(protocol) if isinstance(protocol, str) else protocol, scale=1.0)
    truths = [np.asarray(gt) for gt in gts]
    if not made_from and sum(measured(gt, rules).any() for gt in truths) < 2:
        return {}
    baselines = _Baselines(made_from or truths, rules)
    makers = {
        "constant": baselines.constant,
        "row_wise": baselines.row_wise,
        "ground_ramp": baselines.ground_ramp,
    }
    used = [None if made_from else baselines.away_from(i, min_gap) for i in range(len(truths))]
    return {
        name: evaluate_depth_maps(
            (make(t.shape, u) for t, u in zip(truths, used, strict=True)), truths, rules
        )
        for name, make in makers.items()
    }


class _Baselines:
    """What the baselines need to know of each of ``N`` frames, gathered once."""

    def __init__(self, gts: Sequence[ArrayLike], protocol: DepthProtocol | str) -> None:
        self.rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
        self.gts = [np.asarray(gt) for gt in gts]
        masks = [measured(gt, self.rules) for gt in self.gts]
        self.medians = np.array(
            [np.median(gt[mask]) if mask.any() else np.nan for gt, mask in zip(self.gts, masks, strict=True)]
        )
        if not np.isfinite(self.medians).any():
            raise DataError("A baseline needs at least one other frame with measured depth.")
        self._profiles: dict[int, NDArray[np.float64]] = {}

    def away_from(self, position: int, min_gap: int) -> NDArray[np.bool_]:
        """Return which frames (``N`` bool) the baseline of the frame at ``position`` may be made from."""
        distance = np.abs(np.arange(len(self.gts)) - position)
        away = distance >= min_gap
        return away if np.isfinite(self.medians[away]).any() else distance > 0

    def constant(self, size: Size, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        return np.full(size, np.nanmedian(self.medians[_all(used)]))

    def row_wise(self, size: Size, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        if size[0] not in self._profiles:
            medians, counts = np.stack([row_profile(gt, self.rules, size[0]) for gt in self.gts], 1)
            self._profiles[size[0]] = np.stack([medians / self.medians[:, None], counts])
        medians, counts = self._profiles[size[0]][:, _all(used)]
        measured_rows = np.flatnonzero(counts.any(axis=0))
        middle = weighted_median(medians[:, measured_rows], counts[:, measured_rows])
        depths = np.interp(np.arange(size[0]), measured_rows, middle)
        depths *= np.nanmedian(self.medians[_all(used)])
        return np.repeat(depths[:, None], size[1], axis=1)

    def ground_ramp(self, size: Size, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        errors, scales = (values[_all(used)] for values in self._ramps)
        if not np.isfinite(errors).any():
            return self.constant(size, used)
        best = int(np.argmin(np.nanmean(errors, axis=0)))
        horizon, floor = HORIZONS[best // FLOORS.size], FLOORS[best % FLOORS.size]
        rows = (np.arange(size[0]) + 0.5) / size[0]
        depths = np.nanmedian(scales[:, best]) / np.maximum(rows - horizon, floor)
        return np.repeat(depths[:, None], size[1], axis=1)

    @cached_property
    def _ramps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AbsRel after median scaling, and that scale, of each frame under each ramp, ``N ramps``."""
        found = np.stack([ramp_errors(gt, self.rules) for gt in self.gts])
        return found[:, 0], found[:, 1]


def _all(used: NDArray[np.bool_] | None) -> Any:
    return slice(None) if used is None else used


def row_profile(gt: ArrayLike, protocol: DepthProtocol, height: int) -> NDArray[np.float64]:
    """Median depth of each image row and number of its measurements, ``2 rows``; 0 and 0 without any.

    The rows are resampled to ``height``.
    """
    array = np.asarray(gt)
    rows = ((np.arange(height) + 0.5) * array.shape[0] / height).astype(int)
    mask = measured(array, protocol)
    medians = [np.median(r[m]) if m.any() else 0.0 for r, m in zip(array, mask, strict=True)]
    return np.stack([medians, mask.sum(axis=1)])[:, rows]


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median over the first axis of ``N ...`` values of which each counts ``weights`` times."""
    order = np.argsort(values, axis=0)
    values, weights = (np.take_along_axis(array, order, axis=0) for array in (values, weights))
    below = np.cumsum(weights, axis=0)
    half = below[-1] / 2
    first, second = (below >= half).argmax(axis=0), (below > half).argmax(axis=0)
    pair = [np.take_along_axis(values, place[None], axis=0)[0] for place in (first, second)]
    return (pair[0] + pair[1]) / 2


def ramp_errors(gt: NDArray[Any], protocol: DepthProtocol) -> NDArray[np.float64]:
    """AbsRel after median scaling, and that scale, of every ramp for a frame, ``2 ramps``; NaN = no truth."""
    rows, columns = np.nonzero(valid_mask(gt, protocol))
    if rows.size == 0:
        return np.full((2, HORIZONS.size * FLOORS.size), np.nan)
    few = np.linspace(0, rows.size - 1, min(RAMP_PIXELS, rows.size)).astype(int)
    truth = gt[rows[few], columns[few]].astype(np.float64)
    below = (rows[few] + 0.5) / gt.shape[0] - HORIZONS[:, None]
    ramps = 1 / np.maximum(below[:, None], FLOORS[:, None]).reshape(-1, few.size)
    scale = np.median(truth) / np.median(ramps, axis=1)
    ramps = np.clip(ramps * scale[:, None], protocol.min_depth, protocol.max_depth)
    return np.stack([np.mean(np.abs(ramps - truth) / truth, axis=1), scale])
