"""Maps of which few pixels are known, as LiDAR measures them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPARSE = 0.3
"""Fraction of known pixels below which they are widened, to be seen."""


def widened(
    values: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a map and what is known of it; where that is little, pixels near a known one get its value.

    Args:
        values: ``H W``.
        known: likewise; below `SPARSE` of all, what is within 1 px of a known one, and 1 px more for each
            200 px of the height, counts as known, too.
    """
    if not known.any() or known.mean() >= SPARSE:
        return values, known
    from scipy.ndimage import distance_transform_edt

    distance, (row, column) = distance_transform_edt(~known, return_indices=True)
    return values[row, column], distance <= 1 + round(len(known) / 200)
