"""One number of the validations decides which weights are best, and when it is no use to go on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from geopretrain.errors import OptionError, nearest_name
from geopretrain.training.settings import LoopSettings

LOWEST = (
    *("loss", "error", "rmse", "rmse_log", "abs_rel", "sq_rel", "silog", "log10", "epe", "outliers"),
    "residual_information",
)
"""Endings of names of which less is better; of all others more is, unless it is said."""
PREFIX = "validation/"
NOT_JUDGED = ("kind", "step", "samples")


class Monitor:
    """Keeps the best value of a number and counts the validations since.

    Args:
        settings: with the name of the number.
    """

    def __init__(self, settings: LoopSettings) -> None:
        self.name = (settings.monitor or "").removeprefix(PREFIX)
        self.patience, self.lowest = settings.patience, is_lowest(self.name, settings.monitor_best)
        self.best: float | None = None
        self.best_step = 0
        self.since = 0

    @property
    def exhausted(self) -> bool:
        """Whether so many validations as the patience says were no better than the best."""
        return self.patience is not None and self.since >= self.patience

    def judge(self, record: Mapping[str, Any], step: int) -> bool:
        """Look at a validation; return whether it is the best so far. What was not measured never is."""
        value = record.get(self.name)
        if value is None or not math.isfinite(value):
            better = False
        else:
            better = self.best is None or (value < self.best if self.lowest else value > self.best)
        if better:
            self.best, self.best_step, self.since = float(record[self.name]), step, 0
        else:
            self.since += 1
        return better

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"best": self.best, "best_step": self.best_step, "since": self.since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self.best, self.best_step, self.since = state["best"], state["best_step"], state["since"]

    def in_words(self) -> str:
        """Return what is the best."""
        if self.best is None:
            return f"none, for no validation gave {PREFIX}{self.name}"
        which = "lowest" if self.lowest else "highest"
        return f"the {which} {PREFIX}{self.name}, {self.best:.4g}, after step {self.best_step}"


def is_lowest(name: str, best: str) -> bool:
    """Return whether less of a number is better: ``lowest``, ``highest``, or ``auto`` by its name."""
    if best != "auto":
        return best == "lowest"
    last = name.rpartition("/")[2]
    return any(last == word or last.endswith(f"_{word}") for word in LOWEST)


def check_name(name: str, record: Mapping[str, Any]) -> None:
    """Raise OptionError where a validation gives no such number; those that it gives are listed."""
    known = judged(record)
    if name.removeprefix(PREFIX) not in known:
        listed = ", ".join(f"{PREFIX}{one}" for one in known)
        near = nearest_name(name, [f"{PREFIX}{one}" for one in known])
        raise OptionError("monitor", f"must be a number of the validation ({listed}), not {name!r}.{near}")


def judged(record: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the numbers that a validation gives."""
    return [
        name
        for name, value in record.items()
        if name not in NOT_JUDGED and (value is None or isinstance(value, (int, float)))
    ]


def kept_in_words(settings: LoopSettings) -> str | None:
    """Return which weights a run hands on, None where they are the last ones."""
    averaged = "" if settings.ema is None else f"moving average of the weights (decay {settings.ema:g})"
    best = f"those of the best {settings.monitor}" if settings.keep == "best" else ""
    return ", ".join(filter(None, (averaged, best))) or None
