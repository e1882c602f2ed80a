"""Baselines of depth, predictions that have not seen the picture: constant, row-wise, ground ramp."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.errors import DataError
from geopretrain.metrics.depth import DepthScores
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
    return _made_from(other_gts, protocol).constant(size)


def row_wise_baseline(
    other_gts: Sequence[ArrayLike], size: Size, protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """One depth per row: median over the OTHER frames of the median depth of that row. Returns ``H W``.

    Frames count by their measurements in the row, in units of their own median depth; the median of these
    gives the metres. The baseline knows that the floor is near and the horizon far, and nothing about the
    picture. Rows without any measurement take the value of the nearest rows that have one.
    """
    return _made_from(other_gts, protocol).row_wise(size)


def ground_ramp_baseline(
    other_gts: Sequence[ArrayLike], size: Size, protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """Flat ground below a horizon, one far depth above it, fitted to the OTHER frames. Returns ``H W``.

    Disparity grows linearly below the horizon and has a least value; both are those of ``HORIZONS`` and
    ``FLOORS`` with the smallest mean AbsRel over the other frames, each scaled to its median.
    """
    return _made_from(other_gts, protocol).ground_ramp(size)


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
    if not made_from and not _comparable(gts, protocol):
        return {}
    return _made_from(made_from or gts, protocol).errors(gts, None if made_from else min_gap)


def _made_from(gts: Sequence[ArrayLike], protocol: DepthProtocol | str) -> DepthBaselines:
    baselines = DepthBaselines(protocol)
    for gt in gts:
        baselines.add(gt)
    return baselines


def _comparable(gts: Sequence[ArrayLike], protocol: DepthProtocol | str) -> bool:
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    return sum(bool(measured(np.asarray(gt), rules).any()) for gt in gts) >= 2


class DepthBaselines:
    """The baselines made from frames that are given one after the other; no frame is kept.

    Of each frame remain its median, the medians of its rows and the errors of the ramps, some kilobytes.
    """

    def __init__(self, protocol: DepthProtocol | str) -> None:
        rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
        self.rules = replace(rules, scale=1.0)  # the baselines are in metres
        self._medians: list[float] = []
        self._rows: list[NDArray[np.float64]] = []
        self._ramps: list[NDArray[np.float64]] = []
        self._profiles: dict[int, NDArray[np.float64]] = {}
        self._ramp_table: NDArray[np.float64] | None = None

    def add(self, truth: ArrayLike) -> None:
        """Make the baselines from this frame (true depth ``H W``, m), too."""
        gt = np.asarray(truth)
        mask = measured(gt, self.rules)
        self._medians.append(float(np.median(gt[mask])) if mask.any() else np.nan)
        self._rows.append(row_profile(gt, self.rules, gt.shape[0]))
        self._ramps.append(ramp_errors(gt, self.rules))
        self._profiles, self._ramp_table = {}, None

    @property
    def frames(self) -> int:
        """Number of frames with measured depth that they are made from."""
        return int(np.isfinite(self._medians).sum())

    def errors(self, gts: Iterable[ArrayLike], min_gap: int | None) -> dict[str, dict[str, Any]]:
        """Return the errors of each baseline on frames.

        Args:
            gts: true depths ``H W``, m; where the baselines are made from the same frames, in the same order.
            min_gap: see `baseline_errors`; None where the frames are others.

        Raises:
            DataError: no frame with measured depth was added.
        """
        makers = {"constant": self.constant, "row_wise": self.row_wise, "ground_ramp": self.ground_ramp}
        scores = {name: DepthScores(self.rules) for name in makers}
        for position, truth in enumerate(gts):
            gt = np.asarray(truth)
            used = None if min_gap is None else self.away_from(position, min_gap)
            for name, make in makers.items():
                scores[name].add(make((gt.shape[0], gt.shape[1]), used), gt)
        return {name: one.result() for name, one in scores.items()}

    def away_from(self, position: int, min_gap: int) -> NDArray[np.bool_]:
        """Return which frames (``N`` bool) the baseline of the frame at ``position`` may be made from."""
        distance = np.abs(np.arange(len(self._medians)) - position)
        away = distance >= min_gap
        return away if np.isfinite(self._known()[away]).any() else distance > 0

    def constant(self, size: Size, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return the median of the medians everywhere, ``H W``."""
        return np.full(size, np.nanmedian(self._known()[_all(used)]))

    def row_wise(self, size: Size, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return the median of each row over the frames, ``H W``."""
        known = self._known()
        if size[0] not in self._profiles:
            medians, counts = np.stack([_resampled(rows, size[0]) for rows in self._rows], 1)
            self._profiles[size[0]] = np.stack([medians / known[:, None], counts])
        medians, counts = self._profiles[size[0]][:, _all(used)]
        measured_rows = np.flatnonzero(counts.any(axis=0))
        middle = weighted_median(medians[:, measured_rows], counts[:, measured_rows])
        depths = np.interp(np.arange(size[0]), measured_rows, middle)
        depths *= np.nanmedian(known[_all(used)])
        return np.repeat(depths[:, None], size[1], axis=1)

    def ground_ramp(self, size: Size, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return the ramp that fits the frames best, ``H W``."""
        if self._ramp_table is None:
            self._ramp_table = np.stack(self._ramps, axis=1)
        errors, scales = (values[_all(used)] for values in self._ramp_table)
        if not np.isfinite(errors).any():
            return self.constant(size, used)
        best = int(np.argmin(np.nanmean(errors, axis=0)))
        horizon, floor = HORIZONS[best // FLOORS.size], FLOORS[best % FLOORS.size]
        rows = (np.arange(size[0]) + 0.5) / size[0]
        depths = np.nanmedian(scales[:, best]) / np.maximum(rows - horizon, floor)
        return np.repeat(depths[:, None], size[1], axis=1)

    def _known(self) -> NDArray[np.float64]:
        """Return the medians of the frames, NaN without any measurement (DataError where all are)."""
        if not self.frames:
            raise DataError("A baseline needs at least one other frame with measured depth.")
        return np.array(self._medians)


def _all(used: NDArray[np.bool_] | None) -> Any:
    return slice(None) if used is None else used


def row_profile(gt: ArrayLike, protocol: DepthProtocol, height: int) -> NDArray[np.float64]:
    """Median depth of each image row and number of its measurements, ``2 rows``; 0 and 0 without any.

    The rows are resampled to ``height``.
    """
    array = np.asarray(gt)
    mask = measured(array, protocol)
    medians = [np.median(r[m]) if m.any() else 0.0 for r, m in zip(array, mask, strict=True)]
    return _resampled(np.stack([medians, mask.sum(axis=1)]), height)


def _resampled(profile: NDArray[np.float64], height: int) -> NDArray[np.float64]:
    """Return a profile ``2 rows`` with as many rows as ``height``."""
    rows = ((np.arange(height) + 0.5) * profile.shape[1] / height).astype(int)
    return profile[:, rows]


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
