"""How near it is what labelled images show: relative, computed once, kept beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.data.batches import BEYOND
from geopretrain.data.dataset import PseudoDepthInfo
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.labelled.nearness import Look, WithNearness, relative_nearness


def near(values, quantity, meaning):
    return relative_nearness(torch.tensor(values).view(1, 1, -1), PseudoDepthInfo("t", quantity, meaning))[
        0, 0
    ]


def test_it_is_inverse_depth_within_the_image():
    ramp = np.linspace(1, 2, 101, dtype=np.float32)  # quantiles 0.01 and 0.99 are 1.01 and 1.99
    found = near(ramp, "disparity", "scale")
    expected = np.clip((ramp - 1.01) / 0.98, 0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(near(1 / ramp, "depth", "metric"), expected, atol=1e-5)
    np.testing.assert_allclose(near(7 * ramp, "disparity", "scale"), expected, atol=1e-5)
    np.testing.assert_allclose(near(3 - 2 * ramp, "depth", "scale_shift"), expected, atol=1e-5)
    np.testing.assert_allclose(near(2 * ramp - 3, "disparity", "scale_shift"), expected, atol=1e-5)


def test_what_has_no_depth_is_behind_everything():
    found = near([0.0, 1.0, float("nan"), 2.0, float("inf")], "depth", "metric")
    assert found[[0, 2, 4]].tolist() == [BEYOND] * 3
    assert found[1] > found[3] >= 0
    assert near([0.0, 0.0], "depth", "scale").tolist() == [BEYOND] * 2
    assert torch.isfinite(near([5.0, 5.0], "depth", "scale")).all(), "a flat map is one, too"


def test_each_image_is_looked_at_once():
    labelled, asked = LabelledSet.open("synthetic:street?train=3&val=1&test=1", size=(32, 48)), []

    def see(images):
        asked.append(len(images))
        assert images.dtype == torch.uint8
        shown = images.float().mean(1) / 255
        return torch.where(shown > 0.9, BEYOND, shown)

    data = WithNearness(labelled, Look("0123", see))
    data.check([0, 2])
    assert asked == [1, 1]
    batch = data.read([2, 0, 2], LABELS)
    again = WithNearness(LabelledSet.open(labelled.path, size=(32, 48)), Look("0123", see)).read([2, 0, 2])
    assert asked == [1, 1]
    expected = see(labelled.read([2, 0, 2]).images)[:, None]
    torch.testing.assert_close(batch.nearness, expected, atol=2e-5, rtol=0)
    assert torch.equal(batch.nearness, again.nearness)
    assert batch.nearness.dtype == torch.float32
    assert torch.equal(batch.labels, labelled.read([2, 0, 2]).labels)
    other = WithNearness(labelled, Look("4567", lambda images: torch.zeros(len(images), 32, 48)))
    assert other.read([0]).nearness.abs().max() == 0, "another network sees anew"
    assert data.splits().keys() == labelled.splits().keys()
    assert (len(data), data.fingerprint(), data.names([1])) == (
        len(labelled),
        labelled.fingerprint(),
        labelled.names([1]),
    )


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_what_is_kept_is_what_was_seen(value):
    labelled = LabelledSet.open("synthetic:street?train=1&val=1&test=1", size=(32, 48))
    look = Look(f"value{value}", lambda images: torch.full((len(images), 32, 48), value))
    kept = WithNearness(labelled, look).read([0]).nearness
    assert kept.max() == kept.min() == pytest.approx(value, abs=1e-5)
