"""Where a training stands, for losses, hooks and schedules that depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """``index`` (0-based) of ``total`` optimisation steps."""

    index: int
    total: int

    @property
    def progress(self) -> float:
        """Fraction of the training that is done before this step, 0 to 1."""
        return self.index / max(1, self.total)


@dataclass(frozen=True)
class Pace:
    """How many ``samples`` there are to learn from, and how many of them a step takes (``batch_size``)."""

    samples: int
    batch_size: int
