"""The joined copy of the decoder against its three steps."""

from __future__ import annotations

import pytest
import torch
from tolerances import assert_near
from torch.nn import functional as F

from geopretrain.networks.decoders.layers import join_pad, upsample_join_pad


def three_steps(features, skip):
    up = F.interpolate(features, scale_factor=2, mode="nearest")
    joined = up if skip is None else torch.cat([up, skip], 1)
    return F.pad(joined, (1, 1, 1, 1), mode="reflect")


def two_steps(features, skip):
    joined = features if skip is None else torch.cat([features, skip], 1)
    return F.pad(joined, (1, 1, 1, 1), mode="reflect")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("height", "width", "skip_channels"), [(2, 2, 2), (6, 10, 2), (8, 4, 0)])
@pytest.mark.parametrize(
    ("function", "steps", "factor"), [(upsample_join_pad, three_steps, 2), (join_pad, two_steps, 1)]
)
def test_one_copy_equals_its_steps(
    function, steps, factor, layout, height, width, skip_channels, device, dtype
):
    torch.manual_seed(0)
    features = torch.rand(2, 3, height // factor, width // factor, dtype=dtype, device=device)
    features = features.to(memory_format=layout).requires_grad_()
    skip = torch.rand(2, skip_channels, height, width, dtype=dtype, device=device).requires_grad_()
    inputs = (features, skip if skip_channels else None)
    found, expected = function(*inputs), steps(*inputs)
    assert torch.equal(found, expected)
    weights = torch.rand_like(found)
    leaves = [x for x in inputs if x is not None]
    ours = torch.autograd.grad((found * weights).sum(), leaves)
    theirs = torch.autograd.grad((expected * weights).sum(), leaves)
    for a, b in zip(ours, theirs, strict=True):
        assert_near(a, b, tighter=100)  # sums of at most sixteen numbers


def test_gradient_is_that_of_finite_differences(device):
    torch.manual_seed(0)
    features = torch.rand(1, 2, 2, 3, dtype=torch.float64, device=device, requires_grad=True)
    skip = torch.rand(1, 1, 4, 6, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(upsample_join_pad, (features, skip))
    assert torch.autograd.gradcheck(join_pad, (torch.rand_like(skip).requires_grad_(), skip))


def test_the_incoming_gradient_is_left_alone(device):
    features = torch.rand(1, 2, 2, 3, device=device, requires_grad=True)
    gradient = torch.rand(1, 2, 6, 8, device=device)
    before = gradient.clone()
    upsample_join_pad(features, None).backward(gradient)
    assert torch.equal(gradient, before)


def test_mixed_types_give_gradients_of_their_own_type(device):
    features = torch.rand(1, 2, 2, 2, dtype=torch.bfloat16, device=device, requires_grad=True)
    skip = torch.rand(1, 2, 4, 4, device=device, requires_grad=True)
    result = upsample_join_pad(features, skip)
    result.sum().backward()
    assert result.dtype == torch.bfloat16
    assert (features.grad.dtype, skip.grad.dtype) == (torch.bfloat16, torch.float32)


def test_nothing_is_computed_for_what_needs_no_gradient():
    features = torch.rand(1, 2, 2, 2, requires_grad=True)
    skip = torch.rand(1, 2, 4, 4)
    upsample_join_pad(features, skip).sum().backward()
    assert skip.grad is None
    assert features.grad.sum() == pytest.approx(36 * 2)


@pytest.mark.parametrize(("function", "factor"), [(upsample_join_pad, 2), (join_pad, 1)])
def test_an_export_holds_operators_that_others_know(function, factor):
    class Joined(torch.nn.Module):
        def forward(self, features, skip):
            return function(features, skip)

    inputs = (torch.rand(2, 3, 4, 6), torch.rand(2, 1, 4 * factor, 6 * factor))
    program = torch.export.export(Joined(), inputs)
    assert {str(node.target) for node in program.graph.nodes if node.op == "call_function"} <= {
        "aten.upsample_nearest2d.vec",
        "aten.cat.default",
        "aten.pad.default",
    }
    assert torch.equal(program.module()(*inputs), function(*inputs))
