"""Resampling what was drawn in several stages: sets of labels with their seeds, pre-trainings with both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
Drawn = TypeVar("Drawn", bound=tuple[int, ...])


def resampled(keys: Sequence[Drawn], generator: np.random.Generator) -> list[Drawn]:
    """Draw as many of each stage again, with replacement: first numbers, in each of them second ones, ...

    A hierarchical (cluster) bootstrap, see Davison and Hinkley, *Bootstrap Methods and their Application*,
    1997, section 3.8: what shares a draw of an early stage stays together.

    Args:
        keys: different ones, each e.g. (set of labels, seed).
        generator: random numbers.

    Returns:
        Keys, some of them several times.
    """
    return _of_stage(list(keys), 0, generator)


def _of_stage(keys: list[Drawn], stage: int, generator: np.random.Generator) -> list[Drawn]:
    if not keys or stage == len(keys[0]):
        return keys
    groups: dict[int, list[Drawn]] = {}
    for key in keys:
        groups.setdefault(key[stage], []).append(key)
    names = sorted(groups)
    chosen = generator.choice(len(names), len(names))
    return [key for n in chosen for key in _of_stage(groups[names[n]], stage + 1, generator)]


def bootstrap_interval(
    keys: Sequence[Drawn],
    statistic: Callable[[list[Drawn]], float],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic of some draws; an end may be infinite.

    Args:
        keys: what was drawn.
        statistic: of keys, some of which may be there several times.
        level: coverage.
        resamples: how often it is drawn again.
        seed: of the random numbers, so that a table that is made again is the same.
    """
    generator = np.random.default_rng(seed)
    found = [statistic(resampled(keys, generator)) for _ in range(resamples)]
    ends = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(ends[0]), float(ends[1])
