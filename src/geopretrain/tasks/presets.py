"""Settings of training that belong together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Settings that belong together; whatever the user gives himself takes precedence.

    Attributes:
        size: (height, width) px that raw data are prepared at.
        batch_size: samples per step.
        lr: highest learning rate.
        schedule: see `geopretrain.training.schedules`.
        epochs: passes over the training samples; where neither is said, 20, as Monodepth2 and its
            descendants.
        steps: optimisation steps; takes precedence over ``epochs``.
        warmup_steps: steps over which the rate rises.
    """

    size: tuple[int, int] | None = None
    batch_size: int = 8
    lr: float = 3e-4
    schedule: str = "warm_cosine"
    epochs: int | None = None
    steps: int | None = None
    warmup_steps: int = 0

    def total_steps(self, samples: int = 0, batch_size: int | None = None) -> int:
        """Return the optimisation steps for this many training samples."""
        return self.steps or max(1, (self.epochs or 20) * samples // (batch_size or self.batch_size))
