"""What the tables of equal time on the claims' page are computed with."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from recomputing import NUMBER, RESULTS
from scipy import stats

PAGE = (RESULTS / "evidence.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    begin = PAGE.index(f"## {title}")
    return PAGE[begin : PAGE.find("\n## ", begin + 1)]


def numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(NUMBER, text)]


METHODS = ("depth", "scdepth", "geometric", "flow", "inpainting", "simmim", "moco")
TITLES = dict(
    zip(
        METHODS,
        ("monodepth", "scdepth", "geometric_flow", "optical_flow", "inpainting", "simmim", "moco"),
        strict=True,
    )
)


def against_start(
    values: dict[tuple[str, str, str], float], first: str = "imagenet", methods: Sequence[str] = METHODS
) -> dict[str, tuple[float, ...]]:
    """Return both pre-trainings of each method, their difference to none with its interval, and its p.

    An analysis of variance: starts and places (a set of labels and a seed) crossed, two pre-trainings nested
    in each method; the error of a method is that of its two pre-trainings or of the rest, whichever is more.
    """
    starts = [first, *(f"{name}{end}" for name in methods for end in ("", "_again"))]
    places = sorted((subset, seed) for start, subset, seed in values if start == first)
    table = np.array([[values[start, *place] for place in places] for start in starts])
    count, means = len(places), table.mean(1)
    rest = table - means[:, None] - table.mean(0) + table.mean()
    free = (len(starts) - 1) * (count - 1)
    error = (rest**2).sum() / free
    pairs = means[1:].reshape(-1, 2)
    between = max(count * ((pairs - pairs.mean(1, keepdims=True)) ** 2).sum() / len(methods), error)
    parts = between / (2 * count), error / count
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / len(methods) + parts[1] ** 2 / free)  # Satterthwaite
    freedom = free if between == error else freedom  # one estimate, taken twice
    wide, apart = sum(parts) ** 0.5, pairs.mean(1) - means[0]
    half = stats.t.ppf(0.975, freedom) * wide
    return {
        name: (*pair, one, one - half, one + half, 2 * stats.t.sf(abs(one) / wide, freedom))
        for name, pair, one in zip(methods, pairs, apart, strict=True)
    }


def told_after_holm(found: dict[str, tuple[float, ...]]) -> set[str]:
    """Return what Holm's correction leaves of those with p below 0.05."""
    told = set()
    for rank, (name, (*_, p)) in enumerate(sorted(found.items(), key=lambda one: one[1][-1])):
        if p * (len(found) - rank) >= 0.05:
            break
        told.add(name)
    return told
