"""Outlines of objects as annotation files give them, and the pixels inside: polygons, run lengths, ellipses.

Pixel (x, y) lies in an outline where its centre (x + 0.5, y + 0.5) does; coordinates are those of annotation
tools, whose 0 is the left edge of the first pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

Size = tuple[int, int]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
MIN_POINTS = 3
_CHARACTERS = range(48, 112)  # of run lengths written as text: 6 bits each, the first is '0'


class Outline(Protocol):
    """What tells which pixels of an image an object covers."""

    def mask(self, size: Size) -> Mask:
        """Return ``H W``, true inside (DataError where it belongs to an image of another size)."""
        ...

    def box(self) -> NDArray[np.float32] | None:
        """Return x0, y0, x1, y1 (px, x1 and y1 exclusive), None where nothing is inside."""
        ...


@dataclass(frozen=True, slots=True)
class Polygons:
    """One or several closed polygons, each ``K 2`` (x, y) px; an object in several parts has several."""

    parts: tuple[Points, ...]

    def mask(self, size: Size) -> Mask:
        """Return the union of the polygons; where one crosses itself, inside and outside alternate."""
        inside = np.zeros(size, bool)
        for part in self.parts:
            inside |= filled(part, size)
        return inside

    def box(self) -> NDArray[np.float32] | None:
        """Return the smallest box around all corners, None where that has no area."""
        corners = np.concatenate(self.parts) if self.parts else np.zeros((0, 2))
        return None if len(corners) < MIN_POINTS else _with_area(*corners.min(0), *corners.max(0))

    def scaled(self, scale: Points) -> Polygons:
        """Return them with x and y multiplied by two numbers."""
        return Polygons(tuple(part * scale for part in self.parts))


@dataclass(frozen=True, slots=True)
class RunLengths:
    """Numbers of pixels outside, inside, outside, ..., column by column (COCO's run lengths).

    Attributes:
        size: (height, width) of the image they were written for, px.
        counts: the numbers.
    """

    size: Size
    counts: NDArray[np.int64]

    def mask(self, size: Size) -> Mask:
        """Return the pixels inside."""
        _refuse_other_size(self.size, size)
        return self._pixels()

    def box(self) -> NDArray[np.float32] | None:
        """Return the smallest box around the pixels."""
        return _around(self._pixels())

    def _pixels(self) -> Mask:
        inside = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return inside.reshape(self.size[::-1]).T


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """Pixels drawn with a brush: ``H W`` bool, whose first pixel is (x, y) of the image, px.

    Attributes:
        x: column of its first pixel.
        y: row of its first pixel.
        inside: which pixels are covered.
        size: (height, width) of the image it was drawn on, px; None where nobody said.
    """

    x: int
    y: int
    inside: Mask
    size: Size | None = None

    def mask(self, size: Size) -> Mask:
        """Return the pixels inside; what lies beyond the edge of the image is cut off."""
        _refuse_other_size(self.size, size)
        covered = np.zeros(size, bool)
        height, width = self.inside.shape
        top, left = max(0, self.y), max(0, self.x)
        bottom, right = min(size[0], self.y + height), min(size[1], self.x + width)
        if bottom > top and right > left:
            part = self.inside[top - self.y : bottom - self.y, left - self.x : right - self.x]
            covered[top:bottom, left:right] = part
        return covered

    def box(self) -> NDArray[np.float32] | None:
        """Return the smallest box around the pixels."""
        found = _around(self.inside)
        return None if found is None else found + np.array([self.x, self.y] * 2, np.float32)


def filled(polygon: Points, size: Size) -> Mask:
    """Return which pixels of ``H W`` have their centre inside a polygon ``K 2`` (even-odd rule).

    Drawing functions of libraries also set what the line touches, which makes every object a pixel wider.
    """
    height, width = size
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    centres = np.arange(height) + 0.5
    edge, row = np.nonzero((y0[:, None] <= centres) != (y1[:, None] <= centres))
    along = (centres[row] - y0[edge]) / (y1 - y0)[edge]
    crossing = x0[edge] + along * (x1 - x0)[edge]
    first = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    changes = np.zeros((height, width + 1), np.int32)
    np.add.at(changes, (row, first), 1)
    return changes.cumsum(1)[:, :width] % 2 == 1


def ellipse(
    centre: Sequence[float], radii: Sequence[float], degrees: float = 0.0, corners: int = 64
) -> Points:
    """Return an ellipse as a polygon ``corners 2``, px; turned clockwise on the screen."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    around = np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], 1) + np.asarray(centre, float)
    return rotated(around, np.asarray(centre, float), degrees)


def rotated(corners: Points, centre: Points, degrees: float) -> Points:
    """Return corners ``K 2`` turned around a point, clockwise on the screen."""
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray((corners - centre) @ matrix.T + centre)


def polygon(values: Any) -> Points | None:
    """Return corners ``K 2`` of a flat list x, y, x, y, ... or of pairs; None where they enclose no area.

    Raises:
        ValueError: no list of finite numbers, or an odd number of them.
    """
    try:
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ValueError("corners must be numbers x, y") from error
    if len(flat) % 2 or not np.isfinite(flat).all():
        raise ValueError("corners must be pairs of finite numbers x, y")
    corners = flat.reshape(-1, 2)
    x, y = corners.T
    twice_the_area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    crossing = len(corners) > MIN_POINTS and np.ptp(x) > 0 and np.ptp(y) > 0  # area of an 8 may be 0
    return corners if len(corners) >= MIN_POINTS and (twice_the_area > 0 or crossing) else None


def run_lengths(value: Any) -> RunLengths:
    """Read ``{"size": [h, w], "counts": [...] or text}`` as COCO writes it.

    Raises:
        ValueError: of another form, or the counts do not add up to the size.
    """
    try:
        height, width = (int(side) for side in value["size"])
        counts = value["counts"]
        if isinstance(counts, (str, bytes)):
            counts = _from_text(counts.encode("ascii") if isinstance(counts, str) else counts)
        numbers = np.asarray(counts, dtype=np.int64).reshape(-1)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError("run lengths must have 'size' (height, width) and 'counts'") from error
    if height < 1 or width < 1 or (numbers < 0).any():
        raise ValueError("run lengths with a number below 0, or of a picture without pixels")
    if numbers.sum() != height * width:
        raise ValueError(
            f"run lengths add up to {numbers.sum()} pixels, not to the {height * width} of "
            f"{in_px((height, width))}"
        )
    return RunLengths((height, width), numbers)


def _from_text(text: bytes) -> list[int]:
    """Return the counts of COCO's text: 5 bits a character, the sixth says that more follow.

    From the third on, each is the difference to the one two before it.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        if character not in _CHARACTERS:
            raise ValueError("a character that run lengths do not have")
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths that end in the middle of a number")
    return counts


def _refuse_other_size(drawn_on: Size | None, size: Size) -> None:
    if drawn_on is not None and drawn_on != size:
        raise DataError(f"a mask was drawn on an image of {in_px(drawn_on)}, but the image is {sides(size)}")


def _around(mask: Mask) -> NDArray[np.float32] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return _with_area(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else None


def _with_area(x0: float, y0: float, x1: float, y1: float) -> NDArray[np.float32] | None:
    return np.array([x0, y0, x1, y1], np.float32) if x1 > x0 and y1 > y0 else None
