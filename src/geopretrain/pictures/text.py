"""Letters in pictures."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

PAPER = 255
INK = (40, 40, 40)
_SIZES = (12, 11, 10, 9, 8)


@cache
def font(size: int) -> FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib and knows more than the letters of English."""
    from pathlib import Path

    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def fitted(text: str, width: int) -> tuple[str, FreeTypeFont]:
    """Return a text in the largest of some sizes that fits ``width`` px, shortened where none does."""
    text = " ".join(text.split())
    for size in _SIZES:
        if font(size).getlength(text) <= width:
            return text, font(size)
    smallest, kept = font(_SIZES[-1]), text
    while kept and smallest.getlength(f"{kept}…") > width:
        kept = kept[:-1]
    return f"{kept}…", smallest
