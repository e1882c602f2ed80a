"""A camera with what its lens bends, and the pinhole camera that its pictures are brought to.

Pixel centres are at whole numbers. Two kinds of lens, both with OpenCV's formulas and order of coefficients:
"brown" (k1 k2 p1 p2 k3 k4 k5 k6) and "fisheye" (Kannala-Brandt, k1 k2 k3 k4).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from geopretrain.errors import DataError

Size = tuple[int, int]
_WIDEST = 60.0
"""Degrees from the middle of the picture to its sides, beyond which a pinhole camera stretches too much."""
_NO_BEND = 0.1  # px of the original pictures
_STEP = 0.01  # of the sides of the part that is kept, by which it shrinks until all of it has pixels
_LEAST_ANGLE = 5.0  # degrees to each side
_GRID = 25
_MAX_LOST = 0.25
"""Of a side of the picture: where more of it is lost, the coefficients are not those of these pictures."""
_FOLDED = (
    "the distortion cannot be undone: its coefficients fold the picture over, or its principal point lies "
    "outside of the pictures"
)


@dataclass(frozen=True)
class Lens:
    """A camera as it was calibrated.

    Attributes:
        intrinsics: ``3 3`` px.
        coefficients: of the distortion, in OpenCV's order; nothing for a pinhole camera.
        fisheye: whether they are those of the fisheye model.
        size: (height, width) px of the pictures that were calibrated, None where that is not said.
    """

    intrinsics: np.ndarray
    coefficients: tuple[float, ...] = ()
    fisheye: bool = False
    size: Size | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from other lenses."""
        return (self.intrinsics.tobytes(), self.coefficients, self.fisheye, self.size)

    def scaled(self, resizing: np.ndarray, size: Size) -> Lens:
        """Return the lens of pictures of (height, width) that ``3 3`` brings pixels to; bends stay."""
        return replace(self, intrinsics=resizing @ self.intrinsics, size=size)

    def project(self, rays: np.ndarray) -> np.ndarray:
        """Return the pixels ``N 2`` that see the rays ``N 2`` (x/z, y/z)."""
        import cv2

        matrix = np.asarray(self.intrinsics, dtype=np.float64)
        if self.fisheye:
            bent = _fisheye(rays, self.coefficients)
            return np.asarray(bent @ matrix[:2, :2].T + matrix[:2, 2])
        points = np.column_stack([rays, np.ones(len(rays))])
        zero = np.zeros(3)
        pixels, _ = cv2.projectPoints(points, zero, zero, matrix, np.array(self.coefficients or (0.0,) * 4))
        return np.asarray(pixels).reshape(-1, 2)

    def bends(self, size: Size) -> bool:
        """Return whether any pixel of pictures of (height, width) is off its pinhole place by over 0.1 px."""
        if not any(self.coefficients) and not self.fisheye:
            return False
        inverse = np.linalg.inv(self.intrinsics)
        y, x = np.meshgrid(np.linspace(0, size[0] - 1, _GRID), np.linspace(0, size[1] - 1, _GRID))
        pixels = np.column_stack([x.ravel(), y.ravel()])
        rays = pixels @ inverse[:2, :2].T + inverse[:2, 2]
        return bool(np.abs(self.project(rays) - pixels).max() > _NO_BEND)


@dataclass(frozen=True)
class Undistortion:
    """From the pictures of some lenses to those of one pinhole camera, without an empty border.

    Attributes:
        lenses: of the pictures as they are.
        size: (height, width) px of the pictures that come out.
        intrinsics: ``3 3`` px of these.
        cut: whether what lies over 60 degrees from the middle was left away.
    """

    lenses: list[Lens]
    size: Size
    intrinsics: np.ndarray
    cut: bool = False
    _maps: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def __call__(self, image: np.ndarray, lens: int = 0, *, nearest: bool = False) -> np.ndarray:
        """Return a picture ``H W 3`` or a map ``H W`` of a lens as the pinhole camera sees it.

        Args:
            image: of the size of the lens.
            lens: its number.
            nearest: take the nearest pixel, as depth needs it, rather than interpolating.
        """
        import cv2

        x, y = self._map(lens)
        way = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        return np.asarray(cv2.remap(image, x, y, way, borderMode=cv2.BORDER_REPLICATE))

    def _map(self, lens: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which pixel of a lens each pixel takes, kept for a few lenses."""
        if lens not in self._maps:
            if len(self._maps) >= 4:
                self._maps.clear()
            rows, columns = np.indices(self.size, dtype=np.float64)
            pixels = np.column_stack([columns.ravel(), rows.ravel()])
            source = self.lenses[lens].project(pixels @ self._inverse[:2, :2].T + self._inverse[:2, 2])
            both = source.T.reshape(2, *self.size).astype(np.float32)
            self._maps[lens] = (both[0], both[1])
        return self._maps[lens]

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self.intrinsics)


def undistortion(lenses: list[Lens], size: Size) -> Undistortion:
    """Return how pictures of (height, width) taken with these lenses become those of one pinhole camera.

    Its pixels are square, their middle is as large as that of the first lens (smaller where the picture
    would have more pixels than before), and it sees the largest part that every lens has pixels of, up to 60
    degrees to each side.

    Raises:
        DataError: the coefficients cannot be those of the pictures.
    """
    sides, cut = _seen_by_all(lenses, size)
    left, top, right, bottom = sides
    matrix = lenses[0].intrinsics
    area = (right - left) * (bottom - top)
    focal = min(float(matrix[0, 0] * matrix[1, 1]) ** 0.5, (size[0] * size[1] / area) ** 0.5)
    height, width = int(focal * (bottom - top)) + 1, int(focal * (right - left)) + 1
    pinhole = np.array([[focal, 0, -left * focal], [0, focal, -top * focal], [0, 0, 1.0]])
    return Undistortion(lenses, (height, width), pinhole, cut)


def _seen_by_all(lenses: list[Lens], size: Size) -> tuple[np.ndarray, bool]:
    """Return (left, top, right, bottom) of the rays that every lens sees, and whether wider ones are cut."""
    widest = np.tan(np.radians(_WIDEST))
    sides = np.array([-widest, -widest, widest, widest])
    moved = np.zeros(4, dtype=bool)
    for lens in lenses:  # what a smaller part has lost, no lens needs to see
        while (outside := _outside(lens, sides, size)).any():
            moved |= outside
            sides = np.where(outside, sides * (1 - _STEP), sides)
            if np.abs(sides).min() < np.tan(np.radians(_LEAST_ANGLE)):
                raise DataError(_FOLDED)
    if all((moved & (_lost(lens, sides, size) > _MAX_LOST)).any() for lens in lenses):
        raise DataError(_FOLDED)
    return sides, not moved.all()


def _lost(lens: Lens, sides: np.ndarray, size: Size) -> np.ndarray:
    """Return how far the middle of each side is from the border of the picture, as a fraction of its side."""
    left, top, right, bottom = sides
    x, y = (left + right) / 2, (top + bottom) / 2
    pixels = lens.project(np.array([(left, y), (x, top), (right, y), (x, bottom)]))
    width, height = size[1] - 1.0, size[0] - 1.0
    (at_left, _), (_, at_top), (at_right, _), (_, at_bottom) = pixels
    return np.array(
        [at_left / width, at_top / height, 1 - at_right / width, 1 - at_bottom / height], dtype=np.float64
    )


def _outside(lens: Lens, sides: np.ndarray, size: Size) -> np.ndarray:
    """Return for each of the four sides whether rays at it have no pixel of the picture."""
    left, top, right, bottom = sides
    columns, rows = np.linspace(left, right, _GRID), np.linspace(top, bottom, _GRID)
    x, y = np.meshgrid(columns, rows)
    pixels = lens.project(np.column_stack([x.ravel(), y.ravel()])).reshape(_GRID, _GRID, 2)
    if not np.isfinite(pixels).all() or _folds(pixels):
        return np.ones(4, dtype=bool)
    beyond = (
        pixels[..., 0].min() < 0,
        pixels[..., 1].min() < 0,
        pixels[..., 0].max() > size[1] - 1,
        pixels[..., 1].max() > size[0] - 1,
    )
    return np.array(beyond)


def _folds(pixels: np.ndarray) -> bool:
    """Return whether a grid ``R C 2`` of pixels turns over anywhere: then two rays share a pixel."""
    right, down = np.diff(pixels, axis=1)[:-1], np.diff(pixels, axis=0)[:, :-1]
    return bool((right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0] <= 0).any())


def _fisheye(rays: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Return rays ``N 2`` bent by Kannala and Brandt's model (2006), as OpenCV orders its coefficients."""
    radius = np.hypot(rays[:, 0], rays[:, 1])
    angle = np.arctan(radius)
    bent = angle * (1 + sum(k * angle ** (2 * n) for n, k in enumerate(coefficients, start=1)))
    return np.asarray(rays * np.where(radius > 1e-9, bent / np.maximum(radius, 1e-9), 1.0)[:, None])
