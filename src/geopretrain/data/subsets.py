"""Parts of a data set, chosen the same way every time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from geopretrain.data.dataset import Dataset, Positions
from geopretrain.data.file_names import sequences_of
from geopretrain.errors import ConfigError, require

MAX_ITEMS = 10**9


def drawn_subset(data: Dataset, positions: Positions, count: int, seed: int, by: str = "chance") -> list[int]:
    """Return which of some samples are learned from, by their numbers among ``positions``.

    Args:
        data: that the samples are of.
        positions: of the samples to choose among.
        count: to choose.
        seed: fixes which; smaller choices are contained in larger ones of the same seed.
        by: ``chance``, or ``sequence``: of each sequence that the names tell in proportion to its length.

    Raises:
        ConfigError: there are fewer samples.
    """
    if by == "chance":
        return nested_subset(len(positions), count, seed)
    return stratified_subset(sequences_of(data.names(positions)), count, seed)


def stratified_subset(groups: Sequence[Hashable], count: int, seed: int) -> list[int]:
    """Choose ``count`` positions, of each group about in proportion to its size; nested as `nested_subset`.

    The samples of a group, in an order of chance, are spread evenly over the whole order from an offset of
    chance: a prefix has of each group its share, to one sample or two, and small groups have their turn.

    Args:
        groups: of each sample.
        count: to choose.
        seed: fixes which.

    Raises:
        ConfigError: ``count`` is not between 1 and the number of samples.
    """
    nested_subset(len(groups), count, seed)  # refuses what cannot be
    random = np.random.default_rng([seed, 1])
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    places = np.empty(len(groups))
    for own in members.values():
        places[random.permutation(own)] = (np.arange(len(own)) + random.random()) / len(own)
    return [int(position) for position in np.argsort(places, kind="stable")[:count]]


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
