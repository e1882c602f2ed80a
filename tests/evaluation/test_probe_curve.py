"""The linear probe with few and more labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.console import console
from geopretrain.data.batches import LabelledBatch
from geopretrain.evaluation.probe import RIDGE, Sums
from geopretrain.evaluation.probe_curve import RIDGES, Draw, images_of, ridge_of, scores
from geopretrain.networks import Backbone


class Bars:
    """Bright and dark fields, the class being the brightness, under noise that grows with the brightness."""

    num_classes = 2

    def __init__(self):
        rng = np.random.default_rng(0)
        bright = torch.from_numpy(rng.integers(0, 2, (40, 1, 4, 4))).repeat_interleave(16, 2)
        self.labels = bright.repeat_interleave(16, 3)[:, 0]
        noise = torch.from_numpy(rng.normal(0, 60, (40, 3, 64, 64)))
        self.images = (60 + 120 * self.labels[:, None] + noise).clamp(0, 255).to(torch.uint8)
        self.labels[:, :4] = 255

    def read(self, positions, fields):
        return LabelledBatch(self.images[positions], self.labels[positions], torch.as_tensor(positions))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone("test_resnet").eval()


def scored(backbone, *draws):
    """Return the scores of each draw, and the images that were counted."""
    measured = np.arange(24)
    with console.showing(False), console.progress("probe", images_of(draws, measured)) as line:
        return scores(Bars(), backbone, draws, measured, line), line._done


def test_more_labels_are_better_and_everything_is_counted(backbone):
    draw = Draw(np.arange(24), np.arange(24, 40), (1, 3, 24))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    (found,), done = scored(backbone, draw)
    assert list(found) == [1, 3, 24]
    assert found[24] > found[1]
    assert found[24] > 0.8
    assert done == images_of([draw], np.arange(24)) == 24 + 24 + 16
    assert scored(backbone, draw)[0] == [found]
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_fewer_labels_are_scored_as_if_there_were_no_more(backbone):
    whole, _ = scored(backbone, Draw(np.arange(24), np.arange(24, 40), (3, 24)))
    alone, _ = scored(backbone, Draw(np.arange(24), np.arange(24, 40), (3,)))
    assert alone[0][3] == whole[0][3]


def test_sets_are_scored_as_if_each_were_alone_and_shared_images_are_looked_at_once(backbone):
    sets = [
        Draw(np.arange(first, 24), np.arange(24, last), (2, 6)) for first, last in ((0, 40), (9, 40), (4, 32))
    ]
    together, done = scored(backbone, *sets)
    assert together == [scored(backbone, one)[0][0] for one in sets]
    assert together[0] != together[1]
    assert done == 24 + 3 * 6 + 16 + 8


def sums_of(rng, rows, noise):
    """Return the sums of pixels whose class follows from one of many features, under noise."""
    found = Sums(41, 2)
    features = torch.from_numpy(rng.normal(size=(1, 40, rows, 1)))
    labels = (features[:, 0] + noise * torch.from_numpy(rng.normal(size=(1, rows, 1))) > 0).long()
    found.add(features, labels)
    return found


def test_the_penalty_is_large_where_a_layer_would_learn_by_heart_and_small_where_not():
    rng = np.random.default_rng(1)
    assert ridge_of([sums_of(rng, 48, 2.0) for _ in range(2)]) == RIDGES[-1]
    assert ridge_of([sums_of(rng, 4000, 0.1) for _ in range(2)]) <= 1e-2
    assert RIDGES[0] == RIDGE


def test_the_loss_is_the_squared_error_but_for_a_constant():
    rng = np.random.default_rng(2)
    features = torch.from_numpy(rng.normal(size=(2, 5, 4, 3)))
    labels = torch.from_numpy(rng.integers(0, 3, (2, 4, 3)))
    sums = Sums(6, 3)
    sums.add(features, labels)
    rows = torch.cat([features.permute(0, 2, 3, 1).reshape(-1, 5), torch.ones(24, 1, dtype=torch.float64)], 1)
    classes = torch.eye(3, dtype=torch.float64)[labels.flatten()]
    layers = [torch.from_numpy(rng.normal(size=(6, 3))) for _ in range(2)]
    errors = [float((classes - rows @ layer).square().sum()) for layer in layers]
    assert sums.loss_of(layers[0]) - sums.loss_of(layers[1]) == pytest.approx(errors[0] - errors[1])
