"""Windows of images: drawn at random, and what is seen in them, on the device the images are on.

Random numbers are drawn from torch's global generator on the CPU, as in `geopretrain.data.augment.batches`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

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


def nearest_windows(maps: Tensor, windows: Tensor, size: tuple[int, int], outside: float = IGNORE) -> Tensor:
    """Return windows ``B 4`` of maps ``B H W`` at ``size``, each pixel the nearest one, else ``outside``."""
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
    return found.masked_fill(~inside, outside)
