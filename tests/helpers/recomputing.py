"""Scores of single trainings that lie in ``docs/results/trainings``, and what tables make of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy import stats

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NUMBER = r"[-+]?\d+\.\d+"


def trainings(name: str) -> list[dict[str, str]]:
    """Return the lines of a file, one for each training and point of its curve."""
    with (RESULTS / "trainings" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def paired(first: Mapping[Any, float], other: Mapping[Any, float]) -> tuple[float, ...]:
    """Return the mean of the paired differences with its interval of 95 % (Student's t)."""
    apart = [other[place] - first[place] for place in sorted(first)]
    half = stats.t.ppf(0.975, len(apart) - 1) * stdev(apart) / len(apart) ** 0.5
    return mean(apart), mean(apart) - half, mean(apart) + half
