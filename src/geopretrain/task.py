"""The seam between what is learned (pretext, transfer) and what trains it (engine)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn


class Task(nn.Module):
    """A network with its loss, its checks and its pictures; the engine knows nothing else of a method.

    A task never moves data between devices and never synchronises with the device in ``training_loss``. It
    draws from the global random state in ``augment`` and ``training_loss`` only: the engine seeds that state
    from (seed, step) before each step, which makes a resumed run identical to an uninterrupted one.
    """

    name: ClassVar[str]

    def augment(self, batch: Any) -> Any:
        """Return the batch as floats in [0, 1], flipped and jittered in one go on its own device."""
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

    def health(self, logs: dict[str, float], step: int) -> list[str]:
        """Return one sentence per thing that looks wrong in the averaged logs of the last interval."""
        return []
