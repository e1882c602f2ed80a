"""Confident depth ranking."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geopretrain.losses.ranking import (
    confident_ranking,
    draw_pairs,
    farther,
    ranking_loss,
    unreliable_pixels,
)


@pytest.fixture
def arrays(golden):
    return {n: torch.from_numpy(np.array(a)) for n, a in golden("sc_depth_v3.npz").items()}


def test_unreliable_pixels_equal_the_released_ones(arrays):
    for given, mask in (("in_valid_weight", "out_unreliable_mask"), ("out_dynamic_mask",) * 2):
        expected = arrays[mask if mask.endswith("mask") and mask != given else f"{mask}_unreliable"]
        np.testing.assert_array_equal(unreliable_pixels(arrays[given].double()), expected > 0)


def test_pairs_relations_and_loss_equal_the_released_ones(arrays):
    depth, teacher = (arrays[n].double() for n in ("in_tgt_depth", "in_pseudo_depth"))
    unreliable = unreliable_pixels(arrays["in_valid_weight"]).flatten(1)
    order = unreliable.int().argsort(dim=1, stable=True)
    count = int(unreliable[0].sum())
    chosen = torch.stack([arrays[f"in_rank_dyn_index{i}"] for i in (0, 1)]).long()
    moving, static = order[:, -count:], order.gather(1, chosen)
    first_mask = arrays["in_rank_global_rand"].flatten() >= 0.9
    second_mask = first_mask[arrays["in_rank_global_perm"].long()]
    first, second = (m.nonzero().flatten().expand(2, -1) for m in (first_mask, second_mask))
    labels = []
    for a, b, name in ((moving, static, "dyn"), (first, second, "global")):
        labels.append(farther(*(teacher.flatten(1).gather(1, i) for i in (a, b)), as_released=True))
        np.testing.assert_array_equal(labels[-1].flatten(), arrays[f"out_rank_{name}_target"])
        for i, side in ((a, "A"), (b, "B")):
            np.testing.assert_array_equal(
                depth.flatten(1).gather(1, i).flatten(), arrays[f"out_rank_{name}_z{side}"]
            )
    pairs = torch.cat([moving, first], 1), torch.cat([static, second], 1)
    loss = ranking_loss(depth, torch.cat(labels, 1), *pairs, as_released=True)
    np.testing.assert_allclose(loss, arrays["out_mask_ranking_loss"], atol=1e-12)


def test_a_pair_by_hand():
    depth = torch.tensor([[[[1.0, 3.0]]]])
    first, second = torch.tensor([[0, 1]]), torch.tensor([[1, 0]])
    pair = depth, torch.tensor([[1.0, 0.0]]), first, second
    assert ranking_loss(*pair, as_released=True).item() == pytest.approx(math.log(1 + math.exp(2)))
    x = math.log(1 / 3) / math.log(1.15)
    assert ranking_loss(*pair).item() == pytest.approx(math.log(1 + math.exp(-x)))


def test_the_unit_of_depth_matters_only_as_released():
    torch.manual_seed(0)
    depth, first, second = torch.rand(1, 1, 8, 8) + 0.1, *torch.randint(64, (2, 1, 30))
    labels = farther(depth.flatten(1).gather(1, first), depth.flatten(1).gather(1, second))
    for released in (False, True):
        near, far = (ranking_loss(s * depth, labels, first, second, released) for s in (1, 20))
        assert torch.isclose(near, far, rtol=1e-4) != released


def test_only_clearly_different_measured_pairs_are_ranked():
    first, second = torch.tensor([2.0, 1.0, 1.0, 1.1, 0.0, 2.0]), torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0, 0.0])
    assert farther(first, second).tolist() == [1, -1, 0, 0, 0, 0]


def test_pairs_are_unreliable_against_reliable_ones_and_random_ones():
    torch.manual_seed(0)
    consistency = torch.rand(2, 1, 10, 20)
    unreliable = unreliable_pixels(consistency).flatten(1)
    first, second = draw_pairs(consistency)
    assert first.shape == second.shape == (2, 40 + 20)
    assert unreliable.gather(1, first[:, :40]).all()
    assert not unreliable.gather(1, second[:, :40]).any()


def test_the_right_order_costs_less_and_a_flat_teacher_is_told():
    torch.manual_seed(0)
    teacher, consistency = torch.rand(2, 1, 16, 16) + 0.2, torch.rand(2, 1, 16, 16)
    right, fraction = confident_ranking(5 * teacher, teacher, consistency)
    wrong, _ = confident_ranking(1 / teacher, teacher, consistency)
    assert right < wrong
    assert fraction > 0.5
    loss, fraction = confident_ranking(teacher, torch.ones_like(teacher), consistency)
    assert (loss.item(), fraction.item()) == (0, 0)


@pytest.mark.parametrize("released", [False, True])
def test_gradients_are_right(released):
    torch.manual_seed(0)
    depth = (0.1 + torch.rand(2, 1, 4, 5, dtype=torch.float64)).requires_grad_()
    first, second = torch.randint(20, (2, 2, 9))
    labels = torch.randint(-1, 2, (2, 9)).double()
    assert torch.autograd.gradcheck(lambda d: ranking_loss(d, labels, first, second, released), depth)
