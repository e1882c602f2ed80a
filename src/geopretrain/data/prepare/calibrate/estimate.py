"""One camera from what several windows of a video say, and whether it can be believed."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from geopretrain.data.prepare.calibrate.window import WindowResult

MAX_DOUBT = 0.03
"""Standard error of the focal length, relative, as far as the windows that hold no other tell it by how they
scatter: above, it is not believed. What a window says of its own error is too small (a tenth on driving)."""
_AGREES = 0.06
"""Relative difference from the common focal length up to which the poses of a window are kept."""
_MIN_REGISTERED, _MAX_ERROR, _MAX_BEND = 0.7, 1.3, 0.6
_VAGUE = 0.03
"""Formal uncertainty of a window's focal length above which it says nothing."""
_FLOOR = 0.002
"""Formal uncertainty below which windows count alike: what is not in the model is larger."""
_SURE, _ALIKE = 0.02, 0.025
"""Formal uncertainty, and difference of the two models of a lens, at which one window alone is believed."""
_ANGLES = (20.0, 140.0)  # degrees


@dataclass(frozen=True)
class Estimate:
    """The camera of a video as its frames say it.

    Attributes:
        focal: in long sides of the picture; 0 where no window gives one.
        bend: coefficient of COLMAP's SIMPLE_RADIAL.
        spread: relative, of the focal lengths of the windows that hold no other.
        doubt: standard error of the focal length, relative, by how these scatter; 0 for one alone.
        windows, used: number of windows, and of those that say something.
        registered: fraction of the frames of these that have a pose.
        error: mean reprojection error, px of the frames used.
        problem: why it is not believed; None where it is.
        agreeing: positions of the windows that say something, and nearly this focal length.
    """

    focal: float
    bend: float
    spread: float
    doubt: float
    windows: int
    used: int
    registered: float
    error: float
    problem: str | None = None
    agreeing: tuple[int, ...] = ()


def combined(results: Sequence[WindowResult], frames: Sequence[Set[object]] | None = None) -> Estimate:
    """Return the estimate of several windows: the median, weighted by how much each says of the focal length.

    The focal length is that of a camera with distortion, also where only the focal length is asked for:
    without, small bends go into it (3 to 9 % on KITTI, 4 to 6 % on 7-Scenes). How far the two are apart
    counts as uncertainty of a window, too: few frames cannot tell a bend from a focal length.

    Args:
        results: of the windows.
        frames: of each; of a short video they are all of it and its halves, which agree with it by
            themselves, so that only the halves tell whether windows agree. None: no window holds another.
    """
    places = [at for at, one in enumerate(results) if _is_usable(one)]
    usable = [results[at] for at in places]
    if not usable:
        registered = [one.registered / one.frames for one in results if one.frames]
        share = float(np.mean(registered)) if registered else 0.0
        return Estimate(0, 0, 1, 1, len(results), 0, share, 0, _why_none(results))
    weights = np.array([1 / (one.uncertainty**2 + _FLOOR**2 + (_apart(one) / 2) ** 2) for one in usable])
    logs = np.log([one.focal for one in usable])
    middle = weighted_median(logs, weights)
    apart = np.abs(logs - middle)
    alone = _alone([frames[at] for at in places] if frames else [{at} for at in places])
    estimate = Estimate(
        focal=float(np.exp(middle)),
        bend=weighted_median(np.array([one.bend for one in usable]), weights),
        spread=float(np.average(apart[alone], weights=weights[alone])),
        doubt=_standard_error(apart[alone], weights[alone]),
        windows=len(results),
        used=len(usable),
        registered=sum(one.registered for one in usable) / sum(one.frames for one in usable),
        error=float(np.average([one.error for one in usable], weights=weights)),
        agreeing=tuple(at for at, off in zip(places, apart, strict=True) if off < _AGREES),
    )
    return _judged(estimate, usable, int(alone.sum()))


def _standard_error(apart: np.ndarray, weights: np.ndarray) -> float:
    """Return the standard error of a mean of values that lie so far from it; 0 for one value."""
    return (
        float((np.average(apart**2, weights=weights) / max(len(apart) - 1, 1)) ** 0.5)
        if len(apart) > 1
        else 0.0
    )


def _alone(frames: Sequence[Set[object]]) -> np.ndarray:
    """Return which windows hold no other one, bool."""
    return np.array([not any(other < own for other in frames) for own in frames], dtype=bool)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the value with half of the weight on either side, between two values by interpolation."""
    order = np.argsort(values)
    values, weights = np.asarray(values, dtype=np.float64)[order], np.asarray(weights)[order]
    middles = np.cumsum(weights) - weights / 2
    return float(np.interp(weights.sum() / 2, middles, values))


def _is_usable(one: WindowResult) -> bool:
    if one.registered < max(3, _MIN_REGISTERED * one.frames) or not 0 < one.error < _MAX_ERROR:
        return False
    if abs(one.bend) > _MAX_BEND or one.uncertainty > _VAGUE or min(one.focal, one.pinhole_focal) <= 0:
        return False
    angles = [2 * np.degrees(np.arctan(0.5 / focal)) for focal in (one.focal, one.pinhole_focal)]
    return all(_ANGLES[0] < angle < _ANGLES[1] for angle in angles)


def _judged(estimate: Estimate, usable: Sequence[WindowResult], alone: int) -> Estimate:
    """Return an estimate with the sentence about why it is not believed, where it is not.

    Args:
        estimate: of all windows.
        usable: those that say something.
        alone: how many of them hold no other one.
    """
    if estimate.doubt > MAX_DOUBT:
        what = f"its windows disagree by {estimate.spread:.0%} about the focal length"
        return replace(estimate, problem=what)
    best = min(usable, key=lambda one: one.uncertainty)
    if alone == 1 and (best.uncertainty > _SURE or _apart(best) > _ALIKE):
        return replace(estimate, problem="only one window of it says something about the focal length")
    return estimate


def _apart(one: WindowResult) -> float:
    """Return by how much the focal lengths with and without distortion differ, relative."""
    return abs(float(np.log(one.focal / one.pinhole_focal)))


def _why_none(results: Sequence[WindowResult]) -> str:
    if not results:
        return "it has no six frames in a row from a camera that moves"
    if all(one.registered < max(3, _MIN_REGISTERED * one.frames) for one in results):
        return "its frames cannot be put together (too little texture, too far apart, or no parallax)"
    return "its frames do not tell the focal length (the camera hardly turns, or much of what it sees moves)"
