"""Where a prediction is wrong: errors in colour, edges that were found or missed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.pictures.colouring import UNKNOWN, Picture, colour_map
from geopretrain.pictures.layout import grid
from geopretrain.pictures.legends import colour_bar, legend
from geopretrain.pictures.sparse import widened

MISSED, FOUND, BOTH = (0, 114, 178), (213, 94, 0), (0, 158, 115)
"""Blue, vermilion and green of Okabe and Ito, which colour-blind readers can tell apart."""
EDGE_COLOURS = {"true edge": MISSED, "found edge": FOUND, "both": BOTH}


def error_map(
    error: NDArray[np.floating], largest: float | None = None, *, what: str | None = None
) -> Picture:
    """Colour an error: blue is none, yellow half of the largest, red the largest; not finite is grey.

    Single points (LiDAR) are widened, see `widened`.

    Args:
        error: ``H W``, 0 or more, not a number where there is no truth.
        largest: value of the last red; None: the 95th percentile of this map.
        what: is counted, for a bar below the picture; None: no bar.
    """
    values = error.astype(np.float64)
    finite = np.isfinite(values)
    if largest is None:
        largest = float(np.percentile(values[finite], 95)) if finite.any() else 1.0
    largest = largest if largest > 0 else 1.0
    shown, known = widened(values, finite)
    scaled = np.clip(np.where(known, shown, 0.0) / largest, 0, 1)
    picture = colour_map("RdYlBu_r")[(scaled * 255).round().astype(np.uint8)]
    picture[~known] = UNKNOWN
    return picture if what is None else grid([picture, colour_bar((0.0, largest), what, picture.shape[1])])


def edge_map(image: Picture, true: ArrayLike, found: ArrayLike, *, key: bool = True) -> Picture:
    """Draw edges over a pale picture: blue are true ones only, vermilion found ones only, green both.

    Args:
        image: ``H W 3`` uint8.
        true: ``H W``, not 0 on an edge.
        found: likewise.
        key: say below what the colours mean.
    """
    wanted, seen = np.asarray(true).astype(bool), np.asarray(found).astype(bool)
    pale = image.mean(-1, keepdims=True).repeat(3, -1)
    shown = (255 - (255 - pale) * 0.4).round().astype(np.uint8)
    shown[wanted & ~seen], shown[seen & ~wanted], shown[wanted & seen] = MISSED, FOUND, BOTH
    return grid([shown, edge_key(image.shape[1])]) if key else shown


def edge_key(width: int) -> Picture:
    """Return a strip that says what the colours of `edge_map` mean, for a picture of so many px."""
    return legend(list(EDGE_COLOURS), np.array(list(EDGE_COLOURS.values()), np.uint8), width)
