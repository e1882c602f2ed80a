"""The optimisers a training may use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def make_optimiser(
    name: str,
    groups: Iterable[dict[str, Any]],
    device: torch.device,
    momentum: float = 0.9,
    beta2: float = 0.999,
    *,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """Return ``adam``, ``adamw`` or ``sgd`` over groups that carry their own ``lr`` and ``weight_decay``.

    ``fused``: in one pass over memory, where the device can.
    """
    groups, fused = list(groups), fused and device.type in ("cpu", "cuda")
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=momentum, fused=fused)
    if name == "adamw":
        return torch.optim.AdamW(groups, fused=fused, betas=(0.9, beta2), weight_decay=0.0)
    return Adam(groups, device, beta2, fused=fused)


class Adam(torch.optim.Adam):
    """Adam in one pass over each parameter, whatever its memory order.

    On a CPU torch's fused Adam copies tensors in channels_last to NCHW and back, half of its time. The update
    is the same for every number, so here it is given their NHWC views, which are contiguous.
    """

    def __init__(
        self, groups: Any, device: torch.device, beta2: float = 0.999, *, fused: bool = True
    ) -> None:
        fused = fused and device.type in ("cpu", "cuda")
        super().__init__(groups, betas=(0.9, beta2), fused=fused)

    def _init_group(
        self,
        group: dict[str, Any],
        parameters: list[Tensor],
        gradients: list[Tensor],
        means: list[Tensor],
        squares: list[Tensor],
        *rest: Any,
    ) -> Any:
        # not documented by torch: where it is no longer called, steps are only slower
        lists = parameters, gradients, means, squares
        result = super()._init_group(group, *lists, *rest)  # type: ignore[no-untyped-call]
        for i in range(len(parameters)):
            if all(_channels_last(values[i]) for values in (parameters, means, squares)):
                gradients[i] = gradients[i].contiguous(memory_format=torch.channels_last)
                for values in lists:
                    values[i] = values[i].permute(0, 2, 3, 1)
        return result


def _channels_last(tensor: Tensor) -> bool:
    return (
        tensor.dim() == 4
        and not tensor.is_contiguous()
        and tensor.is_contiguous(memory_format=torch.channels_last)
    )
