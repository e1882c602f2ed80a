"""What is kept of a step in which loss or gradients stopped being numbers, so that it can be looked into.

Before each update the gradients are looked at, as the last that could be wrong while the weights still are
right. On a processor the training ends there; on a GPU, where asking would make it wait at every step, the
optimiser leaves the weights alone from then on, and the recorder asks now and then.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.batches import ClipBatch, LabelledBatch
from geopretrain.data.dataset import Description, PseudoDepthInfo
from geopretrain.errors import RunFolderError
from geopretrain.files import atomic_path
from geopretrain.records import reason
from geopretrain.runs.folder import CAPTURED, RunFolder
from geopretrain.tasks.base import Task
from geopretrain.training.computing import precision_of
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import Samples

MAX_BYTES = 2 * 10**9
"""What is larger is not kept."""
BATCHES = {"ClipBatch": ClipBatch, "LabelledBatch": LabelledBatch}
_NEVER = 2**62


class Guard:
    """Looks at the gradients before each update.

    Args:
        stop: called with the step (0-based) whose gradients are no numbers; does not return.
        waits: whether to ask at each step; else the weights stand still from the bad step on, by what fused
            optimisers know of overflows (``found_inf``), and ``bad_step`` tells.
    """

    def __init__(self, stop: Callable[[int], Any], *, waits: bool) -> None:
        self.stop, self.waits = stop, waits
        self._bad: Tensor | None = None
        self._step: Tensor | None = None

    def before_update(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Look at the gradients of ``step`` (0-based)."""
        gradients = [
            p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        if not gradients:
            return
        # sums take what is no number along; on a CPU they are several times as fast as any norm
        if self.waits:
            if not bool(torch.isfinite(torch.stack([gradient.sum() for gradient in gradients]).sum())):
                self.stop(step)
            return
        bad = ~torch.isfinite(torch.nn.utils.get_total_norm(gradients, norm_type=1.0))
        if self._bad is None or self._step is None:
            self._bad, self._step = torch.zeros_like(bad), torch.full((), _NEVER, device=bad.device)
        self._step = torch.where(bad & ~self._bad, step, self._step)
        self._bad = self._bad | bad
        vars(optimizer)["found_inf"] = self._bad.float()

    def bad_step(self) -> int | None:
        """Return the step since which the weights stand still, None where they move (waits)."""
        step = _NEVER if self._step is None else int(self._step)
        return None if step == _NEVER else step


@dataclass(frozen=True)
class Captured:
    """A step as it was before its update.

    Attributes:
        step: 0-based.
        steps: of the run.
        seed: of the run.
        precision: resolved.
        description: of the data.
        parts: what was read for each part of the batch.
        state: of the task: weights before the update, statistics after the forward pass.
        task_state: see ``Task.training_state``.
    """

    step: int
    steps: int
    seed: int
    precision: str
    description: Mapping[str, Any]
    parts: list[Any]
    state: Mapping[str, Tensor]
    task_state: Mapping[str, Any]


def keep_step(run: RunFolder, task: Task, samples: Samples, settings: LoopSettings, step: int) -> str:
    """Write what a step (0-based) needs to be computed again into the run; return a sentence about it."""
    precision = precision_of(settings.precision, task.device.type, task)
    numbers = samples.of_step(step, settings.batch_size, settings.seed)
    parts = [samples.read(part) for part in np.split(numbers, settings.parts)]
    if any(BATCHES.get(type(part).__name__) is not type(part) for part in parts):
        return "The step is not kept: its batch is of a kind of its own."
    content = {
        "step": step,
        "steps": settings.steps,
        "seed": settings.seed,
        "precision": precision,
        "description": asdict(samples.data.describe()),
        "parts": [_as_plain(part) for part in parts],
        "state": {name: value.detach().cpu() for name, value in task.state_dict().items()},
        "task_state": task.training_state(),
    }
    if (size := _bytes(content)) > MAX_BYTES:
        return f"The step is not kept: its batch and weights are {size / 1e9:.1f} GB."
    with atomic_path(run.path / CAPTURED) as temporary:
        torch.save(content, temporary)
    return f"The step is kept ({size / 1e6:.0f} MB); where it went wrong: geopretrain replay {run.path}"


def captured_step(run: RunFolder) -> Captured:
    """Return the step that a run kept.

    Raises:
        RunFolderError: it kept none, or the file is damaged.
    """
    path = run.path / CAPTURED
    if not path.is_file():
        raise RunFolderError(
            f"'{run.path}' holds no step to replay: none is kept unless loss or gradients stop being numbers."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content["parts"] = [_as_batch(part) for part in content["parts"]]
        return Captured(**content)
    except Exception as error:  # whatever torch makes of a file that is none of its own
        raise _damaged(path, error) from error


def description_of(captured: Captured) -> Description:
    """Return what the data were, as the task was told."""
    found = dict(captured.description)
    if found.get("pseudo_depth"):
        found["pseudo_depth"] = PseudoDepthInfo(**found["pseudo_depth"])
    return Description(**found)


def _damaged(path: Path, error: Exception) -> RunFolderError:
    why = reason(error)
    if isinstance(error, pickle.UnpicklingError):
        why = "reading it could run code stored in it, or it is cut off"
    return RunFolderError(f"'{path}' is damaged or not of this version: {why}. Remove it.")


def _as_plain(batch: Any) -> dict[str, Any]:
    kind = type(batch).__name__
    return {"kind": kind, **{one.name: getattr(batch, one.name) for one in fields(batch)}}


def _as_batch(content: dict[str, Any]) -> Any:
    values = dict(content)
    return BATCHES[values.pop("kind")](**values)


def _bytes(content: Any) -> int:
    if isinstance(content, Tensor):
        return content.nbytes
    if isinstance(content, Mapping):
        content = tuple(content.values())
    return sum(_bytes(part) for part in content) if isinstance(content, (list, tuple)) else 0
