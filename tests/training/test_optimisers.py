from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from geopretrain.training.optimisers import Adam


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 1, 3), nn.Conv2d(1, 4, 1))


def step(model, optimiser, gradient_order=torch.preserve_format):
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator)
        order = gradient_order if gradient.dim() == 4 else torch.preserve_format
        parameter.grad = torch.empty_like(parameter, memory_format=order).copy_(gradient)
    optimiser.step()


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gradient_order", [torch.contiguous_format, torch.preserve_format])
def test_steps_are_those_of_adam_in_any_memory_order(order, gradient_order):
    model, plain = network().to(memory_format=order), network()
    ours, theirs = Adam(model.parameters(), torch.device("cpu")), torch.optim.Adam(plain.parameters())
    for _ in range(3):
        step(model, ours, gradient_order)
        step(plain, theirs)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)
        assert a.is_contiguous() or a.is_contiguous(memory_format=order)


def test_a_saved_state_goes_on_where_it_was():
    model = network().to(memory_format=torch.channels_last)
    optimiser = Adam(model.parameters(), torch.device("cpu"))
    step(model, optimiser)
    other, state = copy.deepcopy(model), copy.deepcopy(optimiser.state_dict())
    assert state["state"][0]["exp_avg"].shape == model[0].weight.shape
    again = Adam(other.parameters(), torch.device("cpu"))
    again.load_state_dict(state)
    step(model, optimiser)
    step(other, again)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
