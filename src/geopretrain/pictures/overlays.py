"""Class maps over the picture they are for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geopretrain.pictures.colouring import Picture, class_palette, colour_labels
from geopretrain.pictures.layout import grid
from geopretrain.pictures.legends import legend

OVERLAY = 0.55
"""Fraction of the class colour in an overlay."""


def overlay_labels(
    image: Picture,
    labels: NDArray[np.integer],
    names: Sequence[str] | None = None,
    colours: NDArray[np.uint8] | None = None,
    *,
    opacity: float = OVERLAY,
) -> Picture:
    """Show a class map over its picture, and below it what the colours mean.

    Args:
        image: ``H W 3`` uint8.
        labels: ``H W``; ids without a colour, such as 255 = ignore, leave the picture as it is.
        names: of the classes; those in the map are in the legend. None: no legend.
        colours: ``K 3``; None: those of `class_palette`.
        opacity: fraction of the class colour, 0 to 1.

    Returns:
        ``H W 3``, higher where there is a legend.
    """
    labels = np.asarray(labels)
    if colours is None:
        known = len(names) if names is not None else int(labels[labels < 255].max(initial=0)) + 1
        colours = class_palette(known)
    coloured = (labels >= 0) & (labels < len(colours))
    mixed = (opacity * colour_labels(labels, colours) + (1 - opacity) * image).round().astype(np.uint8)
    shown = np.where(coloured[..., None], mixed, image)
    if names is None:
        return shown
    there = [int(one) for one in np.unique(labels[coloured]) if one < len(names)]
    if not there:
        return shown
    return grid([shown, legend([names[one] for one in there], colours[there], image.shape[1])])
