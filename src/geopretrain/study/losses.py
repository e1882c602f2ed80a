"""The loss of trainings over their steps: how fast a starting point learns, beside how well it ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.study.statistics import mean, standard_deviation

if TYPE_CHECKING:
    from geopretrain.runs.folder import RunFolder

KEY = "losses"
POINTS = 100
"""That are kept of a training, evenly spread over its log."""
LOGGED = 20
"""Times that trainings of few steps write their loss; longer ones do it every ten steps."""
EVERY = 10


def log_every(steps: int) -> int:
    """Return after how many steps a training writes its loss."""
    return max(1, min(EVERY, steps // LOGGED))


def losses_of(run: RunFolder) -> list[tuple[int, float]]:
    """Return (step, mean loss of the steps since the one before) of a training, at most `POINTS` of them."""
    records = [(int(one["step"]), float(one["loss"])) for one in run.metrics("train")]
    chosen = np.unique(np.linspace(0, len(records) - 1, min(POINTS, len(records))).round().astype(int))
    return [records[k] for k in chosen if math.isfinite(records[k][1])]


def mean_losses(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean loss over all trainings of each initialisation, mode and number of labels.

    Args:
        trials: records with `KEY`; those of earlier versions have none.

    Returns:
        ``init``, ``mode``, ``labels``, ``steps``, ``means`` and ``sds`` (None with one training) of each.
    """
    groups: dict[tuple[Any, ...], dict[int, list[float]]] = {}
    for trial in trials:
        points = groups.setdefault((trial["init"], trial["mode"], trial.get("labels")), {})
        for step, loss in trial.get(KEY, ()):
            points.setdefault(step, []).append(loss)
    return [
        {
            "init": init,
            "mode": mode,
            "labels": labels,
            "steps": sorted(points),
            "means": [mean(points[step]) for step in sorted(points)],
            "sds": [_spread(points[step]) for step in sorted(points)],
        }
        for (init, mode, labels), points in groups.items()
        if points
    ]


def _spread(values: Sequence[float]) -> float | None:
    return standard_deviation(values) if len(values) > 1 else None
