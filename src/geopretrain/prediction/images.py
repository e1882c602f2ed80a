"""Pictures of any kind and size through a network that works at one size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.data.batches import as_float, at_size
from geopretrain.errors import ConfigError, DataError, short
from geopretrain.geometry import resize_flow
from geopretrain.metrics.depth import resize_disparity
from geopretrain.tasks.base import DepthTask, DetectionTask, FlowTask, SegmentationTask, Task
from geopretrain.tasks.predictions import (
    DepthPrediction,
    DetectionPrediction,
    FlowPrediction,
    SegmentationPrediction,
)

Size = tuple[int, int]
Prediction = DepthPrediction | FlowPrediction | SegmentationPrediction | DetectionPrediction
EXPECTED = (
    "Give a path, a Pillow image, an array H W 3, or a tensor 3 H W or B 3 H W; uint8, or floats from 0 to 1"
)


def as_pixels(image: Any) -> Tensor:
    """Return a picture, or a batch of them, as ``B 3 H W`` floats in [0, 1].

    Args:
        image: path of an image file, Pillow image, array ``H W 3`` or ``H W`` (grey), tensor ``3 H W`` or
            ``B 3 H W``; uint8, or floats in [0, 1].

    Raises:
        DataError: it is none of these, or the file cannot be read.
    """
    from PIL import Image

    if isinstance(image, (str, os.PathLike)):
        from geopretrain.data.readers.images import read_image

        image = read_image(os.fspath(image))
    if isinstance(image, Image.Image):
        from PIL import ImageOps

        from geopretrain.data.readers.images import to_rgb

        image = to_rgb(ImageOps.exif_transpose(image), Path("the picture"))
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    if not isinstance(image, Tensor):
        raise DataError(f"This is no picture: {short(image)}. {EXPECTED}.")
    return _checked(image[None] if image.ndim == 3 else image)


def _from_array(image: np.ndarray) -> Tensor:
    """Return an array ``H W 3`` or ``H W`` as a tensor ``3 H W``."""
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"A picture as an array has the shape (H, W, 3), not {image.shape}. {EXPECTED}.")
    if image.dtype == np.uint16:  # torch computes in few of NumPy's types
        raise DataError(f"A picture has values of uint16. {EXPECTED}.")
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def _checked(images: Tensor) -> Tensor:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise DataError(f"A picture cannot have the shape {tuple(images.shape)}. {EXPECTED}.")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise DataError(f"A picture has values of {images.dtype}. {EXPECTED}.")
    pixels = as_float(images).float()
    low, high = pixels.aminmax()
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # also where it is not a number
        raise DataError(f"A picture has values from {low:.3g} to {high:.3g}. {EXPECTED}.")
    return pixels.clamp(0, 1)


@torch.no_grad()
def predict_images(task: Task, images: Tensor, size: Size | None, next: Tensor | None = None) -> Prediction:
    """Return what a network predicts of images, at the size of the images.

    Args:
        task: predicts depth, flow, classes or objects.
        images: ``B 3 H W`` in [0, 1], on the task's device.
        size: (height, width) px that the network works at; None = that of the images.
        next: the images after them, which networks that predict flow need.

    Returns:
        On the task's device. Disparity is resized as published numbers are, flow is measured in px of the
        images, logits and masks are interpolated, boxes are in px of the images.

    Raises:
        ConfigError: the task predicts none of these.
        DataError: it predicts flow, and there is no next image of the same size.
    """
    height, width = images.shape[-2:]
    if isinstance(task, FlowTask):
        if next is None or next.shape != images.shape:
            raise DataError("This network looks at pairs: give the next picture, too, of the same size.")
        frames = torch.stack([at_size(images, size), at_size(next, size)], 1)
        return FlowPrediction(resize_flow(task.predict(frames).flow.float(), (height, width)))
    seen = at_size(images, size)
    if isinstance(task, DepthTask):
        found = task.predict(seen)
        maps = [resize_disparity(one, (height, width)) for one in found.disparity[:, 0].float().cpu().numpy()]
        return DepthPrediction(torch.from_numpy(np.stack(maps))[:, None].to(images.device), found.meaning)
    if isinstance(task, DetectionTask):
        return at_size_of(task.predict(seen), (seen.shape[-2], seen.shape[-1]), (height, width))
    if isinstance(task, SegmentationTask):
        logits = task.predict(seen).logits.float()
        if logits.shape[-2:] != (height, width):
            logits = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        return SegmentationPrediction(logits)
    raise ConfigError(f"A run of {task.name} predicts nothing of a picture; it trained a backbone.")


def at_size_of(found: DetectionPrediction, seen: Size, size: Size) -> DetectionPrediction:
    """Return objects found in images of the size ``seen`` in px of the images at ``size``."""
    if tuple(seen) == tuple(size):
        return found
    scale = [size[1] / seen[1], size[0] / seen[0]] * 2
    boxes = [one * one.new_tensor(scale) for one in found.boxes]
    masks = None
    if found.masks is not None:
        masks = [_masks_at(one, size) for one in found.masks]
    return DetectionPrediction(boxes, found.labels, found.scores, masks)


def _masks_at(masks: Tensor, size: Size) -> Tensor:
    """Return masks ``N h w`` at another size, one by one: all of them as numbers take much memory."""
    whole = [
        functional.interpolate(mask[None, None].float(), size, mode="bilinear", align_corners=False)[0, 0]
        > 0.5
        for mask in masks
    ]
    return torch.stack(whole) if whole else masks.new_zeros(0, *size)
