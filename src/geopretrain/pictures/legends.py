"""What colours mean: a legend of classes, a bar of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geopretrain.pictures.colouring import Picture, colour_map
from geopretrain.pictures.text import INK, PAPER, fitted, font, length

_ROW = 18
_SWATCH = 12
_SPACE = 12
_WHOLE = 200
"""Length in px up to which a text is shown whole, however narrow the picture is."""


def legend(names: Sequence[str], colours: NDArray[np.uint8], width: int) -> Picture:
    """Return a strip ``h w 3`` with a square of each colour (``K 3``) and its name, in rows that fit.

    Args:
        names: one for each colour.
        colours: ``K 3``.
        width: of the picture that it is for, px; ``w`` is more where a name needs it.
    """
    from PIL import Image, ImageDraw

    width = max([width, *(_SWATCH + 8 + min(_WHOLE, length(name)) for name in names)])
    texts = [fitted(name, max(1, width - _SWATCH - 8)) for name in names]
    places, x, row = [], 2, 0
    for text, letters in texts:
        needed = _SWATCH + 4 + int(letters.getlength(text)) + _SPACE
        if x > 2 and x + needed - _SPACE > width:
            x, row = 2, row + 1
        places.append((x, row * _ROW + 3))
        x += needed
    strip = Image.new("RGB", (width, (row + 1) * _ROW), (PAPER,) * 3)
    pen = ImageDraw.Draw(strip)
    for (left, top), (text, letters), colour in zip(places, texts, np.asarray(colours).tolist(), strict=True):
        pen.rectangle((left, top, left + _SWATCH - 1, top + _SWATCH - 1), fill=tuple(colour), outline=INK)
        pen.text((left + _SWATCH + 4, top - 1), text, fill=INK, font=letters)
    return np.asarray(strip)


def colour_bar(limits: tuple[float, float], what: str, width: int, colours: str = "RdYlBu_r") -> Picture:
    """Return a strip ``h w 3``: a bar of the colours, its two ends as numbers, and what they count.

    Args:
        limits: values of the first and the last colour.
        what: is shown, with its unit.
        width: of the picture that it is for, px; ``w`` is more where the words need it.
        colours: name of matplotlib's map; the one of `error_map` unless said otherwise.
    """
    from PIL import Image, ImageDraw

    small = font(9)
    low, high = (f"{value:.3g}" for value in limits)
    ends = int(small.getlength(low)) + int(small.getlength(high))
    width = max(width, ends + min(_WHOLE, length(what)) + 4 + 2 * _SPACE)
    strip = Image.new("RGB", (width, 2 * _ROW), (PAPER,) * 3)
    ramp = colour_map(colours)[np.linspace(0, 255, max(1, width - 4)).round().astype(int)]
    strip.paste(Image.fromarray(np.repeat(ramp[None], _SWATCH, 0)), (2, 3))
    pen = ImageDraw.Draw(strip)
    right = width - 2 - int(small.getlength(high))
    pen.text((2, _ROW + 1), low, fill=INK, font=small)
    pen.text((right, _ROW + 1), high, fill=INK, font=small)
    left = 2 + int(small.getlength(low)) + 6
    text, letters = fitted(what, right - left - 6)
    middle = left + (right - left - letters.getlength(text)) / 2
    pen.text((middle, _ROW), text, fill=INK, font=letters)
    return np.asarray(strip)
