"""Boxes and masks of things over the picture they are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.pictures.colouring import Picture, class_palette
from geopretrain.pictures.text import fitted

if TYPE_CHECKING:
    from PIL import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_MASK = 0.45
"""Fraction of the colour in a mask."""
_MARGIN = 2
"""px beside a text."""
_SMALLEST = 8
"""px of letters; what does not fit then is shortened."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, px."""


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

    The likelier ones are drawn last, over the others. Names that are wider than the picture are shortened.

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
    texts = [(_name(i, ids, names, classes is not None), _percent(i, scores)) for i in order]
    return _with_boxes(shown, boxes[order], palette[ids[order] % len(palette)], texts)


def _name(one: int, ids: NDArray[np.int64], names: Sequence[str] | None, known: bool) -> str:
    """Return what stands at a box beside its score: its name or number."""
    number = int(ids[one])
    return names[number] if names is not None and known and 0 <= number < len(names) else str(number) * known


def _percent(one: int, scores: ArrayLike | None) -> str:
    return "" if scores is None else f"{float(np.asarray(scores)[one]):.0%}"


def _with_boxes(
    image: Picture, boxes: NDArray[np.float64], colours: NDArray[np.uint8], texts: Sequence[tuple[str, str]]
) -> Picture:
    """Draw boxes, and over all of them what they are."""
    from PIL import Image, ImageDraw

    height, width = image.shape[:2]
    canvas = Image.fromarray(image)
    pen, thickness = ImageDraw.Draw(canvas), max(1, round(min(height, width) / 240))
    corners = [_inside(box, height, width) for box in boxes]
    for box, colour in zip(corners, colours.tolist(), strict=True):
        pen.rectangle(box, outline=tuple(colour), width=thickness)
    _write(pen, (height, width), corners, colours.tolist(), texts)
    return np.asarray(canvas)


def _write(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    boxes: Sequence[Box],
    colours: Sequence[Sequence[int]],
    texts: Sequence[tuple[str, str]],
) -> None:
    """Write at each box what it is: the last one has the place it likes best, and is over the others."""
    largest = min(14, max(9, round(size[0] / 32)))
    labels: list[tuple[Box, int, str, FreeTypeFont]] = []
    for number in reversed([i for i, text in enumerate(texts) if any(text)]):
        name, score = texts[number]
        shown, letters = fitted(name, size[1] - 2 * _MARGIN, range(largest, _SMALLEST - 1, -1), score)
        wide, tall = letters.getlength(shown) + 2 * _MARGIN, sum(letters.getmetrics())
        place = _place(boxes[number], size, wide, tall, [there for there, *_ in labels])
        labels.append((place, number, shown, letters))
    for place, number, shown, letters in reversed(labels):
        pen.rectangle(place, fill=tuple(colours[number]))
        pen.text((place[0] + _MARGIN, place[1]), shown, fill=_readable_on(colours[number]), font=letters)


def _inside(box: NDArray[np.float64], height: int, width: int) -> Box:
    left, right = np.clip(sorted(box[[0, 2]]), 0, width - 1)
    top, bottom = np.clip(sorted(box[[1, 3]]), 0, height - 1)
    return float(left), float(top), float(right), float(bottom)


def _place(box: Box, size: tuple[int, int], wide: float, tall: float, taken: Sequence[Box]) -> Box:
    """Return where a text stands at a box: above, inside or below, where nothing stands yet."""
    (height, width), (left, top, _, bottom) = size, box
    x = max(0.0, min(left, width - wide))
    above = top - tall if top >= tall else min(top, height - tall)
    fitting = [y for y in (above, top, bottom, bottom - tall) if 0 <= y <= height - tall]
    places = [(x, y, x + wide, y + tall) for y in (fitting or [above])]
    return next((one for one in places if not any(_overlap(one, other) for other in taken)), places[0])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _readable_on(colour: Sequence[int]) -> tuple[int, int, int]:
    """Return black or white, whichever is easier to read on a colour (luma of BT.601)."""
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return (0, 0, 0) if luma > 140 else (255, 255, 255)
