"""The size images are worked at: one rule for pre-training, transfer, scoring and prediction."""

from __future__ import annotations

import numpy as np

from geopretrain.errors import ConfigError, DataError

Size = tuple[int, int]
MULTIPLE = 32
"""Both sides are multiples of this: the networks halve the image five times."""
AREA = 30_000
"""Pixels of the size that is chosen where none is given, about."""
MIN_ORIGINAL = 64
"""Smallest side of the images themselves, px: less is too little to learn from."""


def working_size(original: Size, wanted: Size | None = None) -> Size:
    """Return the (height, width) to work at, px: ``wanted``, else one that suits the images.

    That is the size in multiples of 32, from 64 on, which is nearest to both the aspect of the images and
    30 000 pixels (to their own number of pixels where that is less: images are not enlarged). Nearness is
    measured in logarithms, the aspect counting twice as much as the area.

    Raises:
        ConfigError: a side of ``wanted`` is no multiple of 32.
    """
    if wanted is not None:
        return check_size(wanted)
    height, width = original
    area = min(AREA, height * width)
    sides = np.arange(2 * MULTIPLE, 2048, MULTIPLE)
    h, w = np.meshgrid(sides, sides, indexing="ij")
    cost = abs(np.log(w / h * height / width)) + 0.5 * abs(np.log(h * w / area))
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(h[best]), int(w[best])


def check_size(size: Size) -> Size:
    """Return the (height, width) a user has given.

    Raises:
        ConfigError: a side is no multiple of 32; the nearest size that can be used is named.
    """
    height, width = (int(side) for side in size)
    nearest = tuple(max(MULTIPLE, MULTIPLE * round(side / MULTIPLE)) for side in (height, width))
    if nearest != (height, width):
        raise ConfigError(
            f"Size {height}x{width} (height x width) cannot be used: both must be multiples of {MULTIPLE}. "
            f"The nearest is {nearest[0]}x{nearest[1]}."
        )
    return height, width


def check_original(size: Size, name: object) -> None:
    """Raise the DataError for images under 64 px."""
    if min(size) < MIN_ORIGINAL:
        raise DataError(
            f"{name}: {size[1]}x{size[0]} (w x h); at least {MIN_ORIGINAL} pixels a side are needed to learn "
            "from."
        )
