from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geopretrain.errors import ConfigError, DataError
from geopretrain.metrics import (
    KITTI_SEVEN_CLASSES,
    SegmentationScore,
    as_released_kitti_labels,
    per_image_score,
)


def _score(pred, labels, device="cpu", **options):
    score = SegmentationScore(**{"num_classes": 3, **options})
    score.update(torch.tensor(pred, device=device), torch.tensor(labels, device=device))
    return score.compute()


def test_scores_by_hand(device):
    result = _score([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]], device)
    assert result["iou"][:2] == pytest.approx([1 / 2, 2 / 3])
    assert math.isnan(result["iou"][2])  # in neither: left out of the mean
    assert result["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert result["pixel_accuracy"] == pytest.approx(3 / 4)


def test_a_class_only_predicted_counts_as_zero():
    result = _score([[[0, 2]]], [[[0, 0]]])
    assert result["iou"][2] == 0
    assert result["miou"] == pytest.approx((0.5 + 0) / 2)


def test_ignored_pixels_do_not_count():
    result = _score([[[0, 1, 2]]], [[[0, 255, 255]]])
    assert (result["miou"], result["pixel_accuracy"]) == (1.0, 1.0)
    assert result["iou"] == pytest.approx([1.0, math.nan, math.nan], nan_ok=True)


def test_one_matrix_over_the_set_is_not_the_mean_over_batches():
    score = SegmentationScore(2)
    score.update(torch.tensor([[[0, 0, 0, 0]]]), torch.tensor([[[0, 0, 0, 1]]]))
    score.update(torch.tensor([[[1]]]), torch.tensor([[[1]]]))
    assert score.confusion().tolist() == [[3, 0], [1, 1]]
    assert score.compute()["iou"] == pytest.approx([3 / 4, 1 / 2])


def test_class_subset_limits_the_mean_and_not_the_accuracy():
    result = _score([[[0, 0, 1, 1]]], [[[0, 1, 1, 1]]], class_subset=[1])
    assert result["miou"] == pytest.approx(2 / 3)
    assert result["pixel_accuracy"] == pytest.approx(3 / 4)
    with pytest.raises(ConfigError, match="0 to 2"):
        SegmentationScore(3, class_subset=[3])


def test_everything_ignored_is_nan_and_not_a_number_made_up():
    result = _score([[[0, 1]]], [[[255, 255]]])
    assert math.isnan(result["miou"])
    assert math.isnan(result["pixel_accuracy"])


def test_wrong_ids_and_shapes_are_refused():
    with pytest.raises(DataError, match="true class id"):
        _score([[[0]]], [[[7]]])
    with pytest.raises(DataError, match="predicted class id"):
        _score([[[3]]], [[[0]]])
    with pytest.raises(DataError, match="same shape"):
        _score([[[0, 1]]], [[[0]]])


def test_per_image_variant_equals_the_released_script(golden):
    data = golden("depth_to_semantic_kitti.npz")
    subset = list(KITTI_SEVEN_CLASSES)
    assert subset == data["out_miou_class_ids"].tolist()
    result = per_image_score(torch.tensor(data["in_pred"]), torch.tensor(data["in_label"]))
    assert result["miou"] == pytest.approx(float(data["out_dataset_miou"]), rel=1e-6)
    assert result["pixel_accuracy"] == pytest.approx(float(data["out_dataset_pix_acc"]), rel=1e-6)
    assert result["batch_miou"] == pytest.approx(float(data["out_batch_miou"]), rel=1e-6)
    assert result["batch_pixel_accuracy"] == pytest.approx(float(data["out_batch_pix_acc"]), rel=1e-6)
    np.testing.assert_allclose(result["iou"], data["out_dataset_iou"], rtol=1e-6)
    images = np.stack([row["iou"] for row in result["per_image"]])
    np.testing.assert_allclose(images, data["out_image_iou"], rtol=1e-6)
    assert [row["miou"] for row in result["per_image"]] == pytest.approx(data["out_image_miou"].tolist())


def test_per_image_variant_with_255_equals_the_released_script(golden):
    data = golden("depth_to_semantic_kitti.npz")
    result = per_image_score(torch.tensor(data["in_pred"]), torch.tensor(data["in_label_with255"]))
    assert result["batch_miou"] == pytest.approx(float(data["out_with255_miou"]), rel=1e-6)
    assert result["batch_pixel_accuracy"] == pytest.approx(float(data["out_with255_pix_acc"]), rel=1e-6)


def test_released_label_mapping(golden):
    data = golden("depth_to_semantic_kitti.npz")
    np.testing.assert_array_equal(as_released_kitti_labels(data["in_raw_label"]), data["out_loaded_label"])
