"""Boxes and masks of things over the picture they are in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.pictures.colouring import Picture, class_palette
from geopretrain.pictures.text import font, legible

_MASK = 0.45
"""Fraction of the colour in a mask."""


def draw_detections(
    image: Picture,
    boxes: ArrayLike,
    classes: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    scores: ArrayLike | None = None,
    masks: ArrayLike | None = None,
    colours: NDArray[np.uint8] | None = None,
) -> Picture:
    """Show things over the picture they are in: a box each, its name and score, and its mask.

    The likelier ones are drawn last, over the others.

    Args:
        image: ``H W 3`` uint8.
        boxes: ``N 4`` px: left, top, right, bottom.
        classes: ``N`` ids, which choose colour and name; None: each thing has a colour of its own.
        names: of the classes.
        scores: ``N`` in [0, 1].
        masks: ``N H W``, not 0 (or above 0.5, of floats) inside.
        colours: ``K 3`` of the classes; None: those of `class_palette`.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    ids = np.arange(len(boxes)) if classes is None else np.asarray(classes, np.int64)
    palette = class_palette(int(ids.max(initial=0)) + 1) if colours is None else np.asarray(colours, np.uint8)
    order = np.arange(len(boxes)) if scores is None else np.argsort(np.asarray(scores), kind="stable")
    shown = image.copy()
    if masks is not None:
        for one in order:
            inside = np.asarray(masks)[one]
            inside = inside > 0.5 if np.issubdtype(inside.dtype, np.floating) else inside != 0
            mixed = _MASK * palette[ids[one] % len(palette)] + (1 - _MASK) * shown[inside]
            shown[inside] = mixed.round().astype(np.uint8)
    texts = [_text(i, ids, names, scores, classes is not None) for i in range(len(boxes))]
    return _with_boxes(shown, boxes[order], palette[ids[order] % len(palette)], [texts[i] for i in order])


def _text(
    one: int, ids: NDArray[np.int64], names: Sequence[str] | None, scores: ArrayLike | None, known: bool
) -> str:
    """Return what stands at a box: its name or number, and its score in percent."""
    number = int(ids[one])
    name = names[number] if names is not None and known and 0 <= number < len(names) else str(number) * known
    score = "" if scores is None else f"{float(np.asarray(scores)[one]):.0%}"
    return legible(f"{name} {score}".strip())


def _with_boxes(
    image: Picture, boxes: NDArray[np.float64], colours: NDArray[np.uint8], texts: Sequence[str]
) -> Picture:
    from PIL import Image, ImageDraw

    height, width = image.shape[:2]
    canvas = Image.fromarray(image)
    pen, thickness = ImageDraw.Draw(canvas), max(1, round(min(height, width) / 240))
    size = min(14, max(9, round(height / 32)))
    for box, colour, text in zip(boxes, colours.tolist(), texts, strict=True):
        left, right = np.clip(sorted(box[[0, 2]]), 0, width - 1)
        top, bottom = np.clip(sorted(box[[1, 3]]), 0, height - 1)
        pen.rectangle((left, top, right, bottom), outline=tuple(colour), width=thickness)
        if text:
            letters = font(size, text)
            tall = sum(letters.getmetrics())
            wide = letters.getlength(text) + 4
            x = max(0.0, min(left, width - wide))
            y = top - tall if top >= tall else min(top, height - tall)
            pen.rectangle((x, y, x + wide, y + tall), fill=tuple(colour))
            pen.text((x + 2, y), text, fill=_readable_on(colour), font=letters)
    return np.asarray(canvas)


def _readable_on(colour: Sequence[int]) -> tuple[int, int, int]:
    """Return black or white, whichever is easier to read on a colour (luma of BT.601)."""
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if luma > 140 else (255, 255, 255)
