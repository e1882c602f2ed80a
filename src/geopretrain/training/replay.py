"""A step that a run kept, computed again with every module watched: where is the first bad number?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.compute import resolve_device
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import begun_task
from geopretrain.tasks.base import Task
from geopretrain.tasks.step import Step
from geopretrain.training.capture import Captured, captured_step, description_of
from geopretrain.training.computing import loss_of_part
from geopretrain.wording import counted

MAX_ROWS, AROUND = 12, 4
"""Modules that a table shows at most where none is bad, and on either side of a bad one."""


@dataclass
class ModuleRow:
    """What a module did in its calls.

    Attributes:
        name: in the network.
        kind: its class.
        output: largest absolute value of its outputs; NaN and infinity are kept.
        gradient: largest of the gradients of its outputs, None where none came.
        bad_input: whether what it was given was no number already.
        bad_weights: whether its own weights are.
    """

    name: str
    kind: str
    output: float = 0.0
    gradient: float | None = None
    bad_input: bool = False
    bad_weights: bool = False


@dataclass
class Replay:
    """What came of computing a step again.

    Attributes:
        step: 1-based.
        losses: of its parts.
        rows: of the modules, in the order of their first calls.
        first_forward: name of the first module whose output is no number.
        first_backward: name of the module at whose output a gradient that is no number appeared first.
        operation: what made it, in the words of autograd.
        bad_gradients: parameters whose gradients are no numbers.
        bad_weights: weights and statistics that were none before the step.
    """

    step: int
    losses: list[float] = field(default_factory=list)
    rows: dict[str, ModuleRow] = field(default_factory=dict)
    first_forward: str = ""
    first_backward: str = ""
    operation: str = ""
    bad_gradients: list[str] = field(default_factory=list)
    bad_weights: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return what was found."""
        losses = ", ".join(f"{loss:.4g}" for loss in self.losses)
        found = [f"Step {self.step} computed again: loss {losses}."]
        if self.bad_weights:
            found.append(f"Before it no number were: {_some(self.bad_weights)}.")
        if self.first_forward:
            row = self.rows[self.first_forward]
            given = "none either" if row.bad_input else "fine"
            weights = "no numbers" if row.bad_weights else "numbers"
            found.append(
                f"The first output that is no number is that of {row.name} ({row.kind}): its input is "
                f"{given}, its weights are {weights}."
            )
        elif self.losses and not all(map(_is_number, self.losses)):
            found.append("Every module gives numbers: the loss itself makes of them what is none.")
        if self.bad_gradients and not self.first_forward:
            place = f"at the output of {self.first_backward}" if self.first_backward else "in the loss"
            found.append(f"Going backward, the first gradient that is no number appears {place}.")
        if self.operation:
            found.append(f"It is made by {self.operation}.")
        if self.bad_gradients:
            found.append(f"Gradients that are no numbers: {_some(self.bad_gradients)}.")
        elif not self.first_forward and all(map(_is_number, self.losses)):
            found.append(
                "Every number is one here: on this device, in these threads, it does not come again."
            )
        return found

    def shown(self) -> list[ModuleRow]:
        """Return the modules worth a look: around the first bad number, else those of the largest outputs."""
        rows = list(self.rows.values())
        marked = {self.first_forward, self.first_backward} - {""}
        if not marked:
            largest = sorted(rows, key=lambda row: -row.output)[:MAX_ROWS]
            return [row for row in rows if row in largest]
        at = [place for place, row in enumerate(rows) if row.name in marked]
        return [row for place, row in enumerate(rows) if min(abs(place - one) for one in at) <= AROUND]

    def table(self) -> str:
        """Return the modules `shown`, with the largest output and gradient of each."""
        width = max((len(row.name) for row in self.shown()), default=6)
        lines = [f"{'module':<{width}}  {'class':<20}  {'largest output':>14}  {'largest gradient':>16}"]
        for row in self.shown():
            gradient = "" if row.gradient is None else f"{row.gradient:.3g}"
            lines.append(f"{row.name:<{width}}  {row.kind:<20.20}  {row.output:>14.3g}  {gradient:>16}")
        if left := len(self.rows) - len(self.shown()):
            bad = self.first_forward or self.first_backward
            which = "around the first bad number" if bad else "with the largest outputs"
            lines.append(f"... and {counted(left, 'module')} more; these are the ones {which}.")
        return "\n".join(lines)

    def text(self) -> str:
        """Return table and sentences."""
        return "\n".join([self.table(), "", *self.sentences()])


def replay_step(run: RunFolder, device: str = "auto") -> Replay:
    """Compute the step again that a run kept.

    Raises:
        RunFolderError: it kept none, or it is damaged.
    """
    captured = captured_step(run)
    task = begun_task(run)
    task.load_state_dict(captured.state)
    task.load_training_state(captured.task_state)
    task.check_data(description_of(captured))
    task.to(resolve_device(device)).train()
    found = watched_step(task, captured)
    if found.bad_gradients and not found.first_forward:
        task.load_state_dict(captured.state)
        task.load_training_state(captured.task_state)
        found.operation = _operation(task, captured)
    return found


def watched_step(task: Task, captured: Captured) -> Replay:
    """Compute forward and backward of all parts and return what each module did."""
    found = Replay(captured.step + 1)
    state = task.state_dict()
    found.bad_weights = [name for name, value in state.items() if not _finite(value)]
    task.clear_gradients()
    with _watching(task, found):
        for part in range(len(captured.parts)):
            loss = _loss(task, captured, part)
            found.losses.append(float(loss.detach()))
            loss.backward()
    named = task.named_parameters()
    found.bad_gradients = [name for name, p in named if p.grad is not None and not _finite(p.grad)]
    return found


def _loss(task: Task, captured: Captured, part: int) -> Tensor:
    step = Step(captured.step, captured.steps)
    precision = captured.precision
    batch = captured.parts[part]
    return loss_of_part(task, batch, step, seed=captured.seed, part=part, precision=precision)[0]


@contextmanager
def _watching(task: Task, found: Replay) -> Iterator[None]:
    """Note what goes through the modules that have none inside."""
    modules = {n: m for n, m in task.named_modules() if n and not any(True for _ in m.children())}
    handles = [module.register_forward_hook(_hook(name, found)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, found: Replay) -> Any:
    def hook(module: nn.Module, given: Any, output: Any) -> None:
        weights = all(_finite(p) for p in module.parameters(recurse=False))
        row = found.rows.setdefault(name, ModuleRow(name, type(module).__name__, bad_weights=not weights))
        for tensor in _tensors(output):
            row.output = _larger(row.output, tensor)
            if not _finite(tensor) and not found.first_forward:
                found.first_forward = name
                row.bad_input = not all(map(_finite, _tensors(given)))
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient: _note_gradient(row, found, gradient))

    return hook


def _note_gradient(row: ModuleRow, found: Replay, gradient: Tensor) -> None:
    row.gradient = _larger(row.gradient or 0.0, gradient)
    if not found.first_backward and not _finite(gradient):
        found.first_backward = row.name


def _operation(task: Task, captured: Captured) -> str:
    """Return the operation whose gradient is the first that is not a number, by autograd's detection."""
    task.clear_gradients()
    with warnings.catch_warnings(), torch.autograd.detect_anomaly(check_nan=True):
        warnings.simplefilter("ignore")
        try:
            for part in range(len(captured.parts)):
                _loss(task, captured, part).backward()
        except RuntimeError as error:
            return str(error).splitlines()[0].removeprefix("Function ").split(" returned")[0].strip("'")
    return ""


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = list(value.values())
    return [t for part in value for t in _tensors(part)] if isinstance(value, (list, tuple)) else []


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _larger(before: float, tensor: Tensor) -> float:
    """Return the largest absolute value, NaN where there is one."""
    if not tensor.numel():
        return before
    return float(torch.maximum(torch.tensor(before), tensor.detach().float().abs().amax().cpu()))


def _is_number(value: float) -> bool:
    return abs(value) < float("inf")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
