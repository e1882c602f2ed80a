"""Samples that are far apart, and hard, are chosen from features."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.data.choosing import far_apart, ranks
from geopretrain.errors import ConfigError


def circle(*degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def positions(*values, **options):
    return [one.position for one in far_apart(*values, **options)]


def test_each_is_the_farthest_from_those_before():
    """The middle one first, then the ends, then what is farthest from all three."""
    features = circle(0, 10, 45, 50, 90) * np.array(
        [[1], [9], [2], [0.1], [5]]
    )  # their length does not count
    assert positions(features, 4) == [2, 0, 4, 1] or positions(features, 4) == [2, 4, 0, 1]
    first, second = far_apart(features, 2)
    assert second.distance == pytest.approx(2 * np.sin(np.radians(45 / 2)))
    assert first.hardness is None


def test_hard_ones_count_more():
    features = circle(0, 44, 50, 90, 130)
    easy = positions(features, 2)
    losses = np.array([0.0, 1, 2, 9, 5])
    hard = far_apart(features, 2, losses, 5.0)
    assert easy[0] == hard[0].position
    assert positions(features, 2, losses, 0.0) == easy, "0: by features alone"
    assert [one.hardness for one in hard] == [ranks(losses)[one.position] for one in hard]
    weights = 1 + 5 * ranks(losses)
    distances = np.linalg.norm(features - features[hard[0].position], axis=1)
    assert hard[1].position == (weights * distances).argmax()


def test_none_is_chosen_twice_even_where_all_are_alike():
    assert sorted(positions(np.ones((5, 3)), 5)) == [0, 1, 2, 3, 4]
    assert sorted(positions(np.zeros((3, 2)), 3)) == [0, 1, 2]


def test_near_duplicates_come_last():
    features = np.concatenate([circle(0, 0.1, 0.2, 0.3), circle(90), circle(180)])
    assert set(positions(features, 3)) >= {4, 5}


def test_more_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="4 of 3 frames cannot be chosen"):
        far_apart(np.eye(3), 4)


def test_ranks_by_hand():
    assert ranks(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert ranks(np.array([1.0, 1.0, 5.0])).tolist() == [0.25, 0.25, 1.0]
    assert ranks(np.array([np.nan, 1.0, 5.0])).tolist() == [0.5, 0.0, 1.0]
    assert ranks(np.array([np.nan, 2.0])).tolist() == [0.5, 0.5]
