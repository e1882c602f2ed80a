"""Views of a scene in which some depths, poses or colours are none, and how to compare what comes of them."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
import torch.nn.functional as F

from geopretrain.geometry import inverse_depth_projection, pose_matrix

SIZE = (12, 16)
NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
ODD = (*NO_NUMBERS, 0.0, -0.0, -3.0, 1e-42, 1e-30, 1e-6, 1e6, 1e30, 3e38)

spoilt = st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from(ODD)), max_size=12)
"""Which values of a map are replaced by what."""
spoilt_colours = st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from(NO_NUMBERS)), max_size=3)
seeds = st.integers(0, 2**16)


def spoil(values, changes):
    """Return the values with some replaced."""
    flat = values.clone().flatten()
    for place, value in changes:
        flat[place % len(flat)] = value
    return flat.view_as(values)


def scene(seed, dtype, device="cpu", batch=2, sources=2):
    """Return depth ``B 1 H W``, projections ``B N 3 4``, target ``B 3 H W`` and sources ``B N 3 H W``."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    height, width = SIZE
    coarse = rand(batch * (sources + 1), 3, height // 4, width // 4)
    images = F.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1).unflatten(0, (batch, sources + 1))
    intrinsics = torch.tensor([[width, 0, width / 2.1], [0, width, height / 1.9], [0, 0, 1]]).double()
    angles, shifts = 0.1 * (rand(batch * sources, 3) - 0.5), 0.5 * (rand(batch * sources, 3) - 0.5)
    poses = pose_matrix(angles, shifts).unflatten(0, (batch, sources))
    projection = inverse_depth_projection(intrinsics.expand(batch, 3, 3), poses, SIZE)
    depth = 1 + 4 * rand(batch, 1, height, width)
    return [v.to(device, dtype) for v in (depth, projection, images[:, 0], images[:, 1:].contiguous())]


def assert_same(found, expected, *, tolerance, jumps=0.0):
    """Compare values and where they are finite.

    Args:
        tolerance: relative to the larger of 1 and the largest value.
        jumps: fraction of the values that may be further apart, because rounding moves a position to another
            pixel, on the other side of which the slope is another.
    """
    assert torch.equal(found.isfinite(), expected.isfinite())
    found, expected = (values.double().nan_to_num(0, 0, 0) for values in (found, expected))
    apart = (found - expected).abs() > tolerance * max(1.0, expected.abs().max().item())
    assert apart.sum() <= jumps * apart.numel(), (found - expected).abs().max()
