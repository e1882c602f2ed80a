"""The memory order of filters and images, around what a library cannot do in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SAFE_CHANNELS = 16
"""Input channels from which on oneDNN's gradients of strided 1x1 filters stay inside their memory."""


def use_channels_last(model: nn.Module, device: str) -> list[str]:
    """Bring filters into the order channels last, in place; return the layers that stay as they are.

    On a CPU oneDNN (torch 2.15) writes outside of its memory when it computes, in this order, the gradient by
    the filters of a strided 1x1 convolution with few input channels: the process ends, or something else is
    overwritten. FastViT begins with such a layer. These layers, and what comes into them, keep the usual
    order.
    """
    model.to(memory_format=torch.channels_last)
    if device != "cpu":
        return []
    kept = {name: layer for name, layer in model.named_modules() if _overruns(layer)}
    for layer in kept.values():
        weight = layer.get_parameter("weight")
        weight.data = weight.data.clone(memory_format=torch.contiguous_format)
        layer.register_forward_pre_hook(_contiguous)
    return list(kept)


def _overruns(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and tuple(layer.kernel_size) == (1, 1)
        and max(layer.stride) > 1
        and 1 < layer.in_channels // layer.groups < SAFE_CHANNELS
    )


def _contiguous(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return inputs[0].contiguous(), *inputs[1:]
