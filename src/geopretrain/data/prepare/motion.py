"""How much the picture moves: optical flow, scene cuts.

Flow is OpenCV's DIS (Kroeger 2016, "medium" preset) on grey images at working size; "motion" is its mean
length in px. The quick measure of it has the preset "ultrafast", which takes a tenth of the time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

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


def quick_length(first: np.ndarray, second: np.ndarray) -> float:
    """Return about the mean flow length in px between two ``H W 3`` uint8 frames, mostly too short."""
    import cv2

    grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    moved = _dis("ULTRAFAST").calc(*grey, None)
    return float(cv2.magnitude(*cv2.split(moved)).mean())


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


def colours(image: np.ndarray) -> np.ndarray:
    """Return the normalised 8x8x8 colour histogram."""
    bins = image >> 5
    codes = (bins[..., 0].astype(np.int32) << 6) | (bins[..., 1].astype(np.int32) << 3) | bins[..., 2]
    return np.bincount(codes.ravel(), minlength=512) / codes.size


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def _dis(preset: str = "MEDIUM") -> Any:
    """Return what measures flow, one for each thread: it keeps what it works on in itself."""
    if not hasattr(_of_thread, preset):
        import cv2

        setattr(
            _of_thread, preset, cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset}"))
        )
    return getattr(_of_thread, preset)
