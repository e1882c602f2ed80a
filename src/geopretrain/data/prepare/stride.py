"""The stride that suits a segment: how far apart frames are that show about the wanted motion.

Motion grows with the stride. Where it does not, flow has lost track, and a stride as long as that is not
taken. How it grows is told by a quick measure (a tenth of the time, 0 to 20 % shorter) where that is clear,
and by flow proper where it is not, or where two strides are about as good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

STRIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)
_QUICK = 0.05
"""Relative distance from the least growth above which the quick measure tells whether flow has lost track."""
_LOOKS = ((4, 0.1), (8, 0.05), (12, 0.0))
"""Pairs looked at where it does not, and the relative distance under which more are."""
_NEAR = 0.15
"""Relative distance from the wanted motion under which the quick measure does not tell how much moves."""
_MOST_PAIRS, _EACH = 24, 4
"""Pairs looked at for a stride at most, and of the pairs of long clips every which one."""
_CLOSER_LOOK, _CLOSE = 12, 3.0
"""Pairs of two strides looked at where the ratio of their distances from the wanted motion is under this."""
_STATIC_FRACTION = 0.2
"""Of the clip's 80th percentile of motion; slower than that counts as static when the stride is chosen."""
_MIN_GROWTH = 0.35
"""Fraction of proportional growth below which flow at a larger stride is lost track, not motion."""


def choose_stride(
    flow: Callable[[int, int], float],
    quick: Callable[[int, int], float],
    frames: Sequence[int],
    steps: np.ndarray,
    target_motion: float,
) -> tuple[int, dict[int, float]]:
    """Return the stride whose mean flow is nearest to ``target_motion``, and the mean flow of the strides
    tried.

    Pairs are sampled where the camera moves. Strides grow until a longer one cannot be nearer, or flow stops
    growing with the stride (then the frames are too far apart for it to follow them).

    Args:
        flow: mean flow in px between two frames by number.
        quick: about the same in a fraction of the time, shorter by about the same factor at all strides.
        frames: numbers of the readable frames, ascending.
        steps: mean flow from each of ``frames`` to the next one, px; NaN where it is not known.
        target_motion: wanted mean flow, px.
    """
    pairs = _Pairs(flow, quick, frames, steps)
    if not pairs.possible():
        return 1, {}
    motions = _tried(pairs, target_motion)

    def distance(stride: int) -> float:
        return abs(motions[stride] - target_motion)

    best, second = (*sorted(motions, key=distance), 1)[:2]
    enclosed = min(motions[best], motions[second]) < target_motion < max(motions[best], motions[second])
    if enclosed and distance(second) < _CLOSE * distance(best):
        motions |= {stride: pairs.closest(stride) for stride in (best, second)}
    return min(motions, key=distance), motions


def target_frames(frames: Sequence[int], stride: int) -> list[int]:
    """Return the frames which have a neighbour at ``-stride`` and ``+stride``."""
    present = set(frames)
    return [f for f in frames if f - stride in present and f + stride in present]


class _Pairs:
    """Pairs of frames of a segment at every stride."""

    def __init__(
        self,
        flow: Callable[[int, int], float],
        quick: Callable[[int, int], float],
        frames: Sequence[int],
        steps: np.ndarray,
    ) -> None:
        present, moving = set(frames), _moving(frames, steps)
        self._flow, self._length = flow, frames[-1] - frames[0]
        self._starts = {stride: [f for f in moving if f + stride in present] for stride in STRIDES}
        self._looked: dict[int, int] = {}
        step = dict(zip(frames, steps.tolist(), strict=True))
        self._known = [step[f] for f in self._starts[1] if np.isfinite(step[f])]
        self.quick = cache(lambda stride: self._mean(quick, stride, _CLOSER_LOOK))

    def possible(self) -> list[int]:
        """Return the strides up to the first one that has no pairs, or for which the segment is too short."""
        short = [s for s in STRIDES if not self._starts[s] or (s > 1 and self._length < 2 * s)]
        return [stride for stride in STRIDES if not short or stride < short[0]]

    def neighbours(self) -> float:
        """Return the mean flow (px) of neighbouring frames; measured only where it is not known."""
        return float(np.mean(self._known)) if self._known else self.motion(1, _LOOKS[0][0])

    def motion(self, stride: int, count: int) -> float:
        """Return the mean flow (px) of ``count`` pairs (fewer are among them), or of as many as before."""
        self._looked[stride] = count = max(count, self._looked.get(stride, 0))
        return self._mean(self._flow, stride, count)

    def closest(self, stride: int) -> float:
        """Return the mean flow (px) of a stride as well as it can be known."""
        if stride == 1 and len(self._known) >= _CLOSER_LOOK:
            return self.neighbours()
        return self.motion(stride, _CLOSER_LOOK)

    def _mean(self, flow: Callable[[int, int], float], stride: int, count: int) -> float:
        starts = self._starts[stride]
        every = len(starts) // _EACH
        places = _spread(len(starts), min(_MOST_PAIRS, max(_CLOSER_LOOK, every)))
        places = places[_spread(len(places), min(_MOST_PAIRS, max(count, every)))]
        return float(np.mean([flow(starts[i], starts[i] + stride) for i in places]))


def _spread(number: int, count: int) -> np.ndarray:
    """Return up to ``count`` of ``number`` places, from the first to the last."""
    return np.unique(np.linspace(0, number - 1, count).astype(int))


def _moving(frames: Sequence[int], steps: np.ndarray) -> list[int]:
    """Return the frames from which the picture moves on, all of them where nothing is known."""
    measured = steps[np.isfinite(steps)]
    if not len(measured):
        return list(frames)
    threshold = _STATIC_FRACTION * np.percentile(measured, 80)
    return [f for f, step in zip(frames, steps, strict=True) if not step < threshold]


def _tried(pairs: _Pairs, target_motion: float) -> dict[int, float]:
    """Return the mean flow (px) of the strides that are tried and at which flow has not lost track."""
    motions, last = {1: pairs.neighbours()}, 1
    for stride in pairs.possible()[1:]:
        least = motions[last] * _least_growth(last, stride)
        if motions[last] > target_motion or least - target_motion >= target_motion - motions[last]:
            break  # what is longer cannot be nearer
        before, found = pairs.quick(last), pairs.quick(stride)
        if _differ(found, before * _least_growth(last, stride), _QUICK):
            lost, motion = found < before * _least_growth(last, stride), _in_px(pairs, found)
            if not lost and not _differ(motion, target_motion, _NEAR):
                motion = pairs.motion(stride, _LOOKS[0][0])
        else:
            motions[last], motion, lost = _looked_at(pairs, last, stride)
        if lost:
            break
        motions[stride], last = motion, stride
    return motions


def _in_px(pairs: _Pairs, quick: float) -> float:
    """Return the mean flow (px) by the quick measure, which is as much too short as between neighbours."""
    return quick * pairs.neighbours() / pairs.quick(1) if pairs.quick(1) else quick


def _differ(value: float, other: float, relative: float) -> bool:
    return abs(value - other) >= relative * other


def _looked_at(pairs: _Pairs, last: int, stride: int) -> tuple[float, float, bool]:
    """Return the mean flow (px) of two strides, and whether flow has lost track at the longer one."""
    before = found = least = 0.0
    for count, unclear in _LOOKS:
        before, found = pairs.motion(last, count), pairs.motion(stride, count)
        least = before * _least_growth(last, stride)
        if _differ(found, least, unclear):
            break
    return before, found, found < least


def _least_growth(last: int, stride: int) -> float:
    """Return how many times as much moves at a stride, at least, where flow has not lost track."""
    return 1 + _MIN_GROWTH * (stride / last - 1)
