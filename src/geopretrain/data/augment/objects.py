"""Objects in windows of their images: boxes and masks follow what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from geopretrain.data.augment.batches import mirror_boxes
from geopretrain.data.augment.windows import nearest_windows
from geopretrain.data.batches import LabelledBatch

_OF_OBJECTS = ("boxes", "box_labels", "box_crowd", "masks")
_CUT = 1e-3
"""px beyond a border; less is rounding."""


def objects_in(
    batch: LabelledBatch, windows: Tensor, size: tuple[int, int], mirror: Tensor
) -> dict[str, Any]:
    """Return what a batch says of its objects as they are seen in windows of its images; {} without objects.

    A box is cut at the border of its window, and what lies outside is left out. Where masks are known, an
    object that was cut has the box of what is left of its mask, which can be smaller, and one of whose mask
    nothing is left is left out, too.

    Args:
        batch: images and objects.
        windows: ``B 4`` (left, top, right, bottom) in fractions of the images; may reach beyond them.
        size: (height, width) px that windows are shown at.
        mirror: ``B`` bool, whether a window is mirrored.
    """
    if batch.boxes is None:
        return {}
    height, width = batch.images.shape[-2:]
    there = [name for name in _OF_OBJECTS if getattr(batch, name) is not None]
    found = [
        _seen({name: getattr(batch, name)[i] for name in there}, (height, width), windows[i], size)
        for i in range(len(batch))
    ]
    found = [_mirrored(one, size[1]) if chosen else one for one, chosen in zip(found, mirror, strict=True)]
    return {name: tuple(one[name] for one in found) for name in there}


def _seen(
    objects: Mapping[str, Tensor], image: tuple[int, int], window: Tensor, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return the objects of an image of (height, width) px in a window (``4``, in fractions)."""
    from torchvision.ops import clip_boxes_to_image

    whole = objects["boxes"]
    corner, side = window[:2].to(whole), (window[2:] - window[:2]).to(whole)
    pixels, shown = (whole.new_tensor([wide, high]) for high, wide in (image, size))
    placed = (whole - (corner * pixels).repeat(2)) * (shown / (side * pixels)).repeat(2)
    boxes = clip_boxes_to_image(placed, size)
    kept = {**objects, "boxes": boxes}
    if "masks" in objects:
        masks = objects["masks"].to(torch.uint8)
        kept["masks"] = nearest_windows(masks, window.expand(len(masks), 4), size) == 1
        kept["boxes"] = _around(kept["masks"], boxes, ((boxes - placed).abs() > _CUT).any(1))
    visible = ((kept["boxes"][:, 2:] - kept["boxes"][:, :2]) > 0).all(1)
    return {name: value[visible] for name, value in kept.items()}


def _mirrored(objects: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    masks = {"masks": objects["masks"].flip(-1)} if "masks" in objects else {}
    return {**objects, **masks, "boxes": mirror_boxes(objects["boxes"], width)}


def _around(masks: Tensor, boxes: Tensor, cut: Tensor) -> Tensor:
    """Return boxes ``N 4``, those that were cut drawn in to what is left of their masks; empty ones where
    nothing is."""
    from torchvision.ops import masks_to_boxes

    tight, left = torch.zeros_like(boxes), masks.flatten(1).any(1)
    tight[left] = masks_to_boxes(masks[left]).to(boxes) + boxes.new_tensor([0, 0, 1, 1])
    smaller = torch.cat([tight[:, :2].maximum(boxes[:, :2]), tight[:, 2:].minimum(boxes[:, 2:])], 1)
    chosen = torch.where(cut[:, None], smaller, boxes)
    return torch.where(left[:, None], chosen, torch.zeros_like(boxes))
