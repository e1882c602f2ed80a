"""Read one image of almost any kind to ``H W 3`` uint8 RGB.

One rule per kind, the same everywhere:

* grey (1, 8 or 16 bit): the value is repeated in the three channels;
* 16 bit, grey or colour: the full range 0..65535 becomes 0..255 (divided by 257, rounded), never stretched
  per image, or a fixed range that is given (value_range.py), also of grey of 32 bit and floating point;
* alpha: composited over black;
* palette: looked up, its transparent entries composited over black;
* CMYK and YCbCr: converted by Pillow's plain formula, colour profiles are not applied;
* EXIF orientation: applied, so that the picture is upright;
* several pictures in one file: the first one.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from geopretrain.data.picture_file import open_picture
from geopretrain.data.value_range import (
    Range,
    has_wide_colours,
    is_wide,
    range_beside,
    to_8_bits,
    wide_colours,
)
from geopretrain.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm"}
)
_MAY_MOVE = {".gif", ".webp", ".png", ".apng"}
_SWAPS_SIDES = {5, 6, 7, 8}  # EXIF orientations which turn the picture by 90 degrees
_TURNS = {2, 3, 4} | _SWAPS_SIDES  # which mirror or turn it
_LOOKED_AT = 8  # pictures whose notes of orientation are compared


def read_image(path: str | Path, value_range: Range | None = None) -> np.ndarray:
    """Return the image as ``H W 3`` uint8 RGB.

    Args:
        path: of the file.
        value_range: values of more than 8 bits that become 0 and 255; None: as ``range.txt`` beside the file
            says, else 0 and 65535.

    Raises:
        DataError: the file is missing, empty, truncated, no image, or of a kind without a stated rule.
    """
    path = Path(path)
    with _naming(path), open_picture(path) as picture:
        in_colour = has_wide_colours(picture)
        picture.load()
        loaded = _of_wide_colours(picture, path, value_range) if in_colour else picture
        return to_rgb(ImageOps.exif_transpose(loaded), path, value_range)


def _of_wide_colours(picture: Image.Image, path: Path, value_range: Range | None) -> Image.Image:
    """Return a picture of 16-bit colours, whose upper 8 bits Pillow has kept, brought to 8 by the rule."""
    values = wide_colours(path)
    colours = to_8_bits(values[..., :3], path, value_range or range_beside(path))
    if values.shape[2] == 4:
        colours = np.concatenate([colours, to_8_bits(values[..., 3:], path, None)], axis=2)
    brought, orientation = Image.fromarray(colours), ExifTags.Base.Orientation
    brought.getexif()[orientation] = picture.getexif().get(orientation, 1)
    return brought


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of an image as `read_image` would give it, from its header only (DataError)."""
    path = Path(path)
    with _naming(path), open_picture(path) as picture:
        width, height = picture.size
        rotated = picture.getexif().get(ExifTags.Base.Orientation, 1) in _SWAPS_SIDES
        return (width, height) if rotated else (height, width)


def turned_alone(pairs: Sequence[tuple[Path, Path]], what: str) -> str | None:
    """Return a sentence where a note turns pictures, none what belongs to them, and no side tells it.

    Args:
        pairs: pictures and the files that belong to them, of which some are looked at.
        what: is in these.
    """
    for place in np.unique(np.linspace(0, len(pairs) - 1, _LOOKED_AT).astype(int)) if pairs else []:
        picture, other = pairs[place]
        if _is_turned_unseen(picture) and not _is_turned_unseen(other):
            return (
                f"A note of orientation (EXIF) turns {picture.name}, and {other.name} has none: {what} are "
                "taken to lie as the pictures are shown. If not, save the pictures upright, without the note."
            )
    return None


def _is_turned_unseen(path: Path) -> bool:
    """Return whether a note turns or mirrors a picture and its sides stay; False of what cannot be read."""
    try:
        with open_picture(path) as picture:
            note, (width, height) = picture.getexif().get(ExifTags.Base.Orientation, 1), picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return note in _TURNS and (note not in _SWAPS_SIDES or width == height)


def on_its_side(what: str) -> str:
    """Return the advice where the sides of a picture and of what belongs to it are each other's."""
    return (
        " One of them lies on its side: images are shown as their note of orientation (EXIF) says. Turn "
        f"{what}, or save the image upright and without that note."
    )


def is_animation(path: Path) -> bool:
    """Return whether a GIF, WebP or PNG file moves; False of what cannot be read, which reading it says."""
    if path.suffix.lower() not in _MAY_MOVE:
        return False
    try:
        with open_picture(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def to_rgb(picture: Image.Image, path: Path, value_range: Range | None = None) -> np.ndarray:
    """Convert a decoded Pillow image to ``H W 3`` uint8 by the rules of this module (DataError)."""
    mode = picture.mode
    if is_wide(picture):
        grey = to_8_bits(np.asarray(picture), path, value_range or range_beside(path))
        return np.repeat(grey[..., None], 3, axis=2)
    if "A" in mode or "a" in mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture)
    return np.array(picture.convert("RGB"))


class _naming:
    """Turn whatever Pillow raises for a bad file into a DataError which names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        try:
            status = self.path.stat()
        except OSError as error:
            if self.path.is_symlink():
                raise DataError(f"{self.path} is a link to what is not there.") from error
            missing = isinstance(error, FileNotFoundError)
            reason = "does not exist" if missing else f"cannot be opened: {error.strerror or error}"
            raise DataError(f"{self.path} {reason}.") from error
        if stat.S_ISDIR(status.st_mode):
            raise DataError(f"{self.path} is a folder; an image file was expected.")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise DataError(f"{self.path} is a pipe or a device; an image file was expected.")
        if status.st_size == 0:
            raise DataError(f"{self.path} is empty (0 bytes).")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, DataError):
            return
        if isinstance(error, UnidentifiedImageError):
            raise DataError(f"{self.path} is not an image that can be read.") from error
        if isinstance(error, PermissionError):
            raise DataError(f"{self.path} cannot be opened: permission denied.") from error
        if isinstance(error, Image.DecompressionBombError):
            raise DataError(
                f"{self.path} has too many pixels to be read as one picture. Cut it into parts, or save it "
                "smaller."
            ) from error
        if isinstance(error, (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError)):
            raise DataError(f"{self.path} is damaged or truncated ({error}).") from error
