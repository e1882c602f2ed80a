"""The kinds of batch that travel from a data set to a task: clips, images with labels, both, and views."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.data.dataset import NAMES
from geopretrain.errors import DataError

BEYOND = -1.0
"""Nearness of what is no part of an image, or has no depth."""
B = TypeVar("B", "ClipBatch", "LabelledBatch", "ViewBatch")


def _moved(batch: B, device: str) -> B:
    """Return a batch with all of its tensors, also those in tuples, on ``device``."""

    def move(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(move(part) for part in value)
        return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

    return replace(batch, **{f.name: move(getattr(batch, f.name)) for f in fields(batch)})


def _required(batch: ClipBatch | LabelledBatch, name: str) -> Any:
    value = getattr(batch, name)
    if value is None:
        raise DataError(
            f"The batch holds no {NAMES.get(name, name)}: name '{name}' among the required fields."
        )
    return value


@dataclass(frozen=True)
class ClipBatch:
    """Neighbouring frames of video, with what else is known of the target where a task needs it.

    Attributes:
        images: ``B F 3 H W``, uint8 as read from the store, float in [0, 1] after augmentation; frame 0 is
            the target.
        intrinsics: ``B 3 3``, pixels of these images, one per sample.
        offsets: time of each of the F frames relative to the target, in units of the clip's stride, e.g.
            ``(0, -1, 1)``.
        index: ``B`` int64, position of each sample in the store's list of samples.
        jittered: ``B F 3 H W`` float, colour-jittered copy for the networks; None before augmentation. The
            loss always uses ``images``.
        clip: ``B`` int64, number of the clip each sample is from.
        stereo: ``B 3 H W``, the right image of the target, same type as ``images``.
        stereo_jittered: ``B 3 H W`` float, its copy for the networks; None before augmentation.
        stereo_intrinsics: ``B 3 3`` of the right camera.
        T_target_to_stereo: ``B 4 4``, m.
        depth: ``B 1 H W`` float32 measured depth of the target, m, 0 = no measurement.
        pseudo_depth: ``B 1 H W`` float32 depth of the target by a teacher, 0 = none; see the store's
            ``pseudo_depth`` for its meaning.
    """

    images: Tensor
    intrinsics: Tensor
    offsets: tuple[int, ...]
    index: Tensor
    jittered: Tensor | None = None
    clip: Tensor | None = None
    stereo: Tensor | None = None
    stereo_jittered: Tensor | None = None
    stereo_intrinsics: Tensor | None = None
    T_target_to_stereo: Tensor | None = None
    depth: Tensor | None = None
    pseudo_depth: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str) -> ClipBatch:
        """Return the batch on ``device``."""
        return _moved(self, device)

    def required(self, name: str) -> Tensor:
        """Return a field that must be there (DataError where it is None)."""
        return _required(self, name)


@dataclass(frozen=True)
class LabelledBatch:
    """Images with what is known of them; None where that is absent or was not asked for.

    Attributes:
        images: ``B 3 H W``, uint8 as read, float in [0, 1] after augmentation.
        labels: ``B H W`` int64, class ids, 255 = ignore.
        index: ``B`` int64, position of each sample in the data set.
        image_labels: ``B`` int64, class of each image.
        boxes: for each image ``N 4`` float32 px (x0, y0, x1, y1; x1 and y1 exclusive).
        box_labels: for each image ``N`` int64, class of each box.
        box_crowd: for each image ``N`` bool, whether a box holds a crowd that nobody has told apart.
        masks: for each image ``N H W`` bool, one per box.
        depth: ``B 1 H W`` float32 m, 0 = no measurement.
        nearness: ``B 1 H W`` float32, inverse depth from 0 to 1 within each image; `BEYOND`: none.
    """

    images: Tensor
    labels: Tensor | None
    index: Tensor
    image_labels: Tensor | None = None
    boxes: tuple[Tensor, ...] | None = None
    box_labels: tuple[Tensor, ...] | None = None
    box_crowd: tuple[Tensor, ...] | None = None
    masks: tuple[Tensor, ...] | None = None
    depth: Tensor | None = None
    nearness: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str) -> LabelledBatch:
        """Return the batch on ``device``."""
        return _moved(self, device)

    def required(self, name: str) -> Any:
        """Return a field that must be there: a tensor, or a tuple of one per image (DataError where None)."""
        return _required(self, name)


@dataclass(frozen=True)
class JointBatch:
    """Labelled images, and as many samples of video without labels, which are learned from in one step."""

    labelled: LabelledBatch
    frames: ClipBatch

    def __len__(self) -> int:
        return len(self.labelled)

    def to(self, device: str) -> JointBatch:
        """Return the batch on ``device``."""
        return JointBatch(self.labelled.to(device), self.frames.to(device))


@dataclass(frozen=True)
class ViewBatch:
    """Several views of each sample, for methods that compare them.

    Attributes:
        views: ``B 3 H W`` in [0, 1] each; sizes may differ from view to view.
        index: ``B`` int64, position of each sample in the data set.
    """

    views: tuple[Tensor, ...]
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: str) -> ViewBatch:
        """Return the batch on ``device``."""
        return _moved(self, device)


def as_images(batch: ClipBatch | LabelledBatch) -> LabelledBatch:
    """Return the target frames of a clip batch as images; a batch of images is returned as it is.

    For methods that look at single images and do not care whether these come from video.
    """
    if isinstance(batch, LabelledBatch):
        return batch
    return LabelledBatch(batch.images[:, 0], None, batch.index, depth=batch.depth)


def at_size(images: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Return images ``B 3 H W`` in [0, 1] at the (height, width) a network works at; None = as they are."""
    if size is None or tuple(size) == tuple(images.shape[-2:]):
        return images
    return functional.interpolate(images, size, mode="bilinear", antialias=True).clamp(0, 1)


def as_float(images: Tensor) -> Tensor:
    """Return uint8 images as floats in [0, 1]; floats are returned as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
