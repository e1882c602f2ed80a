"""Activation checkpointing: less memory, for computing the forward pass of the backbone a second time.

Chen, Xu, Zhang and Guestrin, *Training Deep Nets with Sublinear Memory Cost*, 2016; timm's own, by blocks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from geopretrain.errors import OptionError
from geopretrain.networks import Backbone
from geopretrain.tasks.base import Task

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def checkpoint_activations(task: Task) -> None:
    """Let every backbone that learns keep the inputs of its blocks only, until its gradients are wanted.

    Gradients, weights and statistics of batch norm are what they are without it.

    Raises:
        OptionError: a backbone cannot.
    """
    found = [m for m in task.modules() if isinstance(m, Backbone) and _learns(m)]
    if not found:
        raise OptionError(
            "checkpoint_activations", f"needs a backbone that learns, and {task.name} has none."
        )
    for backbone in found:
        try:
            backbone.model.set_grad_checkpointing(True)
        except (AttributeError, AssertionError):
            raise OptionError(
                "checkpoint_activations",
                f"is not possible with {backbone.name}, which timm cannot divide. ResNet, EfficientNet, "
                "ConvNeXt, ViT and Swin can be.",
            ) from None
        for module in backbone.modules():
            if isinstance(module, _BatchNorm) and module.track_running_stats:
                _count_once(module)


def keep_activations(task: Task) -> None:
    """Compute forward passes once again, as before `checkpoint_activations`."""
    for module in task.modules():
        if isinstance(module, Backbone) and _learns(module):
            module.model.set_grad_checkpointing(False)


def _learns(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def _count_once(norm: nn.Module) -> None:
    """Keep a batch-norm layer from taking the second forward pass into its statistics."""
    if "statistics_counted_once" in vars(norm):
        return
    vars(norm)["statistics_counted_once"] = own = {}

    def before(module: nn.Module, given: Any) -> None:
        # torch has no public name for: are we inside of a backward pass?
        if module.training and torch._C._current_graph_task_id() != -1:
            own.update({name: getattr(module, name) for name in _STATISTICS})
            for name, value in own.items():
                setattr(module, name, None if value is None else value.clone())

    def after(module: nn.Module, given: Any, output: Any) -> None:
        for name, value in own.items():
            setattr(module, name, value)
        own.clear()

    norm.register_forward_pre_hook(before)
    norm.register_forward_hook(after)
