from __future__ import annotations

import pytest

from geopretrain.training.schedules import learning_rate_factor


def factors(schedule, steps=100, warmup=0):
    return [learning_rate_factor(step, steps, schedule, warmup) for step in range(steps)]


def test_constant_and_warm_up():
    assert factors("constant") == [1.0] * 100
    warm = factors("constant", warmup=4)
    assert warm[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_step_drops_by_ten_after_three_quarters():
    values = factors("step")
    assert values[74] == 1.0
    assert values[75] == pytest.approx(0.1)


def test_halve_halves_in_the_middle():
    assert factors("halve") == [1.0] * 50 + [0.5] * 50


def test_cosine_is_half_in_the_middle_and_ends_at_zero():
    values = factors("cosine")
    assert values[0] == 1.0
    assert values[50] == pytest.approx(0.5)
    assert learning_rate_factor(100, 100, "cosine") == pytest.approx(0.0, abs=1e-12)


def test_warm_cosine_is_flat_for_sixty_percent():
    values = factors("warm_cosine", warmup=10)
    assert values[9:61] == [1.0] * 52
    assert values[80] == pytest.approx(0.5)
    assert values[99] < 0.01


def test_triangle_equals_the_schedule_of_mim_depth(golden):
    data = golden("mim_depth.npz")
    highest, lowest, iterations, epochs = data["hp_lr_max_min_iters_epochs"]
    steps = int(iterations * 2 * (epochs // 2))  # of an odd number of epochs the last one is all at the floor
    found = [
        highest * learning_rate_factor(int(one) - 1, steps, "triangle", floor=lowest / highest)
        for one in data["in_lr_steps"]
    ]
    assert found == pytest.approx(data["out_lr"].tolist(), rel=1e-9)


def test_a_floor_is_where_falling_schedules_end_and_changes_nothing_at_the_top():
    assert learning_rate_factor(100, 100, "poly", floor=0.1) == pytest.approx(0.1)
    assert learning_rate_factor(0, 100, "poly", floor=0.1) == 1.0
    assert learning_rate_factor(50, 100, "poly", floor=0.1) == pytest.approx(0.1 + 0.9 * 0.5**0.9)
    assert learning_rate_factor(7, 100, "constant", floor=0.1) == pytest.approx(1.0)
