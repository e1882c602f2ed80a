"""Weights of classes, hardest pixels: by hand."""

from __future__ import annotations

import math

import pytest
import torch

from geopretrain.losses.segmentation import class_weights, hard_pixels, segmentation_loss

# four pixels of a row: true classes 0, 0, 1, none; probabilities of the true class 0.9, 0.5, 0.2
PROBABILITIES = torch.tensor([[0.9, 0.5, 0.8, 0.3], [0.1, 0.5, 0.2, 0.7]])
LOGITS = PROBABILITIES.log().view(1, 2, 1, 4)
LABELS = torch.tensor([[[0, 0, 1, 255]]])
ERRORS = [-math.log(p) for p in (0.9, 0.5, 0.2)]


def loss(**options) -> float:
    return segmentation_loss(LOGITS, LABELS, **options).item()


def test_the_mean_over_labelled_pixels():
    assert loss() == pytest.approx(sum(ERRORS) / 3)


def test_weights_of_classes_weigh_the_mean():
    expected = (1 * ERRORS[0] + 1 * ERRORS[1] + 3 * ERRORS[2]) / 5
    assert loss(weights=torch.tensor([1.0, 3.0])) == pytest.approx(expected)
    assert loss(weights=torch.ones(2)) == pytest.approx(loss())
    assert loss(weights=torch.zeros(2)) == 0


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"hard_fraction": 0.33}, [2]),  # one of three
        ({"hard_fraction": 0.34}, [1, 2]),  # rounded up
        ({"hard_fraction": 1.0}, [0, 1, 2]),
        ({"hard_threshold": 0.6}, [1, 2]),
        ({"hard_threshold": 0.1}, [2]),  # at least a sixteenth, rounded up
        ({"hard_threshold": 0.1, "hard_fraction": 0.5}, [1, 2]),
    ],
)
def test_the_hardest_pixels_count(options, kept):
    assert loss(**options) == pytest.approx(sum(ERRORS[i] for i in kept) / len(kept))


def test_hard_pixels_with_weights():
    expected = (1 * ERRORS[1] + 3 * ERRORS[2]) / 4
    assert loss(hard_fraction=0.5, weights=torch.tensor([1.0, 3.0])) == pytest.approx(expected)


def test_hard_pixels_equal_the_largest_of_a_sort():
    torch.manual_seed(0)
    errors, labelled = torch.rand(2, 5, 7), torch.rand(2, 5, 7) < 0.8
    found = hard_pixels(errors, labelled, 0.25)
    count = math.ceil(0.25 * int(labelled.sum()))
    smallest = errors[labelled].sort(descending=True).values[count - 1]
    assert torch.equal(found, labelled & (errors >= smallest))


@pytest.mark.parametrize("options", [{"hard_fraction": 0.5}, {"weights": torch.ones(2)}])
def test_without_labels_the_loss_is_zero_and_has_a_gradient(options):
    logits = LOGITS.clone().requires_grad_()
    value = segmentation_loss(logits, torch.full_like(LABELS, 255), **options)
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_class_weights_by_hand():
    pixels = torch.tensor([60, 30, 0, 10])
    images = torch.tensor([100, 60, 0, 40])  # frequencies 0.6, 0.5 and 0.25
    balanced = class_weights(pixels, images, "balanced")
    assert balanced.tolist() == pytest.approx([100 / 180, 100 / 90, 0, 100 / 30])
    assert (balanced * pixels).sum().item() == pytest.approx(100)
    assert class_weights(pixels, images, "median").tolist() == pytest.approx([0.5 / 0.6, 1, 0, 2])
    assert class_weights(pixels * 0, images, "median").tolist() == [0, 0, 0, 0]
