"""What the file of a class map holds: ids or colours, a palette, transparency; upright, without loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from geopretrain.data.picture_file import open_picture
from geopretrain.errors import DataError

Values = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stored:
    """A class map as its file has it.

    Attributes:
        values: ids ``H W``, or colours ``H W 3``.
        palette: colours ``256 3`` of the ids, None where the file has none, or one that is grey alone.
        clear: whether entries of the palette are transparent, ``256``; None where none is.
        hidden: whether pixels are transparent, ``H W``; None where none is.
    """

    values: Values
    palette: Values | None
    clear: Mask | None = None
    hidden: Mask | None = None

    @property
    def visible(self) -> Values:
        """Ids ``N`` or colours ``N 3`` of the pixels that are not transparent."""
        flat = self.values.reshape(-1, *self.values.shape[2:])
        return flat if self.hidden is None else flat[~self.hidden.reshape(-1)]


def read_stored(path: Path) -> Stored:
    """Read what a class map holds, upright (DataError)."""
    try:
        with open_picture(path) as picture:
            _refuse_lossy(picture, path)
            upright = _with_alpha(ImageOps.exif_transpose(picture))
            mode, values, palette = upright.mode, np.array(upright), _palette(upright)
            clear = _clear_entries(upright)
    except Image.DecompressionBombError as error:
        raise DataError(f"The label {path} has too many pixels. Cut picture and label into parts.") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(
            f"The label {path} cannot be read as an image ({error}). Copy or save it again, or take it and "
            "its picture out."
        ) from error
    if values.ndim == 2:
        return Stored(_whole(values, path), palette, clear)
    if mode not in ("LA", "RGB", "RGBA"):
        raise DataError(f"The label {path} is a {mode} image; expected ids (grey or palette) or RGB colours.")
    hidden = _hidden(values[..., -1], path) if mode.endswith("A") else None
    kept = values[..., 0] if mode == "LA" else values[..., :3]
    return Stored(kept.astype(np.int64), None, hidden=hidden)


def _with_alpha(picture: Image.Image) -> Image.Image:
    """Return a picture with an alpha channel where one of its colours is named as transparent."""
    return picture.convert("RGBA") if picture.mode == "RGB" and "transparency" in picture.info else picture


def _clear_entries(picture: Image.Image) -> Mask | None:
    """Return which of the 256 entries of a palette are transparent, None where none is."""
    given = picture.info.get("transparency") if picture.mode == "P" else None
    clear = np.zeros(256, bool)
    if isinstance(given, int):
        clear[given] = True
    elif isinstance(given, bytes):
        clear[: len(given)] = np.frombuffer(given, np.uint8)[:256] == 0
    return clear if clear.any() else None


def _hidden(alpha: NDArray[np.uint8], path: Path) -> Mask | None:
    """Return where a map is transparent, None where it is nowhere (DataError where it is more or less so)."""
    hidden = alpha == 0
    seen = np.unique(alpha[~hidden])
    if len(seen) > 1:
        raise DataError(
            f"The label {path} is more and less transparent (alpha {seen[0]} to {seen[-1]}), as pictures "
            "with soft edges or laid over others are, whose colours are mixed. Save it without transparency, "
            "from where its colours were still exact."
        )
    return hidden if hidden.any() else None


def _palette(picture: Image.Image) -> Values | None:
    """Return the colours ``256 3`` of a palette picture; None of another one, and where all are grey."""
    colours = picture.getpalette("RGB") if picture.mode == "P" else None
    if not colours:
        return None
    table = np.zeros((256, 3), np.int64)
    given = np.array(colours, np.int64).reshape(-1, 3)[:256]
    table[: len(given)] = given
    return None if (table == table[:, :1]).all() else table


def _refuse_lossy(picture: Image.Image, path: Path) -> None:
    """Refuse a picture packed with loss: next to edges it holds ids nobody has given."""
    lossy = picture.format in ("JPEG", "MPO") or str(picture.info.get("compression", "")).endswith("jpeg")
    if picture.format == "WEBP":
        lossy = b"VP8 " in _webp_parts(path.read_bytes())
    if lossy:
        raise DataError(
            f"The label {path} is packed with loss ({picture.format}), which changes ids near edges. "
            "Save labels as PNG, from where they were still exact."
        )


def _webp_parts(content: bytes, begin: int = 12) -> set[bytes]:
    """Return the names of the parts of a WebP file, those of its frames among them (RIFF container)."""
    names: set[bytes] = set()
    while begin + 8 <= len(content):
        name, size = content[begin : begin + 4], int.from_bytes(content[begin + 4 : begin + 8], "little")
        names.add(name)
        if name == b"ANMF":  # 16 bytes about the frame, then its parts
            names |= _webp_parts(content[begin + 24 : begin + 8 + size], 0)
        begin += 8 + size + size % 2
    return names


def _whole(stored: np.ndarray, path: Path) -> Values:
    """Return ids as integers (DataError for fractions, or what is no number)."""
    if np.issubdtype(stored.dtype, np.floating) and not (stored == np.round(stored)).all():
        raise DataError(
            f"The label {path} holds fractions ({stored[stored != np.round(stored)][0]:g}, for example), but "
            "ids of classes are whole numbers. It may be a map of probabilities, or have been resized by "
            "averaging; save the ids themselves as 8-bit PNG."
        )
    return stored.astype(np.int64)
