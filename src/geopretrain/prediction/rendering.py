"""What a trained network makes of one picture, ready to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from geopretrain import pictures
from geopretrain.data.batches import at_size
from geopretrain.errors import ConfigError, DataError
from geopretrain.prediction.images import as_pixels, predict_images
from geopretrain.prediction.inputs import Shot
from geopretrain.tasks.base import DepthTask, DetectionTask, FlowTask, SegmentationTask, Task
from geopretrain.tasks.drawing import draw_objects
from geopretrain.tasks.predictions import DepthPrediction, DetectionPrediction, FlowPrediction

Size = tuple[int, int]


@dataclass(frozen=True)
class Rendering:
    """A prediction at the size of the picture it is for.

    Attributes:
        picture: ``H W 3`` uint8.
        disparity: ``H W`` float32 of depth runs, None of others.
        key: what the colours of ``picture`` mean, of its width; None where there is nothing to say.
    """

    picture: np.ndarray
    disparity: np.ndarray | None = None
    key: np.ndarray | None = None

    @property
    def explained(self) -> np.ndarray:
        """The picture with its key below."""
        return self.picture if self.key is None else pictures.grid([self.picture, self.key])


def render(task: Task, shot: Shot, size: Size | None) -> Rendering:
    """Return what ``task`` makes of a picture; computed at ``size`` (h, w).

    Raises:
        DataError: it looks at pairs, and there is no picture after this one.
        ConfigError: it predicts nothing that can be drawn.
    """
    image = shot.image
    if isinstance(task, FlowTask) and shot.next is None:
        raise DataError(f"'{shot.name}' has no picture after it, and this run looks at pairs.")
    if isinstance(task, SegmentationTask):
        return _overlay(task, image, size)
    if isinstance(task, DetectionTask):
        objects = predict_images(task, _pixels(task, image), size)
        assert isinstance(objects, DetectionPrediction)
        return Rendering(draw_objects(task, image, objects))
    if isinstance(task, (DepthTask, FlowTask)):
        following = None if shot.next is None else _pixels(task, shot.next)
        found = predict_images(task, _pixels(task, image), size, following)
        if isinstance(found, FlowPrediction):
            return Rendering(pictures.colour_flow(found.flow[0].cpu().numpy()))
        assert isinstance(found, DepthPrediction)
        disparity = found.disparity[0, 0].cpu().numpy()
        return Rendering(pictures.colour_depth(disparity), disparity)
    raise ConfigError(f"A run of {task.name} predicts nothing that can be shown over a picture.")


def _pixels(task: Task, image: np.ndarray) -> torch.Tensor:
    """Return an ``H W 3`` uint8 image as ``1 3 H W`` floats in [0, 1] on the task's device."""
    return as_pixels(image).to(task.device)


def _overlay(task: SegmentationTask, image: np.ndarray, size: Size | None) -> Rendering:
    """Return the classes in colour over the picture, and the names of those that are there."""
    with torch.no_grad():
        predicted = task.predict(at_size(_pixels(task, image), size)).classes
    whole = functional.interpolate(predicted[:, None].float(), image.shape[:2], mode="nearest")
    classes, colours = whole[0, 0].cpu().numpy().astype(np.int64), task.class_colours
    there = np.unique(classes)
    key = pictures.legend([task.class_names[one] for one in there], colours[there], image.shape[1])
    return Rendering(pictures.overlay_labels(image, classes, colours=colours), key=key)
