from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geopretrain.data.batches import LabelledBatch
from geopretrain.tasks.base import SegmentationTask
from geopretrain.tasks.predictions import SegmentationPrediction
from geopretrain.tasks.transfer.segmentation_validation import SegmentationValidation

LABELS = torch.tensor([[[0, 0], [1, 1]], [[0, 1], [1, 255]]])
BRIGHT = torch.tensor([[[0, 0], [255, 255]], [[0, 0], [255, 255]]], dtype=torch.uint8)


class Fixed(SegmentationTask):
    """Predicts class 1 wherever the image is bright."""

    class_names = ("road", "car", "boat")
    class_colours = np.zeros((3, 3), np.uint8)

    def predict(self, images):
        bright = (images[:, 0] > 0.5).float()
        return SegmentationPrediction(torch.stack([1 - bright, bright, bright - 1], 1))


@pytest.mark.parametrize("batches", [[[0, 1]], [[0], [1]]])
def test_scores_by_hand_whatever_the_batches(batches):
    validation = SegmentationValidation(Fixed())
    images = BRIGHT[:, None].expand(-1, 3, -1, -1)
    for indices in batches:
        validation.update(LabelledBatch(images[indices], LABELS[indices], torch.as_tensor(indices)))
    scores = validation.compute()
    # truth/prediction over 7 labelled pixels: road 3/4 with 3 shared, car 4/3 with 3 shared; boat nowhere
    assert scores["iou"] == {"road": pytest.approx(3 / 4), "car": pytest.approx(3 / 4), "boat": None}
    assert scores["miou"] == pytest.approx(3 / 4)
    assert scores["pixel_accuracy"] == pytest.approx(6 / 7)
    # of dark pixels three are road and one is car, of bright ones three are car
    dark, bright = math.e + 1 + 1 / math.e, math.e + 2
    bits = 3 * math.log2(dark / math.e) + math.log2(dark) + 3 * math.log2(bright / math.e)
    assert scores["residual_information"] == pytest.approx(bits / 7)
    # image 1 is right; image 2: road 1/2, car 1/3 (the pixel without a label counts against it there)
    assert scores["per_image_miou"] == pytest.approx((1 + (1 / 2 + 1 / 3) / 2) / 2)
