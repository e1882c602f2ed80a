"""The sparse points of a clip, as they go into the store."""

from __future__ import annotations

import numpy as np

from geopretrain.data.prepare.poses import Poses
from geopretrain.data.readers import SourceClip
from geopretrain.data.store.index import MAX_POINTS


def read_points(
    clip: SourceClip, poses: Poses, crop: tuple[int, int, int, int], size: tuple[int, int]
) -> dict[int, np.ndarray]:
    """Return the points that frames with a pose see, by number of the frame: ``512 3`` float32, NaN for none.

    Args:
        clip: has them in px of its frames.
        poses: of its frames.
        crop: part of the frames that is used, (top, left, height, width) px.
        size: (height, width) px that it becomes.
    """
    found = {}
    for frame in poses.rows:
        seen = clip.points(frame)
        placed = None if seen is None else in_stored_frame(seen, crop, size)
        if placed is not None and len(placed):
            found[frame] = _rows(placed)
    return found


def in_stored_frame(points: np.ndarray, crop: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """Return points ``N 3`` (x, y, depth) in px of a frame that is cropped and resized, none outside of it.

    Pixel centres are at whole numbers, so that (-0.5, -0.5) is the corner of a frame.
    """
    top, left, height, width = crop
    x = (points[:, 0] - left + 0.5) * size[1] / width - 0.5
    y = (points[:, 1] - top + 0.5) * size[0] / height - 0.5
    inside = (x >= -0.5) & (x <= size[1] - 0.5) & (y >= -0.5) & (y <= size[0] - 0.5)
    known = inside & np.isfinite(points[:, 2]) & (points[:, 2] > 0)
    return np.column_stack([x, y, points[:, 2]])[known]


def _rows(points: np.ndarray) -> np.ndarray:
    """Return 512 rows, evenly spread where there are more."""
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).astype(int))
    rows = np.full((MAX_POINTS, 3), np.nan, np.float32)
    rows[: len(chosen)] = points[chosen]
    return rows
