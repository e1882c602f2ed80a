"""The seam between what is learned (pretext, transfer) and what trains it (engine)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """Settings that belong together; whatever the user gives himself takes precedence.

    Attributes:
        size: (height, width) px that raw data are prepared at.
        batch_size: samples per step.
        lr: highest learning rate.
        schedule: see `geopretrain.engine.schedule`.
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


class Task(nn.Module):
    """A network with its loss, its checks and its pictures; the engine knows nothing else of a method.

    A task never moves data between devices and never synchronises with the device in ``training_loss``. It
    draws from the global random state in ``augment`` and ``training_loss`` only: the engine seeds that state
    from (seed, step) before each step, which makes a resumed run identical to an uninterrupted one.

    Attributes:
        name: of the method.
        offsets: times of the frames a sample consists of, in strides from the target.
        needs: fields of `ClipBatch` a sample must have besides images: ``stereo``, ``depth``,
            ``pseudo_depth``.
        paper: settings of the paper.
    """

    name: ClassVar[str]
    offsets: tuple[int, ...] = (0,)
    needs: tuple[str, ...] = ()
    paper: Recipe = Recipe()

    def check_data(self, store: Any) -> None:
        """Take from the opened `FrameStore` what the loss must know of it; called once, before training.

        Raises:
            ConfigError: the options do not suit these data.
        """

    def augment(self, batch: Any) -> Any:
        """Return the batch as floats in [0, 1], flipped and jittered in one go on its own device."""
        raise NotImplementedError

    def clean(self, batch: Any) -> Any:
        """Return the batch as ``augment`` does, without anything random: for validation."""
        raise NotImplementedError

    def training_loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss and detached scalar tensors worth logging."""
        raise NotImplementedError

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return optimiser groups holding exactly the parameters that are trained."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": learning_rate}]

    def pictures(self, batch: Any) -> dict[str, np.ndarray]:
        """Return named pictures (``H W 3`` uint8) of what the task makes of a fixed batch."""
        return {}

    def findings(self) -> dict[str, Any]:
        """Return what training found out beside the weights, for results.json."""
        return {}

    def health(self, logs: dict[str, float], step: int) -> list[str]:
        """Return one sentence per thing that looks wrong in the averaged logs of the last interval."""
        return []
