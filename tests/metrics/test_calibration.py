from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from geopretrain.metrics.calibration import CalibrationError


def test_by_hand():
    error = CalibrationError(bins=2)
    likeliest = torch.tensor([0.9, 0.8, 0.7, 0.4, 1.0])  # of three classes
    rest = (1 - likeliest) / 2
    probabilities = torch.stack([likeliest, rest, rest])[None, :, None]
    error.update(probabilities, torch.tensor([[[0, 0, 1, 2, 255]]]))
    # above 1/2: 3 pixels, confidence 0.8, two right; below: 1 pixel, confidence 0.4, wrong
    found = error.compute()
    assert found["ece"] == pytest.approx((3 * abs(2 / 3 - 0.8) + 1 * 0.4) / 4)
    assert found["reliability"][1] == {
        "pixels": 3,
        "confidence": pytest.approx(0.8),
        "accuracy": pytest.approx(2 / 3),
    }


def test_equals_torchmetrics_whatever_the_batches():
    torch.manual_seed(0)
    probabilities = (2 * torch.randn(4, 5, 6, 7)).softmax(1)
    labels = torch.randint(0, 5, (4, 6, 7))
    labels[:, 0] = 255
    error = CalibrationError()
    for part in range(4):
        error.update(probabilities[part : part + 1], labels[part : part + 1])
    expected = multiclass_calibration_error(probabilities, labels, 5, n_bins=15, ignore_index=255)
    assert error.compute()["ece"] == pytest.approx(expected.item(), abs=1e-6)


def test_without_pixels_there_is_none():
    error = CalibrationError()
    error.update(torch.rand(1, 2, 2, 2), torch.full((1, 2, 2), 255))
    assert error.compute() == {"ece": None, "reliability": []}
