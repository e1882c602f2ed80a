"""Small drawings: depth and class maps in colour, pictures side by side, captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Picture = NDArray[np.uint8]
"""An RGB picture, ``H W 3``."""

_GAP = 4
_CAPTION_HEIGHT = 18
_PAPER = 255
_INK = (40, 40, 40)


def colour_depth(disparity: NDArray[np.floating], limits: tuple[float, float] | None = None) -> Picture:
    """Colour a disparity map (``H W``, any unit) with the perceptually even ``magma``, near = bright.

    ``limits`` get the darkest and the brightest colour; None = `depth_limits` of this map. Pixels that are
    not finite are grey.
    """
    finite = np.isfinite(disparity)
    low, high = depth_limits(disparity) if limits is None else limits
    scaled = (np.where(finite, disparity, low) - low) / max(float(high - low), 1e-12)
    picture = _magma()[(np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)]
    picture[~finite] = 128
    return picture


def depth_limits(disparity: NDArray[np.floating], percentile: float = 95.0) -> tuple[float, float]:
    """Return the least disparity and a percentile, so that few very near pixels do not darken the rest."""
    values = disparity[np.isfinite(disparity)]
    return (float(values.min()), float(np.percentile(values, percentile))) if values.size else (0.0, 1.0)


def colour_flow(flow: NDArray[np.floating], largest: float | None = None) -> Picture:
    """Colour a flow (``2 H W`` px, right and down): hue = direction, white = none, full colour = the largest.

    Right is red, down yellow-green, left cyan, up violet.

    Args:
        flow: the flow; pixels that are not finite are grey.
        largest: length in px that gets the full colour; None = the 99th percentile of this flow, but at least
            1 px, so that noise does not look like motion.
    """
    from matplotlib.colors import hsv_to_rgb

    finite = np.isfinite(flow).all(0)
    right, down = np.where(finite, flow, 0.0)
    length = np.hypot(right, down)
    if largest is None:
        largest = max(1.0, float(np.percentile(length[finite], 99))) if finite.any() else 1.0
    hue = np.arctan2(down, right) / (2 * np.pi) % 1.0
    colours = hsv_to_rgb(np.stack([hue, np.clip(length / largest, 0, 1), np.ones_like(hue)], -1))
    picture = (colours * 255).round().astype(np.uint8)
    picture[~finite] = 128
    return picture


def colour_labels(labels: NDArray[np.integer], colours: NDArray[np.uint8] | None = None) -> Picture:
    """Colour a class map (``H W``); ids beyond the ``K 3`` colours, such as 255 = ignore, are black.

    Without ``colours`` every class gets a colour of its own that is the same in every picture.
    """
    colours = class_palette(int(labels.max()) + 1) if colours is None else np.asarray(colours, np.uint8)
    table = np.zeros((256, 3), np.uint8)
    table[: min(len(colours), 255)] = colours[:255]
    return table[np.clip(labels, 0, 255).astype(np.uint8)]


def class_palette(num_classes: int) -> Picture:
    """Return ``K 3`` well separated colours: hues a golden angle apart, alternating in lightness."""
    import colorsys

    golden = 0.618033988749895
    rows = [
        colorsys.hls_to_rgb(i * golden % 1.0, (0.45, 0.65, 0.3)[i % 3], (0.75, 0.6)[i % 2])
        for i in range(min(num_classes, 255))
    ]
    return (np.array(rows).reshape(-1, 3) * 255).round().astype(np.uint8)


def grey(values: NDArray[np.floating]) -> Picture:
    """Show a map ``H W`` in [0, 1] in grey."""
    return np.repeat((np.clip(values, 0, 1) * 255).round().astype(np.uint8)[..., None], 3, 2)


def image(values: NDArray[np.floating]) -> Picture:
    """Turn a float image ``3 H W`` in [0, 1] into a picture."""
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def side_by_side(pictures: Sequence[Picture], captions: Sequence[str] | None = None) -> Picture:
    """Put pictures next to each other on white, tops aligned, with a caption that fits above each."""
    if captions is not None:
        pictures = [_captioned(p, caption) for p, caption in zip(pictures, captions, strict=True)]
    height = max(p.shape[0] for p in pictures)
    padded = [
        _pad(p, height, p.shape[1] + (_GAP if i + 1 < len(pictures) else 0)) for i, p in enumerate(pictures)
    ]
    return np.concatenate(padded, 1)


def rows(columns: Mapping[str, Sequence[Picture]]) -> dict[str, Picture]:
    """Return one row per sample, ``sample_00`` and so on: its picture of each column, captioned by name."""
    return {
        f"sample_{i:02d}": side_by_side(parts, list(columns))
        for i, parts in enumerate(zip(*columns.values(), strict=True))
    }


def image_rows(columns: Mapping[str, Tensor]) -> dict[str, Picture]:
    """Return `rows` of images ``B 3 H W`` in [0, 1], one column for each name."""
    return rows({name: [image(one) for one in images.cpu().numpy()] for name, images in columns.items()})


def grid(rows: Sequence[Picture]) -> Picture:
    """Put rows below each other on white, left aligned."""
    width = max(row.shape[1] for row in rows)
    padded = [
        _pad(row, row.shape[0] + (_GAP if i + 1 < len(rows) else 0), width) for i, row in enumerate(rows)
    ]
    return np.concatenate(padded, 0)


@cache
def _magma() -> Picture:
    from matplotlib import colormaps

    return (np.asarray(colormaps["magma"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)


def _captioned(picture: Picture, caption: str) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    fonts = [ImageFont.load_default(size) for size in (12, 11, 10, 9, 8)]
    font = next((font for font in fonts if font.getlength(caption) + 4 <= picture.shape[1]), fonts[-1])
    strip = Image.new("RGB", (picture.shape[1], _CAPTION_HEIGHT), (_PAPER,) * 3)
    ImageDraw.Draw(strip).text((2, 2), caption, fill=_INK, font=font)
    return np.concatenate([np.asarray(strip), picture], 0)


def _pad(picture: Picture, height: int, width: int) -> Picture:
    below, right = height - picture.shape[0], width - picture.shape[1]
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=_PAPER)
