"""Pictures of more than 8 bits: which of their values become 0 and 255.

16 bits are divided by 257 where nothing is said, so that a value means the same in every picture. Cameras
that use a small part of the range (thermal ones) leave a few grey levels then. A fixed range is given with
``--range LOW,HIGH``, or for every command by the two numbers in ``range.txt`` beside the pictures (or one or
two folders above); it is never stretched per picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.data.options import Range, parse_range
from geopretrain.data.picture_file import open_picture
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

RANGE_FILE = "range.txt"
FEW_LEVELS = 96
"""Grey levels of 256 under which the values are said to use a small part of their range."""
_LOOKED_AT = 8


def range_beside(path: Path) -> Range | None:
    """Return the range that ``range.txt`` says for a picture, None without one (DataError if damaged)."""
    for folder in list(path.absolute().parents)[:3]:
        file = folder / RANGE_FILE
        if file.is_file():
            try:
                return parse_range(" ".join(line.text for line in read_lines(file)))
            except ValueError as error:
                raise DataError(f"{file} must hold {error}.") from error
    return None


def is_wide(picture: Image.Image) -> bool:
    """Return whether a Pillow image holds grey values of more than 8 bits."""
    return picture.mode.startswith(("I", "F"))


def has_wide_colours(picture: ImageFile) -> bool:
    """Return whether a file that was opened, not loaded yet, holds colours of 16 bits; Pillow keeps 8."""
    arguments = [
        part for tile in picture.tile for part in (tile[3] if isinstance(tile[3], tuple) else tile[3:])
    ]
    return any(isinstance(part, str) and re.fullmatch("(RGBA?|LA);16[BLN]?", part) for part in arguments)


def wide_colours(path: Path) -> np.ndarray:
    """Return colours of 16 bits, ``H W 3`` (RGB) or ``H W 4`` with alpha (DataError)."""
    import cv2

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.dtype != np.uint16:
        raise DataError(
            f"{path} holds colours of 16 bits that cannot be read: save it with 8 bits, or as PNG."
        )
    return cv2.cvtColor(values, cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def to_8_bits(values: np.ndarray, path: Path, value_range: Range | None) -> np.ndarray:
    """Return values as uint8: from the range given, else 0..65535 divided by 257 and rounded.

    Raises:
        DataError: without a range, where values are no whole numbers from 0 to 65535.
    """
    if value_range is not None:
        low, high = value_range
        scaled = (np.nan_to_num(values.astype(np.float64), nan=low) - low) * (255 / (high - low))
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    give = f"Give a fixed range with --range LOW,HIGH, or in {RANGE_FILE} beside the pictures."
    if np.issubdtype(values.dtype, np.floating):
        raise DataError(f"{path} holds floating-point values, which have no fixed range. {give}")
    values = values.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{path} holds values outside 0..65535. {give}")
    return ((values + 128) // 257).astype(np.uint8)


def has_wide(files: Sequence[Path]) -> bool:
    """Return whether the first readable of some pictures has more than 8 bits."""
    from PIL import Image

    for file in files[:_LOOKED_AT]:
        try:
            with open_picture(file) as picture:
                return is_wide(picture) or has_wide_colours(picture)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # reading it says what is wrong
    return False


def range_warning(files: Sequence[Path]) -> str | None:
    """Return a sentence where pictures of over 8 bits use a small part of 0..65535, looking at some of them.

    Nothing where a ``range.txt`` says their range.
    """
    from PIL import Image

    lows, highs = [], []
    for number in np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).astype(int)) if files else []:
        try:
            with open_picture(files[number]) as picture:
                in_colour = has_wide_colours(picture)
                needs_none = not (in_colour or picture.mode.startswith("I"))
                if needs_none or range_beside(files[number]) is not None:
                    return None
                values = wide_colours(files[number])[..., :3] if in_colour else np.asarray(picture)
                low, high = np.percentile(values, (0.1, 99.9))
        except (OSError, ValueError, SyntaxError, DataError, Image.DecompressionBombError):
            continue  # reading it says what is wrong
        lows.append(float(low))
        highs.append(float(high))
    return narrow_warning(min(lows), max(highs)) if lows else None


def narrow_warning(low: float, high: float) -> str | None:
    """Return a sentence where values from low to high leave few of 256 grey levels when divided by 257."""
    levels = round((high - low) / 257) + 1
    if levels >= FEW_LEVELS:
        return None
    margin = max(1.0, 0.05 * (high - low))
    proposed = f"{max(0, round(low - margin))},{round(high + margin)}"
    return (
        f"The pictures have more than 8 bits, but use only values {low:.0f} to {high:.0f} of 0 to 65535: "
        f"{levels} of 256 grey levels are left. Give a fixed range: --range {proposed} (or these two numbers "
        f"in {RANGE_FILE} beside the pictures, which every command reads)."
    )
