"""The size images are worked at: one rule for pre-training, transfer, scoring and prediction."""

from __future__ import annotations

import numpy as np

from geopretrain.errors import DataError
from geopretrain.wording import in_px

Size = tuple[int, int]
MULTIPLE = 32
"""Sides that are chosen are multiples of this: networks halve images five times, and pad others."""
AREA = 30_000
"""Pixels of the size that is chosen where none is given, about."""
MIN_ORIGINAL = 64
"""Smallest side of the images themselves, px: less is too little to learn from."""


def working_size(original: Size, wanted: Size | None = None) -> Size:
    """Return the (height, width) to work at, px: ``wanted``, else one that suits the images.

    That is the size in multiples of 32, from 64 on, which is nearest to both the aspect of the images and
    30 000 pixels (to their own number of pixels where that is less: images are not enlarged). Nearness is
    measured in logarithms, the aspect counting twice as much as the area.
    """
    if wanted is not None:
        return int(wanted[0]), int(wanted[1])
    height, width = original
    area = min(AREA, height * width)
    sides = np.arange(2 * MULTIPLE, 2048, MULTIPLE)
    h, w = np.meshgrid(sides, sides, indexing="ij")
    cost = abs(np.log(w / h * height / width)) + 0.5 * abs(np.log(h * w / area))
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(h[best]), int(w[best])


def check_original(size: Size, name: object) -> None:
    """Raise the DataError for images under 64 px."""
    if min(size) < MIN_ORIGINAL:
        raise DataError(
            f"{name}: {in_px(size)}; at least {MIN_ORIGINAL} pixels a side are needed to learn from."
        )
