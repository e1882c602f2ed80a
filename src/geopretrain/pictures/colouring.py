"""Maps in colour: depth, flow, classes, and plain images."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from geopretrain.pictures.sparse import widened

Picture = NDArray[np.uint8]
"""An RGB picture, ``H W 3``."""

UNKNOWN = 128
"""Grey of pixels about which nothing is known."""


def colour_depth(disparity: NDArray[np.floating], limits: tuple[float, float] | None = None) -> Picture:
    """Colour a disparity map (``H W``, any unit) with the perceptually even ``magma``, near = bright.

    ``limits`` get the darkest and the brightest colour; None = `depth_limits` of this map. Pixels that are
    not finite are grey; single points (LiDAR) are widened, see `widened`.
    """
    low, high = depth_limits(disparity) if limits is None else limits
    shown, finite = widened(disparity.astype(np.float64), np.isfinite(disparity))
    scaled = (np.where(finite, shown, low) - low) / max(float(high - low), 1e-12)
    picture = colour_map("magma")[(np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)]
    picture[~finite] = UNKNOWN
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
    picture[~finite] = UNKNOWN
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
    return np.repeat(_as_bytes(values)[..., None], 3, 2)


def image(values: NDArray[np.floating]) -> Picture:
    """Turn a float image ``3 H W`` in [0, 1] into a picture; what is not finite is grey."""
    return _as_bytes(values).transpose(1, 2, 0)


def _as_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    seen = np.where(np.isfinite(values), np.clip(values, 0, 1) * 255, UNKNOWN)
    return seen.round().astype(np.uint8)


@cache
def colour_map(name: str) -> Picture:
    """Return the 256 colours of one of matplotlib's maps, ``256 3``."""
    from matplotlib import colormaps

    return (np.asarray(colormaps[name](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
