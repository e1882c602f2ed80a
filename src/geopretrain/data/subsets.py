"""Parts of a data set, chosen the same way every time."""

from __future__ import annotations

import numpy as np

from geopretrain.errors import ConfigError, require

MAX_ITEMS = 10**9


def nested_subset(num_items: int, count: int, seed: int) -> list[int]:
    """Choose ``count`` of ``num_items`` positions; for one seed, smaller choices are contained in larger.

    Raises:
        ConfigError: ``count`` is not between 1 and ``num_items``.
    """
    for name, value in (("num_items", num_items), ("count", count), ("seed", seed)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        require(whole and (name != "seed" or value >= 0), name, "a whole number of at least 0", value)
    require(num_items <= MAX_ITEMS, "num_items", f"at most {MAX_ITEMS}", num_items)
    if not 1 <= count <= num_items:
        raise ConfigError(
            f"{count} labelled images were asked for, but the training split holds {num_items}. "
            "Ask for these or fewer, or label more."
        )
    order = np.random.default_rng(seed).permutation(num_items)
    return [int(position) for position in order[:count]]


def spread_positions(length: int, count: int) -> list[int]:
    """Return ``count`` positions of ``length``, evenly spread from the first to the last, none twice."""
    if count >= length:
        return list(range(length))
    return sorted({round(i * (length - 1) / max(1, count - 1)) for i in range(count)})
