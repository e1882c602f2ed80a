"""How much the picture moves: optical flow, the stride that suits it, scene cuts, targets worth learning
from.

Flow is OpenCV's DIS (Kroeger 2016, "medium" preset) on grey images at working size; "motion" is its mean
length in px.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

STRIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)
_SAMPLED_PAIRS, _FEWEST_PAIRS, _EACH, _CLOSER_LOOK = 24, 4, 4, 12
"""Pairs looked at for a stride, at most and at least: of clips under a hundred frames every fourth one, and
some more where that decides nothing."""
_CLOSE, _UNCLEAR = 3.0, 0.1
"""Ratio of distances from the wanted motion under which two strides are looked at more closely, and relative
distance from the least growth."""
_STATIC_FRACTION = 0.2
"""Of the clip's 80th percentile of motion; slower than that counts as static when the stride is chosen."""
_MIN_GROWTH = 0.35
"""Fraction of proportional growth below which flow at a larger stride is lost track, not motion."""
_of_thread = threading.local()


@dataclass(frozen=True)
class PairMotion:
    """What changes between two frames.

    Attributes:
        mean: mean flow length, px.
        median: median flow length, px; near 0 with a static camera while things move.
        error: mean absolute grey difference after warping with the flow, 0..1.
        histogram: half the L1 distance of the 8x8x8 colour histograms, 0 (same colours) .. 1 (none in
            common).
    """

    mean: float
    median: float
    error: float
    histogram: float


def measure(first: np.ndarray, second: np.ndarray) -> PairMotion:
    """Measure the motion between two ``H W 3`` uint8 frames."""
    import cv2

    grey_first, grey_second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    flow = _dis().calc(grey_first, grey_second, None)
    length = np.hypot(flow[..., 0], flow[..., 1])
    grid = _grid(*grey_first.shape)
    columns, rows = cv2.split(grid + flow)
    warped = cv2.remap(grey_second, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = float(cv2.absdiff(grey_first, warped).mean()) / 255
    distance = 0.5 * float(np.abs(colours(first) - colours(second)).sum())
    return PairMotion(float(length.mean()), float(np.median(length)), error, distance)


def flow_lengths(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the mean and the median flow length in px between two ``H W 3`` uint8 frames."""
    moved = flow(first, second)
    length = np.hypot(moved[..., 0], moved[..., 1])
    return float(length.mean()), float(np.median(length))


def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the optical flow ``H W 2`` px (right, down) from one ``H W 3`` uint8 frame to another."""
    import cv2

    grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    return np.asarray(_dis().calc(*grey, None))


def grey_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean absolute difference of the grey values of two ``H W 3`` uint8 frames, 0..1."""
    import cv2

    grey_first, grey_second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    return float(cv2.absdiff(grey_first, grey_second).mean()) / 255


def dense_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow ``2 H W`` px (right, down) from one ``H W 3`` uint8 frame to another."""
    import cv2

    flow = _dis().calc(*(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)), None)
    return np.asarray(flow.transpose(2, 0, 1))


def is_cut(errors: np.ndarray, histograms: np.ndarray) -> np.ndarray:
    """Return for each pair of neighbouring frames whether the scene changes between them.

    A cut is where flow cannot explain the next frame: the error left after warping is above 0.05 and above
    four times the clip's median, and either the colours change as well (histogram distance above 0.2) or the
    error is above 0.1. NaN: not measured, since the two frames hardly differ.
    """
    usual = float(np.nanmedian(errors)) if np.isfinite(errors).any() else 0.0
    errors, histograms = np.nan_to_num(errors), np.nan_to_num(histograms)
    return (errors > max(0.05, 4 * usual)) & ((histograms > 0.2) | (errors > 0.1))


def choose_stride(
    flow: Callable[[int, int], float], frames: Sequence[int], steps: np.ndarray, target_motion: float
) -> tuple[int, dict[int, float]]:
    """Return the stride whose mean flow is nearest to ``target_motion``, and the mean flow of the strides
    tried.

    Pairs are sampled where the camera moves. Strides grow until a longer one cannot be among the two that are
    nearest, or flow stops growing with the stride (then the frames are too far apart for it to follow them).

    Args:
        flow: mean flow in px between two frames by number.
        frames: numbers of the readable frames, ascending.
        steps: mean flow from each of ``frames`` to the next one, px; NaN where it is not known.
        target_motion: wanted mean flow, px.
    """
    present = set(frames)
    moving = _moving(frames, steps)
    starts = {stride: [f for f in moving if f + stride in present] for stride in STRIDES}

    def motion(stride: int, fewest: int = _FEWEST_PAIRS) -> float:
        count = min(_SAMPLED_PAIRS, max(fewest, len(starts[stride]) // _EACH))
        few = np.unique(np.linspace(0, len(starts[stride]) - 1, count).astype(int))
        return float(np.mean([flow(f, f + stride) for f in (starts[stride][i] for i in few)]))

    motions: dict[int, float] = {}
    for stride in STRIDES:
        if not starts[stride] or (stride > 1 and frames[-1] - frames[0] < 2 * stride):
            break
        found = motion(stride)
        least = _least_growth(motions, stride) if motions else 0.0
        if motions and abs(found - least) < _UNCLEAR * least:
            last = max(motions)
            motions[last], found = motion(last, _CLOSER_LOOK), motion(stride, _CLOSER_LOOK)
        if motions and found < _least_growth(motions, stride):
            break
        motions[stride] = found
        if _is_settled(motions, target_motion):
            break
    if not motions:
        return 1, {}
    nearest = sorted(motions, key=lambda s: abs(motions[s] - target_motion))[:2]
    best, next_best = (abs(motions[s] - target_motion) for s in (nearest[0], nearest[-1]))
    if next_best < _CLOSE * best:
        motions |= {stride: motion(stride, _CLOSER_LOOK) for stride in nearest}
    return min(motions, key=lambda s: abs(motions[s] - target_motion)), motions


def target_frames(frames: Sequence[int], stride: int) -> list[int]:
    """Return the frames which have a neighbour at ``-stride`` and ``+stride``."""
    present = set(frames)
    return [f for f in frames if f - stride in present and f + stride in present]


def _moving(frames: Sequence[int], steps: np.ndarray) -> list[int]:
    """Return the frames from which the picture moves on, all of them where nothing is known."""
    measured = steps[np.isfinite(steps)]
    if not len(measured):
        return list(frames)
    threshold = _STATIC_FRACTION * np.percentile(measured, 80)
    return [f for f, step in zip(frames, steps, strict=True) if not step < threshold]


def _least_growth(motions: dict[int, float], stride: int) -> float:
    """Return the motion at a stride below which flow has lost track since the stride before."""
    last, before = max(motions), motions[max(motions)]
    return before * (1 + _MIN_GROWTH * (stride / last - 1))


def _is_settled(motions: dict[int, float], target_motion: float) -> bool:
    """Return whether no longer stride can be among the two nearest to the target, as motion grows with it."""
    last = max(motions)
    longer = next((stride for stride in STRIDES if stride > last), None)
    if longer is None or motions[last] <= target_motion:
        return longer is None
    distances = sorted(abs(motion - target_motion) for motion in motions.values())
    return _least_growth(motions, longer) - target_motion > distances[:2][-1]


def colours(image: np.ndarray) -> np.ndarray:
    """Return the normalised 8x8x8 colour histogram."""
    bins = image >> 5
    codes = (bins[..., 0].astype(np.int32) << 6) | (bins[..., 1].astype(np.int32) << 3) | bins[..., 2]
    return np.bincount(codes.ravel(), minlength=512) / codes.size


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def _dis() -> Any:
    """Return what measures flow, one for each thread: it keeps what it works on in itself."""
    if not hasattr(_of_thread, "dis"):
        import cv2

        _of_thread.dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _of_thread.dis
