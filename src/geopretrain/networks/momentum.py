"""Networks that follow others slowly: key encoders and teachers."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def momentum_copy(network: Network) -> Network:
    """Return a copy that is not trained; see `follow`."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(network: nn.Module, leader: nn.Module, momentum: float) -> None:
    """Move parameters a step towards the leader's: ``m * own + (1 - m) * other`` (MoCo, equation 2)."""
    for own, other in zip(network.parameters(), leader.parameters(), strict=True):
        own.lerp_(other, 1 - momentum)
