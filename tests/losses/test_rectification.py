"""Losses of the rectification network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain import geometry
from geopretrain.losses.rectification import rotation_consistency, rotation_triplet, training_rotations


@pytest.fixture
def arrays(golden):
    return {n: torch.from_numpy(np.array(a)) for n, a in golden("sc_depth_v2.npz").items()}


def rotations(arrays, number):
    return torch.stack([arrays[f"in_rot{number}_ref{i}"].double() for i in (0, 1)])


def test_losses_and_turned_images_equal_the_released_ones(arrays):
    before, after, guess = (rotations(arrays, n) for n in (1, 2, 3))
    draw = torch.stack([torch.zeros(2, 3).double(), arrays["in_uniform_draw_ref1"].double()])
    given = training_rotations(before, draw)
    K = arrays["in_intrinsics"].double()
    for released in (False, True):
        triplet = rotation_triplet(before, after, released)
        np.testing.assert_allclose(triplet, arrays["out_loss_rot_triplet"], atol=1e-9)
    np.testing.assert_allclose(
        rotation_consistency(guess, given), arrays["out_loss_rot_consistency"], atol=1e-9
    )
    for i in (0, 1):
        source = arrays[f"in_ref_img{i}"].double()
        for angles, name in ((before[i], f"ref_warped{i}"), (given[i], f"rot3_network_input_first_ref{i}")):
            rotated, _ = geometry.warp_rotated(source, geometry.rotation_from_euler(angles), K, "zeros")
            np.testing.assert_allclose(rotated, arrays[f"out_{name}"], atol=1e-9)


def test_the_rotation_before_learns_from_the_triplet_only_as_released():
    before = torch.full((2, 3), 0.01, requires_grad=True)
    after = torch.full((2, 3), 0.03, requires_grad=True)
    assert rotation_triplet(before, after).item() == pytest.approx(0.07)
    rotation_triplet(before, after).backward()
    assert before.grad is None
    assert (after.grad > 0).all()
    rotation_triplet(before, after, as_released=True).backward()
    assert (before.grad < 0).all()


def test_gradients_are_right():
    torch.manual_seed(0)
    before, after = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda b, a: rotation_triplet(b, a, True), (before, after))
    assert torch.autograd.gradcheck(lambda a: rotation_consistency(a, before.detach()), after)
