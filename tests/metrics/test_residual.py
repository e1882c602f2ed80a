from __future__ import annotations

import math

import pytest
import torch

from geopretrain.metrics.residual import ResidualInformation
from geopretrain.training.monitoring import is_lowest


def logits_of(probabilities):
    """Return logits ``1 K H W`` of probabilities ``H W K``, shifted, which a softmax does not see."""
    return torch.tensor(probabilities).permute(2, 0, 1)[None].log() + 3.0


def test_bits_by_hand():
    score = ResidualInformation()
    logits = logits_of([[[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], [[0.25, 0.25, 0.5], [0.9, 0.05, 0.05]]])
    score.update(logits, torch.tensor([[[0, 0], [1, 255]]]))
    # 1 bit of one half, 3 of an eighth, 2 of a quarter; the last pixel has no label
    assert score.compute() == pytest.approx((1 + 3 + 2) / 3)


def test_pixels_count_alike_whatever_image_or_batch_they_are_in():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 4, 5, 6), torch.randint(0, 4, (3, 5, 6))
    labels[0, :4] = 255  # one image has fewer labels than the others
    whole, parts = ResidualInformation(), ResidualInformation()
    whole.update(logits, labels)
    for k in range(3):
        parts.update(logits[k : k + 1], labels[k : k + 1].to(torch.uint8))
    known = labels != 255
    chosen = logits.softmax(1).permute(0, 2, 3, 1)[known].gather(1, labels[known][:, None])
    assert whole.compute() == pytest.approx(-chosen.log2().mean().item(), rel=1e-5)
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-6)


def test_knowing_nothing_leaves_the_logarithm_of_the_number_of_classes():
    score = ResidualInformation()
    score.update(torch.zeros(2, 8, 3, 3), torch.randint(0, 8, (2, 3, 3)))
    assert score.compute() == pytest.approx(3.0)


def test_logarithms_of_probabilities_are_logits_too_and_half_precision_is_not_summed():
    score = ResidualInformation()
    score.update(torch.full((1, 2, 64, 64), 0.5).log().half(), torch.zeros(1, 64, 64, dtype=torch.long))
    assert score.compute() == pytest.approx(1.0, abs=1e-3)


def test_without_labels_there_is_no_number():
    score = ResidualInformation()
    score.update(torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2), 255))
    assert math.isnan(score.compute())


def test_weights_may_be_chosen_by_it_and_less_is_better():
    assert is_lowest("validation/residual_information", "auto")
