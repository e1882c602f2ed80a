"""Choosing the learning rate of each initialisation on validation images, with seeds of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geopretrain.errors import ConfigError
from geopretrain.study.statistics import mean, standard_deviation

FIRST_SEED = 1000


def parse_rates(lr: float | str | Sequence[float] | None, default: float) -> list[float]:
    """Return the learning rates of ``1e-3``, ``'1e-4,1e-3'`` or a list; None is the default of the preset.

    Raises:
        ConfigError: not positive numbers, or one twice.
    """
    if lr is None:
        return [default]
    given = lr.split(",") if isinstance(lr, str) else [lr] if isinstance(lr, (int, float)) else list(lr)
    try:
        rates = sorted(float(rate) for rate in given)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"lr must be a number or numbers with commas such as 1e-4,1e-3, not {lr!r}."
        ) from error
    if not rates or not all(0 < rate < float("inf") for rate in rates) or len(set(rates)) < len(rates):
        raise ConfigError(f"lr must be different positive numbers, not {lr!r}.")
    return rates


def seeds_for_search(reported: Sequence[int], count: int) -> list[int]:
    """Return ``count`` seeds that are not among the reported ones.

    Raises:
        ConfigError: ``count`` is less than 1.
    """
    if count < 1:
        raise ConfigError(f"search_seeds must be at least 1, not {count}.")
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
        chosen = max(rows, key=lambda row: row["mean"])["lr"]
        ends = {rows[0]["lr"]: "lowest", rows[-1]["lr"]: "highest"} if len(rows) > 1 else {}
        result.append(
            {"mode": mode, "init": init, "chosen": chosen, "at_end": ends.get(chosen), "rates": rows}
        )
    return result
