"""Augmentation of images with measured depth: vertical CutDepth, windows, and colours.

Random numbers are drawn from torch's global generator on the CPU, as in `geopretrain.data.augment.batches`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from geopretrain.data.augment.crops import check_crop, cut_windows
from geopretrain.data.batches import LabelledBatch, as_float

BRIGHTNESS = CONTRAST = 0.2
"""Largest change of both, as Albumentations has them by default."""
GAMMA = (0.8, 1.2)
HUE, SATURATION, VALUE = 20 / 180, 30 / 255, 20 / 255
"""Largest shifts in HSV: of a full circle, and of the range."""
STRIP = 0.75
"""Largest width of a strip of depth, as a fraction of what lies right of its start."""
MILLIMETRES = 1000.0


def vertical_cut_depth(
    batch: LabelledBatch, chance: float, max_depth: float, *, as_released: bool = False
) -> LabelledBatch:
    """Show depth instead of the picture in a vertical strip of some images.

    Kim et al., *Global-Local Path Networks for Monocular Depth Estimation with Vertical CutDepth*, 2022,
    after Ishii and Yamashita, *CutDepth*, 2021: the strip begins anywhere and takes up to three quarters of
    what lies to the right of its start; all three channels show depth, 0 where there is none.

    Args:
        batch: images uint8 or in [0, 1], and ``depth B 1 H W`` in m.
        chance: of an image to have a strip.
        max_depth: m that become white.
        as_released: as MIM-Depth-Estimation does on NYU: the millimetres, of which 8 bits remain.
    """
    images, depth = as_float(batch.images), batch.required("depth")
    count, width = len(images), images.shape[-1]
    draws = torch.rand(3, count)
    start = (draws[0] * width).floor()
    length = ((width - draws[0] * width) * draws[1] * STRIP).floor().clamp(min=1)
    columns = torch.arange(width)
    inside = (columns >= start[:, None]) & (columns < (start + length)[:, None])
    inside &= (draws[2] < chance)[:, None]
    shown = (depth / max_depth).clamp(0, 1)
    if as_released:
        shown = (depth * MILLIMETRES).round().long().remainder(256).float() / 255
    strip = inside.to(images.device)[:, None, None]
    return replace(batch, images=torch.where(strip, shown.to(images), images))


def random_depth_windows(batch: LabelledBatch, size: tuple[int, int]) -> LabelledBatch:
    """Return a window of each image and its depth at a random place.

    Args:
        batch: images and ``depth B 1 H W``.
        size: (height, width) px.

    Raises:
        ConfigError: it is larger than the images.
    """
    depth = batch.required("depth")
    height, width = batch.images.shape[-2:]
    check_crop(size, (height, width))
    count = len(batch.images)
    top = torch.randint(0, height - size[0] + 1, (count,))
    left = torch.randint(0, width - size[1] + 1, (count,))
    images = cut_windows(batch.images, top, left, size)
    return replace(batch, images=images, depth=cut_windows(depth, top, left, size))


def random_colours(images: Tensor, chance: float) -> Tensor:
    """Change contrast and brightness, gamma, and hue, saturation and value, each of some images.

    What MIM-Depth-Estimation takes from Albumentations, at its default ranges: factor of contrast and offset
    of brightness up to 0.2, gamma 0.8 to 1.2, hue up to a ninth of a circle, saturation 30/255, value 20/255.

    Args:
        images: ``B 3 H W`` in [0, 1].
        chance: of an image, for each of the three.
    """
    count = len(images)
    chosen = (torch.rand(3, count) < chance).to(images.device)[:, :, None, None, None]
    draws = (2 * torch.rand(6, count) - 1).to(images)[:, :, None, None, None]
    changed = (images * (1 + CONTRAST * draws[0]) + BRIGHTNESS * draws[1]).clamp(0, 1)
    images = torch.where(chosen[0], changed, images)
    low, high = GAMMA
    exponent = low + (high - low) * (draws[2] + 1) / 2
    images = torch.where(chosen[1], images.clamp(min=0) ** exponent, images)
    if not bool(chosen[2].any()):
        return images
    h, s, v = to_hsv(images).unbind(1)
    shifted = torch.stack(
        [
            (h + HUE * draws[3, :, 0]).remainder(1),
            (s + SATURATION * draws[4, :, 0]).clamp(0, 1),
            (v + VALUE * draws[5, :, 0]).clamp(0, 1),
        ],
        1,
    )
    return torch.where(chosen[2], from_hsv(shifted), images)


def to_hsv(images: Tensor) -> Tensor:
    """Return hue (fraction of a circle, 0 = red), saturation and value of ``B 3 H W`` in [0, 1]."""
    value, brightest = images.max(1)
    spread = value - images.min(1).values
    red, green, blue = images.unbind(1)
    safe = torch.where(spread > 0, spread, 1)
    sectors = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe])
    hue = sectors.gather(0, brightest[None])[0].div(6).remainder(1)
    return torch.stack([hue, spread / torch.where(value > 0, value, 1), value], 1)


def from_hsv(hsv: Tensor) -> Tensor:
    """Return the images ``B 3 H W`` of hue, saturation and value (see `to_hsv`)."""
    hue, saturation, value = hsv.unbind(1)
    channels = []
    for offset in (5, 3, 1):
        place = (offset + 6 * hue).remainder(6)
        channels.append(value - value * saturation * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1)
