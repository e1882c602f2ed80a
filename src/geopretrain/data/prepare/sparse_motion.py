"""Motion that is not measured between all pairs of frames, but where it may have changed.

How much the grey values of two small frames differ costs a thirtieth of their flow. Where that is steady, so
is the motion, and what lies between two measured pairs is interpolated; a cut, a stop, a doubled frame or a
jerk shows in it and is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from geopretrain.data.prepare.motion import PairMotion, colours, grey_difference, measure

EVERY = 4
"""Of neighbouring frames: between these motion is measured in any case, while decoding."""
_EVERY_TARGET = 8
_STEADY = (0.65, 1.5)
"""Ratio of differences of grey values between which the motion counts as unchanged."""
_NOISE = 0.002
"""Difference of grey values that is compression, not motion."""
_ALIKE = 1.3
"""Ratio of the mean flow of two measured pairs up to which those between them are interpolated."""
_NEAR = (0.7, 1.15)
"""Of the least motion: pairs in between are measured, for they may be left out."""
_CUT_ERROR, _CUT_COLOURS, _SURE_CUT = 0.05, 0.2, 0.1

Lengths = tuple[float, float]


def measure_if_due(
    index: int, before: np.ndarray, image: np.ndarray, last: float | None
) -> tuple[float, PairMotion | None]:
    """Return how much two neighbouring frames differ, and their motion where it must be measured.

    Args:
        index: number of the second frame.
        before, image: ``H W 3`` uint8.
        last: difference of the last pair that was measured, None where there is none.
    """
    difference = grey_difference(before, image)
    due = index % EVERY == 0 or last is None or not is_steady(difference, last)
    if due or _may_be_cut(difference, before, image):
        return difference, measure(before, image)
    return difference, None


def _may_be_cut(difference: float, before: np.ndarray, image: np.ndarray) -> bool:
    """Return whether a scene may change here; what flow cannot explain is hardly more than what differs."""
    if difference <= _CUT_ERROR:
        return False
    if difference > _SURE_CUT:
        return True
    return bool(0.5 * np.abs(colours(before) - colours(image)).sum() > _CUT_COLOURS)


def is_steady(difference: float, last: float) -> bool:
    """Return whether two differences of grey values are of the same motion."""
    ratio = (difference + _NOISE) / (last + _NOISE)
    return _STEADY[0] < ratio < _STEADY[1]


def filled(steps: np.ndarray) -> np.ndarray:
    """Return measurements of neighbouring pairs, NaN between two of them interpolated."""
    known = np.flatnonzero(np.isfinite(steps))
    if not len(known):
        return steps
    places = np.arange(len(steps))
    between = (places > known[0]) & (places < known[-1])
    return np.where(between, np.interp(places, known, steps[known]), steps)


def lengths_between(
    starts: Sequence[int],
    lengths: Callable[[int], Lengths],
    difference: Callable[[int], float],
    min_motion: float,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[int, Lengths]:
    """Return mean and median flow (px) of the pairs that begin with some frames.

    Args:
        starts: numbers of the first frames, ascending.
        lengths: measures a pair.
        difference: of the grey values of a pair.
        min_motion: mean flow (px) under which a pair will be left out; near it all are measured.
        advance: called with the number of pairs done since the last call.
    """
    found: dict[int, Lengths] = {}
    differences: dict[int, float] = {}

    def at(place: int) -> Lengths:
        if starts[place] not in found:
            found[starts[place]] = lengths(starts[place])
        return found[starts[place]]

    def differs(place: int) -> float:
        if place not in differences:
            differences[place] = difference(starts[place])
        return differences[place]

    def fill(low: int, high: int) -> None:
        ends = at(low), at(high)
        if high - low < 2:
            return
        if starts[high] - starts[low] == high - low and _alike(*ends, min_motion):
            expected = np.linspace(differs(low), differs(high), high - low + 1)[1:-1]
            if all(is_steady(differs(low + 1 + n), float(one)) for n, one in enumerate(expected)):
                between = np.linspace(ends[0], ends[1], high - low + 1)[1:-1].tolist()
                found.update(
                    {starts[low + 1 + n]: (mean, median) for n, (mean, median) in enumerate(between)}
                )
                return
        middle = (low + high) // 2
        fill(low, middle)
        fill(middle, high)

    places = sorted({*range(0, len(starts), _EVERY_TARGET), len(starts) - 1}) if starts else []
    if len(places) == 1:
        at(0)
    for low, high in pairwise(places):
        fill(low, high)
        advance(high - low)
    return found


def _alike(first: Lengths, second: Lengths, min_motion: float) -> bool:
    """Return whether what lies between two pairs may be interpolated: both move alike, or both hardly."""
    low, high = sorted((first[0], second[0]))
    if high < _NEAR[0] * min_motion:
        return True
    return low > _NEAR[1] * min_motion and high <= _ALIKE * low
