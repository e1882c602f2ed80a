"""Choosing the learning rate of each initialisation on validation images, with seeds of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geopretrain.study.statistics import mean, standard_deviation

FIRST_SEED = 1000


def seeds_for_search(reported: Sequence[int], count: int) -> list[int]:
    """Return ``count`` seeds that are not among the reported ones."""
    first = max(FIRST_SEED, max(reported) + 1)
    return list(range(first, first + count))


def choose_rates(outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each mode and initialisation, every rate with its validation scores, and the chosen one.

    Args:
        outcomes: trials scored on ``val``: ``init, mode, lr, seed, miou``; those that failed are absent.

    Returns:
        ``{'mode', 'init', 'chosen', 'at_end', 'rates': [{'lr', 'values', 'mean', 'sd'}]}``; ``at_end`` is
        ``'highest'`` or ``'lowest'`` where the chosen rate is an end of the grid, so that a better one may
        lie beyond it.
    """
    groups: dict[tuple[str, str], dict[float, list[float]]] = {}
    for trial in outcomes:
        score = float(trial["miou"] or 0.0)
        groups.setdefault((trial["mode"], trial["init"]), {}).setdefault(float(trial["lr"]), []).append(score)
    result: list[dict[str, Any]] = []
    for (mode, init), rates in groups.items():
        rows: list[dict[str, Any]] = [
            {"lr": lr, "values": values, "mean": mean(values), "sd": standard_deviation(values)}
            for lr, values in sorted(rates.items())
        ]
        whole = max(len(row["values"]) for row in rows)  # a rate at which trainings fail is no good rate
        chosen = max((r for r in rows if len(r["values"]) == whole), key=lambda row: row["mean"])["lr"]
        ends = {rows[0]["lr"]: "lowest", rows[-1]["lr"]: "highest"} if len(rows) > 1 else {}
        result.append(
            {"mode": mode, "init": init, "chosen": chosen, "at_end": ends.get(chosen), "rates": rows}
        )
    return result
