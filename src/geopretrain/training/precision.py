"""The numbers a training computes with; in fp16 the loss is scaled so that small gradients do not vanish.

Gradients that overflow at a scale make the step be skipped and the scale be halved (Micikevicius et al.,
*Mixed Precision Training*, ICLR 2018, section 3.2; torch's ``GradScaler``). That is no divergence: weights
stay what they were.
"""

from __future__ import annotations

from typing import Any

from lightning import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision

from geopretrain.errors import OptionError
from geopretrain.tasks.base import Task
from geopretrain.training.computing import precision_of
from geopretrain.training.settings import LoopSettings

MIN_SCALE = 2.0**-10
"""Scale of the loss below which gradients overflow whatever it is: from 65536 that is 26 skipped steps."""


def precision_options(task: Task, settings: LoopSettings, device: str) -> tuple[dict[str, Any], list[Any]]:
    """Return arguments and plugins of the Trainer.

    Raises:
        OptionError: the task cannot be trained in these numbers.
    """
    precision = precision_of(settings.precision, device, task)
    if precision != "fp16":
        return {"precision": "bf16-mixed" if precision == "bf16" else "32-true"}, []
    if type(task).clear_gradients is not Task.clear_gradients:
        raise OptionError(
            "precision",
            f"fp16 scales the gradients of each step, and {task.name} keeps those of the steps before: use "
            "bf16 or fp32.",
        )
    if settings.strategy == "fsdp":
        return {"precision": "16-mixed"}, []
    return {}, [MixedPrecision("16-mixed", device)]  # Lightning itself would take bf16 on a CPU


def loss_scale(trainer: Trainer) -> float | None:
    """Return what the loss is multiplied by, None where it is not (waits for the device)."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return None if scaler is None else float(scaler.get_scale())
