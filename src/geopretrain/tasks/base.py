"""The seam between what is learned (pretext, transfer) and what trains it (engine)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from geopretrain.tasks.presets import Recipe

__all__ = ["Recipe", "Task"]


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
