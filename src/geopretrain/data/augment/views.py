"""Views of single images: random windows of a batch, resized, on the device the batch is on.

Random numbers are drawn from torch's global generator on the CPU, as in `geopretrain.data.augment.batches`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.augment.objects import objects_in
from geopretrain.data.augment.windows import Range, nearest_windows, random_windows, resize_windows
from geopretrain.data.batches import BEYOND, ClipBatch, LabelledBatch, ViewBatch, as_float, as_images


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
    """Return random windows of images, class maps and objects at their size; ids are taken, never averaged.

    Args:
        batch: ``images B 3 H W`` with ``labels B H W``, or objects.
        scale: least and largest area, as a fraction of the image's.
        ratio: least and largest aspect ratio relative to the image's own.
        flip: chance of a window to be mirrored.
    """
    images = as_float(batch.images)
    windows = random_windows(len(images), scale, ratio)
    mirror = torch.rand(len(images)) < flip
    size = (images.shape[-2], images.shape[-1])
    return _seen(batch, resize_windows(images, windows, size), windows, mirror)


def scaled_crops(
    batch: LabelledBatch, *, zoom: Range, size: tuple[int, int], flip: float, fill: Tensor
) -> LabelledBatch:
    """Return what a batch holds made larger or smaller at random and cut to ``size`` at a random place.

    Where the crop reaches beyond the image, at a random side of it, it has the colour ``fill``, no label and
    no object (the augmentation of DeepLab and its descendants, Chen et al. 2017, section 4.1; of detectors
    large-scale jitter, Ghiasi et al. 2021, section 3). Ids are taken, never averaged.

    Args:
        batch: ``images B 3 H W`` with ``labels B H W``, or objects.
        zoom: least and largest factor, uniform, of both sides.
        size: (height, width) px of the crops.
        flip: chance of a crop to be mirrored.
        fill: 3 channels in [0, 1].
    """
    images = as_float(batch.images)
    factor = zoom[0] + (zoom[1] - zoom[0]) * torch.rand(len(images), 1)
    sides = torch.tensor([size[1] / images.shape[-1], size[0] / images.shape[-2]]) / factor
    corner = torch.rand(len(images), 2) * (1 - sides)
    windows = torch.cat([corner, corner + sides], 1)
    mirror = torch.rand(len(images)) < flip
    everywhere = torch.ones(images[:, 0].shape, dtype=torch.uint8, device=images.device)
    inside = nearest_windows(everywhere, windows, size)[:, None] == 1
    views = torch.where(inside, resize_windows(images, windows, size), fill.to(images).view(1, 3, 1, 1))
    return _seen(batch, views, windows, mirror)


def _seen(batch: LabelledBatch, views: Tensor, windows: Tensor, mirror: Tensor) -> LabelledBatch:
    """Return a batch whose images are these views of windows ``B 4``, some mirrored (``B`` bool); labels and
    objects follow."""
    size, chosen = (views.shape[-2], views.shape[-1]), mirror.to(views.device)
    changes = objects_in(batch, windows, size, mirror)
    if batch.labels is not None:
        ids = nearest_windows(batch.labels, windows, size)
        changes["labels"] = torch.where(chosen[:, None, None], ids.flip(-1), ids)
    if batch.nearness is not None:
        near = nearest_windows(batch.nearness[:, 0], windows, size, outside=BEYOND)[:, None]
        changes["nearness"] = torch.where(chosen[:, None, None, None], near.flip(-1), near)
    images = torch.where(chosen[:, None, None, None], views.flip(-1), views)
    return replace(batch, images=images, **changes)


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
