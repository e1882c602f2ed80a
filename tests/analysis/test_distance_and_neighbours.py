"""How far weights have moved, and a probe by neighbours: by hand."""

from __future__ import annotations

import math

import pytest
import torch

from geopretrain.analysis.distance import distances_moved, grouped
from geopretrain.analysis.knn import knn_scores
from geopretrain.errors import WeightsError


def test_distances_are_relative_to_what_was_there():
    before = {
        "a.conv.weight": torch.tensor([3.0, 4.0]),
        "a.conv.bias": torch.zeros(1),
        "b.norm.weight": torch.ones(4),
    }
    after = {
        "a.conv.weight": torch.tensor([3.0, 1.0]),
        "a.conv.bias": torch.tensor([4.0]),
        "b.norm.weight": torch.ones(4),
    }
    found = distances_moved(before, after)
    assert found == pytest.approx({"": 5 / math.sqrt(29), "a.conv": 1.0, "b.norm": 0.0})
    assert grouped(found, 1) == pytest.approx({"a": 1.0, "b": 0.0})


def test_a_layer_that_was_nothing_is_infinitely_far():
    one, zero = {"a.weight": torch.ones(2)}, {"a.weight": torch.zeros(2)}
    assert distances_moved(zero, one)["a"] == math.inf
    assert distances_moved(zero, zero)["a"] == 0


def test_counters_are_no_weights_and_other_models_are_refused():
    counted = {"a.weight": torch.ones(2), "a.count": torch.tensor(3)}
    assert distances_moved(counted, {**counted, "a.count": torch.tensor(9)})[""] == 0
    with pytest.raises(WeightsError, match="differ in name or shape"):
        distances_moved(counted, {"a.weight": torch.ones(3), "a.count": torch.tensor(3)})


def test_neighbours_vote_by_how_near_they_are():
    known = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    labels = torch.tensor([0, 2, 1])
    found = knn_scores(
        torch.tensor([[2.0, 0.0], [1.0, 1.0]]), known, labels, 3, neighbours=2, temperature=0.5
    )
    near, far = math.exp(1 / 0.5), math.exp(0.0)
    expected = torch.tensor([[near / (near + far), 0, far / (near + far)], [0.5, 0, 0.5]])
    torch.testing.assert_close(found, expected)


def test_more_neighbours_than_there_are_ask_all():
    found = knn_scores(torch.ones(1, 2), torch.eye(2), torch.tensor([0, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5]]))
