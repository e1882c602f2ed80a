"""Activation checkpointing: the same gradients, weights and statistics, from less memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from geopretrain.errors import OptionError
from geopretrain.networks import Backbone
from geopretrain.training.activations import checkpoint_activations, keep_activations


class Encoder(nn.Module):
    """A backbone in something that learns."""

    name = "encoder"

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = Backbone(name)


def gradients(task, steps=2):
    task.train()
    torch.manual_seed(1)
    for _ in range(steps):
        loss = sum(level.square().mean() for level in task.backbone(torch.rand(2, 3, 64, 64)))
        loss.backward()
    return {name: p.grad for name, p in task.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_gradients_and_statistics_are_the_same(name):
    plain, checkpointed = Encoder(name), Encoder(name)
    checkpoint_activations(checkpointed)
    expected, found = gradients(plain), gradients(checkpointed)
    assert expected.keys() == found.keys()
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, rtol=1e-5, atol=1e-7)
    for buffer, value in plain.state_dict().items():
        torch.testing.assert_close(checkpointed.state_dict()[buffer], value)


def test_blocks_are_computed_twice_while_it_lasts():
    task, calls = Encoder("test_resnet"), []
    first = next(m for m in task.modules() if isinstance(m, nn.BatchNorm2d) and "layer" in _name(task, m))
    gradients(task, 1)  # the very first pass also finds out the sizes of the features
    first.register_forward_hook(lambda *_: calls.append(1))
    gradients(task, 1)
    checkpoint_activations(task)
    gradients(task, 1)
    keep_activations(task)
    gradients(task, 1)
    assert len(calls) == 1 + 2 + 1


def _name(task, module):
    return next(name for name, one in task.named_modules() if one is module)


def test_what_cannot_be_divided_is_named():
    frozen = Encoder("test_resnet").requires_grad_(False)
    with pytest.raises(OptionError, match="needs a backbone that learns, and encoder has none"):
        checkpoint_activations(frozen)
    with pytest.raises(OptionError, match="not possible with hrnet_w18_small"):
        checkpoint_activations(Encoder("hrnet_w18_small"))
