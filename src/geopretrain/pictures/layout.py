"""Pictures next to each other and below each other, with captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.pictures.colouring import Picture, image
from geopretrain.pictures.text import INK, PAPER, fitted

if TYPE_CHECKING:
    from torch import Tensor

_GAP = 4
_CAPTION_HEIGHT = 18


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


def beside(columns: Mapping[str, Sequence[Picture]]) -> Picture:
    """Return one picture: a captioned column for each name (an initialisation, say), a row a sample."""
    return grid(list(rows(columns).values()))


def grid(rows: Sequence[Picture]) -> Picture:
    """Put rows below each other on white, left aligned."""
    width = max(row.shape[1] for row in rows)
    padded = [
        _pad(row, row.shape[0] + (_GAP if i + 1 < len(rows) else 0), width) for i, row in enumerate(rows)
    ]
    return np.concatenate(padded, 0)


def shrunk(picture: Picture, width: int) -> Picture:
    """Return a picture with at most so many px beside each other, smaller by averages where it has more."""
    from PIL import Image

    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def _captioned(picture: Picture, caption: str) -> Picture:
    from PIL import Image, ImageDraw

    text, font = fitted(caption, picture.shape[1] - 4)
    strip = Image.new("RGB", (picture.shape[1], _CAPTION_HEIGHT), (PAPER,) * 3)
    ImageDraw.Draw(strip).text((2, 2), text, fill=INK, font=font)
    return np.concatenate([np.asarray(strip), picture], 0)


def _pad(picture: Picture, height: int, width: int) -> Picture:
    below, right = height - picture.shape[0], width - picture.shape[1]
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=PAPER)
