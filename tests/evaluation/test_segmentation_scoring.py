from __future__ import annotations

import pytest
import torch
from geopretrain.evaluation.segmentation import score_segmentation

from geopretrain.data.batches import LabelledBatch
from geopretrain.tasks.base import Task

LABELS = torch.tensor([[[0, 0], [1, 1]], [[0, 1], [1, 255]]])


class Fixed(Task):
    """Predicts class 1 wherever the image is bright."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def predict(self, images):
        return (images[:, 0] > 0.5).to(torch.uint8)


class TwoImages:
    num_classes = 3
    class_names = ("road", "car", "boat")
    counts = {"test": 2}  # noqa: RUF012

    def load(self, split, indices):
        bright = torch.tensor([[[0, 0], [255, 255]], [[0, 0], [255, 255]]], dtype=torch.uint8)
        images = bright[:, None].expand(-1, 3, -1, -1)[indices]
        return LabelledBatch(images, LABELS[indices], torch.as_tensor(indices))


def test_scores_by_hand():
    scores = score_segmentation(Fixed(), TwoImages(), "test")
    # truth/prediction over 7 labelled pixels: road 3/4 with 3 shared, car 4/3 with 3 shared; boat nowhere
    assert scores["iou"] == {"road": pytest.approx(3 / 4), "car": pytest.approx(3 / 4), "boat": None}
    assert scores["miou"] == pytest.approx(3 / 4)
    assert scores["pixel_accuracy"] == pytest.approx(6 / 7)
    # image 1 is right; image 2: road 1/2, car 1/3 (the pixel without a label counts against it there)
    assert scores["per_image_miou"] == pytest.approx((1 + (1 / 2 + 1 / 3) / 2) / 2)
