"""Views of single images: random windows of a batch, resized, on the device the batch is on.

Random numbers are drawn from torch's global generator on the CPU, as in `geopretrain.data.augment.batches`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.batches import ClipBatch, LabelledBatch, ViewBatch, as_float, as_images
from geopretrain.data.dataset import IGNORE

Range = tuple[float, float]


def random_windows(count: int, scale: Range, ratio: Range) -> Tensor:
    """Return ``count`` random windows ``B 4`` (left, top, right, bottom) in fractions of the image.

    Args:
        count: number of images.
        scale: least and largest area, as a fraction of the image's.
        ratio: least and largest aspect ratio relative to the image's own (1 keeps it), log-uniform. Where an
            area is too large for its ratio the longer side is the image's.
    """
    area = scale[0] + (scale[1] - scale[0]) * torch.rand(count)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (low + (high - low) * torch.rand(count)).exp()
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1).clamp(max=1)
    corner = torch.rand(count, 2) * (1 - sides)
    return torch.cat([corner, corner + sides], 1)


def resize_windows(images: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Return one window of each image ``B C H W`` resized to ``size`` (height, width).

    Pixels are averaged where the window is larger than ``size``.
    """
    from torchvision.ops import roi_align

    height, width = images.shape[-2:]
    sides = torch.tensor([width, height, width, height], dtype=windows.dtype)
    boxes = torch.cat([torch.arange(len(images))[:, None].to(windows.dtype), windows * sides], 1)
    # without ``aligned`` positions would be half a pixel off
    return roi_align(images, boxes.to(images), size, aligned=True)


def mirrored(images: Tensor, chance: float) -> Tensor:
    """Return ``B C H W``, each image mirrored left-right with this chance."""
    chosen = (torch.rand(len(images)) < chance).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def random_views(
    batch: ClipBatch | LabelledBatch, *, scale: Range, ratio: Range = (3 / 4, 4 / 3), flip: float = 0.5
) -> LabelledBatch:
    """Return the batch's images (the target frames of clips) as random windows of their own size, in [0, 1].

    The random resized crop of Szegedy et al. 2015 and its descendants, without labels.
    """
    found = as_images(batch)
    images = as_float(found.images)
    windows = random_windows(len(images), scale, ratio)
    views = resize_windows(images, windows, (images.shape[-2], images.shape[-1]))
    return replace(found, images=mirrored(views, flip))


def labelled_views(
    batch: LabelledBatch, *, scale: Range, ratio: Range = (3 / 4, 4 / 3), flip: float = 0.5
) -> LabelledBatch:
    """Return random windows of images and class maps at their own size; ids are taken, never averaged.

    Args:
        batch: ``images B 3 H W``, ``labels B H W``.
        scale: least and largest area, as a fraction of the image's.
        ratio: least and largest aspect ratio relative to the image's own.
        flip: chance of a window to be mirrored.
    """
    images, labels = as_float(batch.images), batch.required("labels")
    windows = random_windows(len(images), scale, ratio)
    mirror = (torch.rand(len(images)) < flip)[:, None]
    size = (images.shape[-2], images.shape[-1])
    views = resize_windows(images, windows, size)
    return _mirrored_views(batch, views, _nearest_windows(labels, windows, size), mirror)


def scaled_crops(
    batch: LabelledBatch, *, zoom: Range, size: tuple[int, int], flip: float, fill: Tensor
) -> LabelledBatch:
    """Return images and class maps made larger or smaller at random and cut to ``size`` at a random place.

    Where the crop reaches beyond the image, at a random side of it, it has the colour ``fill`` and no label
    (the augmentation of DeepLab and its descendants; Chen et al. 2017, section 4.1). Ids are taken, never
    averaged.

    Args:
        batch: ``images B 3 H W``, ``labels B H W``.
        zoom: least and largest factor, uniform, of both sides.
        size: (height, width) px of the crops.
        flip: chance of a crop to be mirrored.
        fill: 3 channels in [0, 1].
    """
    images, labels = as_float(batch.images), batch.required("labels")
    factor = zoom[0] + (zoom[1] - zoom[0]) * torch.rand(len(images), 1)
    sides = torch.tensor([size[1] / images.shape[-1], size[0] / images.shape[-2]]) / factor
    corner = torch.rand(len(images), 2) * (1 - sides)
    windows = torch.cat([corner, corner + sides], 1)
    mirror = (torch.rand(len(images)) < flip)[:, None]
    inside = _nearest_windows(torch.ones_like(labels), windows, size)[:, None] == 1
    views = torch.where(inside, resize_windows(images, windows, size), fill.to(images).view(1, 3, 1, 1))
    return _mirrored_views(batch, views, _nearest_windows(labels, windows, size), mirror)


def _mirrored_views(batch: LabelledBatch, views: Tensor, ids: Tensor, mirror: Tensor) -> LabelledBatch:
    """Return the batch with these images and class maps, those chosen by ``mirror B 1`` mirrored."""
    chosen = mirror.to(views.device)
    return replace(
        batch,
        images=torch.where(chosen[:, :, None, None], views.flip(-1), views),
        labels=torch.where(chosen[:, :, None], ids.flip(-1), ids),
    )


def _nearest_windows(maps: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Return windows ``B 4`` of maps ``B H W`` at ``size``, each pixel the nearest one, outside IGNORE."""
    left, top, right, bottom = windows.to(maps.device).unbind(1)

    def nearest(first: Tensor, last: Tensor, length: int, pixels: int) -> Tensor:
        middles = (torch.arange(pixels, device=maps.device) + 0.5) / pixels
        places = (first[:, None] + (last - first)[:, None] * middles) * length
        return places.floor().long()

    height, width = maps.shape[-2:]
    rows, columns = nearest(top, bottom, height, size[0]), nearest(left, right, width, size[1])
    samples = torch.arange(len(maps), device=maps.device)
    found = maps[
        samples[:, None, None], rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    return found.masked_fill(~inside, IGNORE)


def transformed_views(
    batch: ClipBatch | LabelledBatch, transforms: Sequence[Callable[[Any], Tensor]], frames: Sequence[int]
) -> ViewBatch:
    """Return one view for each of ``transforms``, which take PIL images and draw from torch and NumPy.

    Args:
        batch: uint8, or floats in [0, 1].
        transforms: of the ``lightly`` package, without normalisation.
        frames: which frame of a clip each view is made of; images have frame 0 only.
    """
    clips = batch.images if isinstance(batch, ClipBatch) else batch.images[:, None]
    with _numpy_follows_torch():
        views = tuple(
            torch.stack([transform(_picture(clip[frame])) for clip in clips]).to(clips.device)
            for transform, frame in zip(transforms, frames, strict=True)
        )
    return ViewBatch(views, batch.index)


def _picture(image: Tensor) -> Any:
    from PIL import Image

    values = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).cpu().numpy())


@contextmanager
def _numpy_follows_torch() -> Iterator[None]:
    """Let NumPy's global random numbers follow from torch's, and leave them as they were afterwards."""
    state = np.random.get_state()
    np.random.seed(int(torch.randint(2**32, ())))
    try:
        yield
    finally:
        np.random.set_state(state)
