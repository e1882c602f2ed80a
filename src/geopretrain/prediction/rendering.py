"""What a trained network makes of one picture, ready to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from geopretrain import pictures
from geopretrain.data.batches import as_float
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.depth import predict_disparity
from geopretrain.evaluation.flow import predict_flow
from geopretrain.metrics.depth import resize_disparity
from geopretrain.prediction.inputs import Shot
from geopretrain.tasks.base import DepthTask, FlowTask, SegmentationTask, Task

Size = tuple[int, int]
OVERLAY = 0.55
"""Fraction of the class colour in an overlay."""


@dataclass(frozen=True)
class Rendering:
    """A prediction at the size of the picture it is for.

    Attributes:
        picture: ``H W 3`` uint8.
        disparity: ``H W`` float32 of depth runs, None of others.
    """

    picture: np.ndarray
    disparity: np.ndarray | None = None


def render(task: Task, shot: Shot, size: Size | None) -> Rendering:
    """Return what ``task`` makes of a picture; computed at ``size`` (h, w).

    Raises:
        DataError: it looks at pairs, and there is no picture after this one.
        ConfigError: it predicts nothing that can be drawn.
    """
    image = shot.image
    if isinstance(task, FlowTask):
        if shot.next is None:
            raise DataError(f"'{shot.name}' has no picture after it, and this run looks at pairs.")
        return Rendering(pictures.colour_flow(predict_flow(task, image, shot.next, size)))
    if isinstance(task, DepthTask):
        disparity = resize_disparity(predict_disparity(task, image, size), (image.shape[0], image.shape[1]))
        return Rendering(pictures.colour_depth(disparity), disparity)
    if isinstance(task, SegmentationTask):
        return Rendering(_overlay(task, image, size))
    raise ConfigError(f"A run of {task.name} predicts nothing that can be shown over a picture.")


def _pixels(task: Task, image: np.ndarray, size: Size | None) -> Any:
    """Return an ``H W 3`` uint8 image as ``1 3 h w`` floats in [0, 1] on the task's device."""
    pixels = as_float(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(task.device))
    if size is None or tuple(size) == image.shape[:2]:
        return pixels
    return functional.interpolate(pixels, size, mode="bilinear", antialias=True).clamp(0, 1)


def _overlay(task: SegmentationTask, image: np.ndarray, size: Size | None) -> np.ndarray:
    """Return the classes in colour over the picture."""
    with torch.no_grad():
        predicted = task.predict(_pixels(task, image, size)).classes
    whole = functional.interpolate(predicted[:, None].float(), image.shape[:2], mode="nearest")
    classes = pictures.colour_labels(whole[0, 0].cpu().numpy().astype(np.int64), task.class_colours)
    return (OVERLAY * classes + (1 - OVERLAY) * image).round().astype(np.uint8)
