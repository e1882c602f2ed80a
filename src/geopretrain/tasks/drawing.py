"""Predictions drawn over the pictures they are of."""

from __future__ import annotations

import numpy as np

from geopretrain.tasks.base import DetectionTask
from geopretrain.tasks.predictions import DetectionPrediction

SHOWN = 0.5
"""Least score of objects in pictures."""


def draw_objects(
    task: DetectionTask,
    image: np.ndarray,
    found: DetectionPrediction,
    number: int = 0,
    *,
    scores: bool = True,
) -> np.ndarray:
    """Return a picture ``H W 3`` uint8 with objects over it: boxes, masks, names; only scores from 0.5 on.

    Args:
        task: that knows names and colours of the classes.
        image: ``H W 3`` uint8.
        found: objects of several images, in px of this one.
        number: of the image among these.
        scores: whether scores are written beside the names.
    """
    from geopretrain.pictures import draw_detections

    kept = (found.scores[number] >= SHOWN).cpu().numpy()
    return draw_detections(
        image,
        found.boxes[number].cpu().numpy()[kept],
        found.labels[number].cpu().numpy()[kept],
        names=task.class_names,
        scores=found.scores[number].cpu().numpy()[kept] if scores else None,
        masks=None if found.masks is None else found.masks[number].cpu().numpy()[kept],
        colours=task.class_colours,
    )
