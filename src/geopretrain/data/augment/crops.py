"""Crops of whole batches on the device they are on; the cameras follow.

Random numbers are drawn from torch's global generator on the CPU, as in `geopretrain.data.augment.batches`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from geopretrain.data.batches import ClipBatch
from geopretrain.errors import ConfigError
from geopretrain.geometry import Reading, sample_grid

_PICTURES = ("images", "jittered", "stereo", "stereo_jittered")
_MAPS = ("depth", "pseudo_depth")
_CAMERAS = ("intrinsics", "stereo_intrinsics")


def random_scale_crop(batch: ClipBatch, max_scale: float = 1.15) -> ClipBatch:
    """Return the batch enlarged at random and cut back to its size at a random place (SC-Depth).

    Width and height of a sample are enlarged by factors of their own, uniform in [1, ``max_scale``], which
    its frames, right image and maps share. SC-Depth enlarges uint8 pictures and rounds sizes and places to
    whole pixels; here one bilinear sampling does both, so that the camera is exact: f' = s f, c' = (c +
    0.5) s - 0.5 - offset. Depth keeps its values, taken from the nearest pixel.

    Args:
        batch: uint8 or floats in [0, 1]; floats are returned.
        max_scale: largest factor.

    Raises:
        ConfigError: ``max_scale`` below 1.
    """
    if max_scale < 1:
        raise ConfigError(
            f"A picture can only be enlarged before it is cut: max_scale is {max_scale:g}, not above 1."
        )
    size = len(batch.images)
    scale = 1 + (max_scale - 1) * torch.rand(size, 2)  # x, y
    sides = torch.tensor([batch.images.shape[-1], batch.images.shape[-2]])
    offset = torch.rand(size, 2) * (scale - 1) * sides
    camera = torch.zeros(size, 3, 3)
    camera[:, [0, 1], [0, 1]] = scale
    camera[:, :2, 2] = 0.5 * scale - 0.5 - offset
    camera[:, 2, 2] = 1
    grid = _sampling_grid(scale, offset, batch.images)
    return _changed(
        batch,
        camera,
        lambda values: _sample(values, grid, "bilinear"),
        lambda maps: _sample(maps, grid, "nearest"),
    )


def random_crop(batch: ClipBatch, size: tuple[int, int]) -> ClipBatch:
    """Return a window of every sample at a random place, the same in all of its frames, right image and maps.

    Args:
        batch: uint8 or floats.
        size: (height, width) of the window, px.

    Raises:
        ConfigError: the window is larger than the frames.
    """
    height, width = batch.images.shape[-2:]
    check_crop(size, (height, width))
    count = len(batch.images)
    top = torch.randint(0, height - size[0] + 1, (count,))
    left = torch.randint(0, width - size[1] + 1, (count,))
    camera = torch.eye(3).repeat(count, 1, 1)
    camera[:, 0, 2], camera[:, 1, 2] = -left.float(), -top.float()

    def cut(values: Tensor) -> Tensor:
        return cut_windows(values, top, left, size)

    return _changed(batch, camera, cut, cut)


def fits(size: tuple[int, int], frames: tuple[int, int]) -> bool:
    """Return whether a window fits into frames, both (height, width) px."""
    return min(size) >= 1 and size[0] <= frames[0] and size[1] <= frames[1]


def check_crop(size: tuple[int, int], frames: tuple[int, int]) -> None:
    """Raise ConfigError where a window does not fit into frames, both (height, width) px."""
    height, width = frames
    if not fits(size, frames):
        raise ConfigError(
            f"A crop of {size[0]}x{size[1]} (height x width) does not fit into frames of {height}x{width}. "
            "Choose a smaller one (--settings crop=HEIGHTxWIDTH), or prepare the data at a larger --size."
        )


def cut_windows(values: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a window of ``size`` (height, width) px of each sample of ``B ... H W``, at ``top, left``
    (``B``)."""
    rows = (top[:, None] + torch.arange(size[0])).to(values.device)
    columns = (left[:, None] + torch.arange(size[1])).to(values.device)
    pixels = values.flatten(1, -3)
    samples, channels = (torch.arange(n, device=values.device) for n in pixels.shape[:2])
    window = pixels[
        samples[:, None, None, None],
        channels[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None],
    ]
    return window.view(*values.shape[:-2], *size)


def _changed(
    batch: ClipBatch,
    camera: Tensor,
    pictures: Callable[[Tensor], Tensor],
    maps: Callable[[Tensor], Tensor],
) -> ClipBatch:
    """Return the batch with its pictures and maps changed and its cameras multiplied by ``camera``."""
    changes: dict[str, Tensor] = {}
    for names, change in (
        (_PICTURES, pictures),
        (_MAPS, maps),
        (_CAMERAS, lambda intrinsics: camera.to(intrinsics) @ intrinsics),
    ):
        for name in names:
            values: Tensor | None = getattr(batch, name)
            if values is not None:
                changes[name] = change(values)
    return replace(batch, **changes)  # type: ignore[arg-type]


def _sampling_grid(scale: Tensor, offset: Tensor, like: Tensor) -> Tensor:
    """Return ``B H W 2``: where each pixel of the enlarged, cut picture lies in the original, in [-1, 1].

    Pixel u' of the result is pixel (u' + offset + 0.5) / s - 0.5 of the original.
    """
    height, width = like.shape[-2:]
    device = like.device
    axes = []
    for axis, length in ((0, width), (1, height)):
        pixels = torch.arange(length, device=device)[None]
        s, o = scale[:, axis, None].to(device), offset[:, axis, None].to(device)
        axes.append(((pixels + o + 0.5) / s - 0.5) * 2 / (length - 1) - 1)
    x, y = axes
    return torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)


def _sample(values: Tensor, grid: Tensor, mode: Reading) -> Tensor:
    """Sample ``B ... H W`` with one grid per sample; bytes become floats in [0, 1]."""
    pixels = values.flatten(1, -3)
    pixels = pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels
    return sample_grid(pixels, grid, mode=mode).reshape(values.shape)
