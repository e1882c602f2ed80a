"""Augmentation of whole batches on the device they are on.

All random numbers are drawn from torch's global generator on the CPU (a few per sample) and then moved, so
that a seed gives the same augmentation on every device.

Colour jitter is our choice where the papers' code applies four torchvision jitters in random order to every
image: here one affine map ``rgb -> M rgb + t`` per sample does brightness, contrast, saturation (factors
0.8-1.2) and hue (a rotation of the chroma plane of YIQ by up to a tenth of a circle), always in this order,
clamped once at the end. The map of a sample is the same for all of its frames: a colour that changed
between frames would break photometric matching in the networks' input.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.data.batches import ClipBatch, LabelledBatch
from geopretrain.errors import ConfigError
from geopretrain.geometry.camera import flip_intrinsics

BRIGHTNESS = CONTRAST = SATURATION = (0.8, 1.2)
HUE = (-0.1, 0.1)

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# I and Q chroma axes of YIQ (NTSC 1953)
_TO_YIQ = torch.tensor(
    [LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)], dtype=torch.float64
)
_FROM_YIQ = torch.linalg.inv(_TO_YIQ)


def augment_clip(batch: ClipBatch, *, flip: float = 0.5, jitter: float = 0.5) -> ClipBatch:
    """Return the clip batch as floats in [0, 1], flipped left-right and with a colour-jittered copy.

    Whatever else the batch holds follows: the right image and depth are mirrored with the frames, its copy
    gets the colours of the frames' copy.

    Args:
        batch: uint8 ``B F 3 H W`` as read from the store (floats in [0, 1] are taken as they are).
        flip: probability that a sample is mirrored; its principal point becomes ``W - 1 - cx``.
        jitter: probability that a sample's copy in ``jittered`` gets a colour map; else it equals ``images``.

    Raises:
        ConfigError: the batch holds single images.
    """
    if batch.images.ndim != 5:
        raise ConfigError(
            "These data are single images, and the method wants clips. A method that looks at single frames "
            "takes both by `as_images(batch)`, and augments them by `augment_labelled`."
        )
    size = len(batch.images)
    flipped = torch.rand(size) < flip
    images = _mirrored_float(batch.images, flipped)
    maps = _random_colour_maps(images[:, 0].mean((2, 3)), torch.rand(size) < jitter)
    changes: dict[str, Tensor] = {
        "images": images,
        "intrinsics": _mirror_intrinsics(batch.intrinsics, flipped, images.shape[-1]),
        "jittered": apply_colour_maps(images, *maps),
    }
    for name in ("depth", "pseudo_depth"):
        values: Tensor | None = getattr(batch, name)
        if values is not None:
            mirrored = flipped.to(values.device)[:, None, None, None]
            changes[name] = torch.where(mirrored, values.flip(-1), values)
    if batch.stereo is not None:
        changes |= _augment_stereo(batch, flipped, maps)
    return replace(batch, **changes)  # type: ignore[arg-type]


def _augment_stereo(batch: ClipBatch, flipped: Tensor, maps: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Return the fields of the right image, mirrored and coloured like the frames."""
    stereo = _mirrored_float(batch.required("stereo"), flipped)
    changes = {"stereo": stereo, "stereo_jittered": apply_colour_maps(stereo[:, None], *maps)[:, 0]}
    if batch.stereo_intrinsics is not None:
        changes["stereo_intrinsics"] = _mirror_intrinsics(batch.stereo_intrinsics, flipped, stereo.shape[-1])
    if batch.T_target_to_stereo is not None:
        changes["T_target_to_stereo"] = _mirror_pose(batch.T_target_to_stereo, flipped)
    return changes


def augment_labelled(batch: LabelledBatch, flip: float = 0.5) -> LabelledBatch:
    """Return the batch as floats in [0, 1], each sample with all its labels mirrored with chance ``flip``."""
    flipped = torch.rand(len(batch.images)) < flip
    images = _mirrored_float(batch.images, flipped)
    chosen = flipped.tolist()
    changes: dict[str, Any] = {"images": images}
    for name in ("labels", "depth", "nearness"):
        values: Tensor | None = getattr(batch, name)
        if values is not None:
            mirrored = flipped.to(values.device).view(-1, *[1] * (values.ndim - 1))
            changes[name] = torch.where(mirrored, values.flip(-1), values)
    if batch.masks is not None:
        changes["masks"] = tuple(m.flip(-1) if f else m for m, f in zip(batch.masks, chosen, strict=True))
    if batch.boxes is not None:
        width = images.shape[-1]
        boxes = zip(batch.boxes, chosen, strict=True)
        changes["boxes"] = tuple(mirror_boxes(b, width) if f else b for b, f in boxes)
    return replace(batch, **changes)


def mirror_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return ``N 4`` px (x0, y0, x1, y1; x1 exclusive) in an image mirrored left-right."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    return torch.stack([width - x1, y0, width - x0, y1], dim=-1)


def pyramid(images: Tensor, scales: int) -> list[Tensor]:
    """Return ``scales`` images ``B C H W``, each half as large as the last, by averaging 2 x 2 pixels.

    Odd sides are rounded up: the last pixels are then averages of fewer.
    """
    levels = [images]
    for _ in range(scales - 1):
        levels.append(functional.avg_pool2d(levels[-1], 2, ceil_mode=True))
    return levels


def colour_maps(
    brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor, mean_colour: Tensor
) -> tuple[Tensor, Tensor]:
    """Return one affine colour map per sample: matrix ``B 3 3`` and offset ``B 3 1``.

    Applied in the order brightness, contrast (towards the grey of the sample's mean colour), saturation
    (towards the pixel's own grey), hue (chroma rotation), without clamping in between.

    Args:
        brightness: ``B`` factors, 1 changes nothing.
        contrast: likewise.
        saturation: likewise.
        hue: ``B`` rotations as fractions of a full circle, 0 changes nothing.
        mean_colour: ``B 3`` mean of the sample's target frame; the maps are on its device.
    """
    luma = torch.tensor(LUMA, dtype=torch.float64)
    grey = luma.expand(3, 3)  # rgb -> (y, y, y)
    eye = torch.eye(3, dtype=torch.float64)
    b, c, s = (v.double()[:, None, None] for v in (brightness, contrast, saturation))
    rotated = _FROM_YIQ @ _chroma_rotation(hue.double()) @ _TO_YIQ
    matrix = rotated @ (s * eye + (1 - s) * grey)
    # saturation and hue leave the grey that contrast adds as it is
    mean_grey = mean_colour @ luma.to(mean_colour)
    offset = ((1 - c) * b).to(mean_colour) * mean_grey[:, None, None].expand(-1, 3, 1)
    return (matrix * (b * c)).to(mean_colour), offset


def _chroma_rotation(fraction: Tensor) -> Tensor:
    """Return ``B 3 3`` rotations of (I, Q) which leave Y alone."""
    angle = fraction * (2 * math.pi)
    rotation = torch.zeros(len(fraction), 3, 3, dtype=fraction.dtype)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2] = -angle.sin()
    rotation[:, 2, 1] = angle.sin()
    return rotation


def _random_colour_maps(mean_colour: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return `colour_maps` with random factors for the chosen samples; the others keep their colours."""
    ranges = torch.tensor([BRIGHTNESS, CONTRAST, SATURATION, HUE])
    draws = ranges[:, :1] + (ranges[:, 1:] - ranges[:, :1]) * torch.rand(4, len(mean_colour))
    brightness, contrast, saturation, hue = draws
    matrix, offset = colour_maps(brightness, contrast, saturation, hue, mean_colour)
    chosen = chosen.to(mean_colour.device)[:, None, None]
    return torch.where(chosen, matrix, torch.eye(3).to(matrix)), offset * chosen


def jitter_colours(images: Tensor, strength: float) -> Tensor:
    """Return images with brightness, contrast and saturation changed at random, each by up to ``strength``.

    Args:
        images: ``B 3 H W`` in [0, 1].
        strength: largest change of a factor, 0 to 1.
    """
    count = len(images)
    brightness, contrast, saturation = 1 + strength * (2 * torch.rand(3, count) - 1)
    maps = colour_maps(brightness, contrast, saturation, torch.zeros(count), images.mean((2, 3)))
    return apply_colour_maps(images[:, None], *maps)[:, 0]


def apply_colour_maps(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Return ``clamp(matrix @ rgb + offset, 0, 1)`` of ``B F 3 H W``, one map per sample."""
    frames = images.shape[1]
    pixels = images.flatten(3).flatten(0, 1)
    mapped = torch.baddbmm(offset.repeat_interleave(frames, 0), matrix.repeat_interleave(frames, 0), pixels)
    return mapped.clamp_(0, 1).view_as(images)


def _mirrored_float(images: Tensor, flipped: Tensor) -> Tensor:
    """Return float32 images in [0, 1], the chosen samples mirrored left-right.

    Sample by sample, because the mirrored copy is then made of bytes and stays in the cache: four times as
    fast on a CPU as mirroring the whole float batch.
    """
    out = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    for source, target, mirrored in zip(images, out, flipped.tolist(), strict=True):
        target.copy_(source.flip(-1) if mirrored else source)
        if images.dtype == torch.uint8:
            target.div_(255)
    return out


def _mirror_intrinsics(intrinsics: Tensor, flipped: Tensor, width: int) -> Tensor:
    """Move the principal point of the chosen samples to ``W - 1 - cx`` (pixel centres at integers)."""
    flipped = flipped.to(intrinsics.device)
    return torch.where(flipped[:, None, None], flip_intrinsics(intrinsics, width), intrinsics)


def _mirror_pose(pose: Tensor, flipped: Tensor) -> Tensor:
    """Return motions (``B 4 4``) between mirrored cameras: D T D with D = diag(-1, 1, 1, 1)."""
    mirror = torch.tensor([-1.0, 1, 1, 1]).to(pose)
    flipped = flipped.to(pose.device)[:, None, None]
    return torch.where(flipped, mirror[:, None] * pose * mirror, pose)
