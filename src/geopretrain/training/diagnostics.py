"""Watching a run: averages without a synchronisation per step, numbers that are none, sentences said once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.errors import Diverged
from geopretrain.ranks import Ranks
from geopretrain.tasks.base import Task

_NEVER = 2**62
_COUNT = "steps that are numbers"
USELESS_LOSS, LEAST_LOSS = 30.0, 0.1
"""A loss so many times what it was at first is of a network that is worse than none; less than the second
counts as that much, because some losses begin at nothing."""
USELESS_WEIGHTS = 100.0
"""So many times their first size, weights say nothing of what they were trained on."""


class TrainingDiverged(Diverged):
    """The loss or the weights stopped being numbers."""


class LogAverages:
    """Sums of detached scalars, kept on the device; fetched once per interval.

    Args:
        tolerant: leave out what is no number: in fp16 such a step changes nothing.
    """

    def __init__(self, tolerant: bool = False) -> None:
        self.tolerant = tolerant
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.first_bad_step: Tensor | None = None

    def add(self, step: int, loss: Tensor, logs: dict[str, Tensor]) -> None:
        """Add the scalars of ``step``; launches work on the device and waits for nothing."""
        loss = loss.detach().float()
        if self.tolerant:
            self._add_numbers({"loss": loss, **logs})
            return
        if self.first_bad_step is None:
            self.first_bad_step = torch.full((), _NEVER, dtype=torch.int64, device=loss.device)
        bad = torch.where(torch.isfinite(loss), _NEVER, step)
        self.first_bad_step = torch.minimum(self.first_bad_step, bad)
        for name, value in {"loss": loss, **logs}.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def _add_numbers(self, values: dict[str, Tensor]) -> None:
        """Add the scalars of a step whose loss is a number, and count those steps in a sum of its own."""
        counts = torch.isfinite(values["loss"])
        found = {name: value.detach().float() for name, value in values.items()}
        for name, value in {**found, _COUNT: torch.ones_like(values["loss"])}.items():
            self.sums[name] = self.sums.get(name, 0.0) + torch.where(counts, value, 0.0)
        self.count += 1

    def share(self, ranks: Ranks) -> None:
        """Make the sums the means of those of all processes, and the first bad step that of any of them."""
        if ranks.size == 1 or not self.count:
            return
        device = next(iter(self.sums.values())).device
        means = ranks.mean(torch.stack(list(self.sums.values())).cpu()).to(device)
        self.sums = dict(zip(self.sums, means.unbind(), strict=True))
        if self.first_bad_step is not None:
            self.first_bad_step.fill_(-ranks.largest(-int(self.first_bad_step)))

    def fetch(self) -> dict[str, float]:
        """Return the averages since the last call and start again; one transfer for all of them."""
        if not self.count:
            return {}
        values = (torch.stack(list(self.sums.values())) / self.count).tolist()
        averages = dict(zip(self.sums, values, strict=True))
        self.sums, self.count = {}, 0
        fraction = averages.pop(_COUNT, 1.0)
        return {name: value / fraction for name, value in averages.items()} if fraction else {}

    def bad_step(self) -> int | None:
        """Return the first step whose loss was not a finite number, or None (waits for the device)."""
        step = _NEVER if self.first_bad_step is None else int(self.first_bad_step)
        return None if step == _NEVER else step

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint between two fetches needs so that the next average comes out the same."""
        return {"sums": dict(self.sums), "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue from ``state_dict()``."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.count = state["count"]


class DiagnosticsWatch:
    """Asks the task what looks wrong and passes each sentence on once."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._just_said: list[str] = []

    def new_sentences(self, task: Task, logs: dict[str, float], step: int) -> list[str]:
        """Return the sentences not said before; two that differ only in their numbers count as one."""
        fresh = {_kind(one): one for one in task.diagnostics(logs, step) if _kind(one) not in self.said}
        self.said += fresh
        self._just_said = list(fresh)
        return list(fresh.values())

    def at_end(self, task: Task, logs: dict[str, float], step: int) -> list[str]:
        """Return what was said before and is still so in the last interval: early sentences are missed."""
        found = [one for one in task.diagnostics(logs, step) if _kind(one) not in self._just_said]
        return [f"To the end of the training: {one}" for one in found]


def _kind(sentence: str) -> str:
    return "".join(char for char in sentence if not char.isdigit())


class Outcome:
    """How a training ends, beside how it began: numbers can be finite and of no use.

    Attributes:
        loss: of the first step.
        weights: root mean square of what is trained, before the first step.
    """

    def __init__(self) -> None:
        self.loss: Tensor | None = None
        self.weights: float | None = None

    def begin(self, module: nn.Module) -> None:
        """Measure the weights."""
        self.weights = trained_size(module)

    def add(self, loss: Tensor) -> None:
        """Keep the loss of the first step; launches nothing later."""
        self.loss = loss.detach().float().clone() if self.loss is None else self.loss

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"loss": self.loss, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``; empty where an earlier version did not keep it."""
        self.loss, self.weights = state.get("loss"), state.get("weights")

    def sentences(
        self, module: nn.Module, loss: float, validation: Sequence[float], kept: str = ""
    ) -> list[str]:
        """Return what speaks against the weights, empty where nothing does.

        Args:
            module: that was trained.
            loss: of the last interval.
            validation: losses on held-out samples, in their order.
            kept: whose weights are handed on in place of the last ones, empty where these are.
        """
        found, began = [], [] if self.loss is None else [self.loss.item()]
        losses = {"loss": [*began, loss], "loss on held-out samples": [*validation[:1], *validation[1:][-1:]]}
        for name, values in losses.items():
            if len(values) == 2 and math.isfinite(values[0]):
                first, last = values
                if last >= USELESS_LOSS * max(abs(first), LEAST_LOSS):
                    found.append(f"the {name} ended at {last:.3g} and began at {first:.3g}")
        if self.weights and (size := trained_size(module)) >= USELESS_WEIGHTS * self.weights:
            found.append(f"the weights are {size / self.weights:.0f} times as large as at first")
        if not found:
            return []
        what = f"The training has come to nothing: {', and '.join(found)}"
        if kept:
            return [
                f"{what}. Its last weights are of no use; those of {kept}, the best by --monitor, are handed "
                "on: hold their validation against that before the first step, and try a smaller --lr."
            ]
        return [f"{what}. Its weights are of no use. Start again with a smaller --lr (a tenth, say)."]


def trained_size(module: nn.Module) -> float:
    """Return the root mean square of the parameters that are trained (waits for the device)."""
    trained = [parameter.detach() for parameter in module.parameters() if parameter.requires_grad]
    count = sum(parameter.numel() for parameter in trained)
    squares = [parameter.double().square().sum() for parameter in trained]
    return float(torch.stack(squares).sum() / count) ** 0.5 if count else 0.0


def weights_are_finite(module: nn.Module) -> bool:
    """Return whether every parameter and buffer of ``module`` is finite (waits for the device)."""
    return _all_finite(t for t in module.state_dict().values() if t.is_floating_point())


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    checks = [torch.isfinite(tensor).all() for tensor in tensors]
    return bool(torch.stack(checks).all()) if checks else True


def diverged(step: int, last_good_step: int | None, what: str = "The loss") -> TrainingDiverged:
    """Return the error for a loss or weights that stopped being numbers at ``step``."""
    kept = (
        "No checkpoint had been written yet."
        if last_good_step is None
        else f"The last good checkpoint (step {last_good_step}) is kept."
    )
    return TrainingDiverged(
        f"{what} is not a number any more at step {step}; training has been stopped. {kept} "
        "Start again into another --out with a smaller --lr (a third, say) or, where it was another, "
        "--precision fp32; if it comes back, look at the data with `geopretrain data inspect`."
    )
