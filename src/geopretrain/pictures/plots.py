"""Figures of matplotlib as pictures."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.pictures.colouring import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def as_picture(figure: Figure) -> Picture:
    """Return a figure as ``H W 3`` uint8, cut to what is drawn."""
    from PIL import Image

    written = BytesIO()
    figure.savefig(written, format="png", bbox_inches="tight", pad_inches=0.1)
    return np.asarray(Image.open(written).convert("RGB"))
