"""Working size and the one resize every frame goes through."""

from __future__ import annotations

import numpy as np

from geopretrain.errors import ConfigError, DataError

MULTIPLE = 32  # the networks halve the image five times
SMALLEST = 64  # px; less is too little to learn from
AREA = 30_000  # px of the automatic size
_ASPECT_TOLERANCE = 0.1


def working_size(original: tuple[int, int]) -> tuple[int, int]:
    """Return the automatic (height, width): near the aspect, about 30 000 px or less, multiples of 32."""
    height, width = original
    area = min(AREA, height * width)
    sides = range(SMALLEST, 2048, MULTIPLE)

    def cost(size: tuple[int, int]) -> float:
        aspect = abs(np.log(size[1] / size[0] * height / width))
        return float(aspect + 0.5 * abs(np.log(size[0] * size[1] / area)))

    return min(((h, w) for h in sides for w in sides), key=cost)


def check_working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) given by a user (ConfigError unless multiples of 32 from 64 on)."""
    if len(size) != 2 or any(side < SMALLEST or side % MULTIPLE for side in size):
        raise ConfigError(
            f"Size {size[0]}x{size[-1]} (height x width) cannot be used: both must be multiples of "
            f"{MULTIPLE} and at least "
            f"{SMALLEST}."
        )
    return int(size[0]), int(size[1])


def check_frame_size(size: tuple[int, int], name: str) -> None:
    """Raise the DataError for frames under 64 px."""
    if min(size) < SMALLEST:
        raise DataError(
            f"{name}: frames are {size[1]}x{size[0]}; at least {SMALLEST} pixels on each side are needed to "
            "learn geometry."
        )


def central_crop(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width): everything, or the centre where the aspect differs by over 10 %."""
    height, width = original
    wanted = size[1] / size[0]
    if abs(wanted * height / width - 1) <= _ASPECT_TOLERANCE + 1e-6:
        return 0, 0, height, width
    cropped = (height, round(height * wanted)) if wanted < width / height else (round(width / wanted), width)
    return (height - cropped[0]) // 2, (width - cropped[1]) // 2, *cropped


def resize(image: np.ndarray, crop: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """Crop and resize ``H W 3`` uint8, by area averages when it shrinks (no aliasing), else linear."""
    import cv2

    image = apply_crop(image, crop)
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a depth map ``H W`` (0 = no measurement) at (height, width) without averaging.

    Each pixel takes the measurement nearest to its centre among those that fall into it, 0 where none does:
    sparse LiDAR is neither mixed with "no measurement" nor with the depth behind an edge.
    """
    import cv2

    full = (max(depth.shape[0], size[0]), max(depth.shape[1], size[1]))
    if full != depth.shape:  # an axis that grows repeats its measurements
        depth = cv2.resize(depth, full[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = np.nonzero(depth > 0)
    y, x = ((at + 0.5) * to / of for at, to, of in zip((rows, columns), size, full, strict=True))
    target = y.astype(np.int64) * size[1] + x.astype(np.int64)
    from_centre = np.hypot(y % 1 - 0.5, x % 1 - 0.5)
    order = np.argsort(-from_centre, kind="stable")  # where several are written, the last one stays
    small = np.zeros(size[0] * size[1], dtype=depth.dtype)
    small[target[order]] = depth[rows[order], columns[order]]
    return small.reshape(size)


def apply_crop(image: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """Return the part (top, left, height, width) of an image or depth map."""
    top, left, height, width = crop
    return image[top : top + height, left : left + width]
