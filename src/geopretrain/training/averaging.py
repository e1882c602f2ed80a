"""A moving average of the weights, which is what a run hands on where it is asked for.

``average = decay * average + (1 - decay) * weights`` after each step, from the weights after the first one on
(Polyak and Juditsky 1992; Tarvainen and Valpola, *Mean teachers*, NeurIPS 2017, section 2). Statistics of
batch norm are averaged alike; whole numbers are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from geopretrain.tasks.base import Task


class WeightAverage:
    """The average of a task's weights and statistics.

    Args:
        task: on its device; left as it is.
        decay: fraction of the average that stays at each step.
    """

    def __init__(self, task: Task, decay: float) -> None:
        averaging = get_ema_multi_avg_fn(decay)
        self._model = AveragedModel(task, multi_avg_fn=averaging, use_buffers=True)

    @torch.no_grad()
    def update(self, task: Task) -> None:
        """Take a step towards the task's weights."""
        self._model.update_parameters(task)
        for own, buffer in zip(self._model.module.buffers(), task.buffers(), strict=True):
            if not buffer.is_floating_point():
                own.copy_(buffer)

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The average, under the names of the task's own state."""
        return self._model.module.state_dict()

    def put_into(self, task: Task) -> None:
        """Make the average the task's weights."""
        task.load_state_dict(dict(self.weights))

    @contextmanager
    def in_place(self, task: Task) -> Iterator[None]:
        """Give the task the average inside; afterwards it has its own weights again, bit for bit."""
        own = {name: value.clone() for name, value in task.state_dict().items()}
        self.put_into(task)
        try:
            yield
        finally:
            task.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"steps": int(self._model.n_averaged), "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self._model.n_averaged.fill_(state["steps"])
        self._model.module.load_state_dict(state["weights"])
