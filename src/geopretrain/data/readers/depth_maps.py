"""Depth maps on disk, and depth made from disparities and points; always float32 ``H W`` metres, 0 = none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from geopretrain.data.picture_file import open_picture
from geopretrain.data.readers.images import on_its_side
from geopretrain.errors import DataError
from geopretrain.records import reason
from geopretrain.wording import in_px, sides

DEPTH_SUFFIXES = frozenset({".png", ".npy", ".pfm"})
MILLIMETRES, KITTI_UNITS = 1000.0, 256.0
"""Units of 16-bit PNGs per metre (of disparity maps per px): of depth cameras, and of KITTI."""
SINGLE, ACCUMULATED = "single LiDAR scans", "accumulated LiDAR scans"
"""What the sparse depth of KITTI is."""
SAME_VIEW = 0.02
"""By how much the proportions of a smaller depth map may differ from those of its picture (rounding)."""
PLAUSIBLE_MEDIAN = (0.05, 1000.0)  # m; a median outside says that the unit is another one


def read_depth(path: Path, units_per_metre: float = MILLIMETRES) -> np.ndarray:
    """Return a depth map of a 16-bit PNG (divided by ``units_per_metre``) or of a ``.npy`` or ``.pfm`` in m.

    Floating-point values are given as they are, NaN, infinite and negative ones too (see `clean_depth`).

    Raises:
        DataError: unreadable, truncated, or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        return read_depth_png(path, units_per_metre)
    if suffix == ".pfm":
        return read_pfm(path)
    if suffix == ".npy":
        return _read_npy(path)
    raise DataError(
        f"Depth map {path} has the ending '{suffix}'; 16-bit .png, .npy (float, m) or .pfm (m) was expected. "
        "Convert it first."
    )


def read_depth_png(path: Path | IO[bytes], units_per_metre: float) -> np.ndarray:
    """Return a 16-bit PNG as float32 ``H W`` metres; 0 and 65535 mean no measurement (DataError)."""
    values = read_grey16(path).astype(np.float32)
    values[values == 65535] = 0
    return values / np.float32(units_per_metre)


def read_grey16(path: Path | IO[bytes]) -> np.ndarray:
    """Return the values of a 16-bit grey PNG, ``H W`` integers (DataError when it is something else)."""
    from PIL import Image, ImageOps

    try:
        with open_picture(path) as picture:
            values = np.asarray(ImageOps.exif_transpose(picture))
    except FileNotFoundError as error:
        raise DataError(f"Depth map {path} does not exist.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"Depth map {path} cannot be read ({error}).") from error
    if values.ndim != 2 or values.dtype in (np.uint8, np.bool_):
        raise DataError(
            f"Depth map {path} is not a 16-bit grey PNG. Pictures of depth in colours or 8 bits hold no "
            "metres: 16-bit PNG, or .npy or .pfm in metres, are needed."
        )
    return values


def read_id_map(path: Path) -> np.ndarray:
    """Return a PNG of ids, grey or with a palette, of 1, 8 or 16 bits, as int64 ``H W`` (DataError)."""
    from PIL import ImageOps

    try:
        with open_picture(path) as picture:
            values = np.asarray(ImageOps.exif_transpose(picture))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    if values.ndim != 2:
        raise DataError(f"{path} must hold one id for each pixel (grey or with a palette), not colours.")
    return values.astype(np.int64)


def read_pfm(path: Path) -> np.ndarray:
    """Return a one-channel portable float map, float32 ``H W``, first row on top (rows are stored upwards).

    Raises:
        DataError: no such file, another format, more than one channel, or truncated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    header = re.match(rb"Pf\s+(\d+)\s+(\d+)\s+([-+.\deE]+)\s", data)
    if header is None:
        raise DataError(f"{path} is no PFM file of one channel (it starts with 'Pf', width, height, scale).")
    width, height, scale = int(header[1]), int(header[2]), float(header[3])
    pixels = data[header.end() :]
    if width < 1 or height < 1 or len(pixels) < 4 * width * height:
        raise DataError(
            f"{path} is truncated: {len(pixels)} bytes of pixels where "
            f"{in_px((height, width))} need {4 * width * height}. Copy it again."
        )
    kind = "<f4" if scale < 0 else ">f4"  # the sign of the scale is the byte order
    values = np.frombuffer(pixels, dtype=kind, count=width * height).reshape(height, width)
    return np.ascontiguousarray(values[::-1], dtype=np.float32)


def _read_npy(path: Path) -> np.ndarray:
    try:  # mapped first: a header may claim more than the file has
        values = np.squeeze(np.array(np.load(path, mmap_mode="r", allow_pickle=False)))
    except Exception as error:  # whatever NumPy makes of a file that is none of its own
        raise DataError(f"Depth map {path} cannot be read ({reason(error)}).") from error
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise DataError(
            f"Depth map {path} holds {values.dtype} of shape {values.shape}; floating-point metres "
            "`H W` were expected."
        )
    return values.astype(np.float32)


def depth_from_disparity(
    disparity: np.ndarray, focal: float, baseline: float, offset: float = 0.0
) -> np.ndarray:
    """Return focal * baseline / (disparity + offset), 0 where the disparity is unknown.

    Args:
        disparity: ``H W`` px; not finite, 0 and negative mean unknown.
        focal: px.
        baseline: m.
        offset: px, principal point of the right minus that of the left camera (Middlebury's doffs).
    """
    valid = np.isfinite(disparity) & (disparity > 0) & (disparity + offset > 0)
    depth = np.zeros(disparity.shape, dtype=np.float32)
    depth[valid] = focal * baseline / (disparity[valid].astype(np.float64) + offset)
    return depth


def is_smaller_view(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Return whether a depth map is smaller than a picture of ``size`` (height, width) and shows the same."""
    height, width = shape[:2]
    stretch = (size[1] / max(1, width)) / (size[0] / max(1, height))
    smaller = height < size[0] and width < size[1]
    return smaller and abs(stretch - 1) <= SAME_VIEW


def as_large_as(depth: np.ndarray, size: tuple[int, int], file: Path, picture: Path) -> np.ndarray:
    """Return a depth map at the (height, width) of its picture, each measurement repeated.

    Depth cameras of phones give 256x192 beside 640x480 and the like: the same view, fewer points.

    Raises:
        DataError: the map is larger than the picture, or shows another part (sides that do not fit).
    """
    from geopretrain.data.resize import resize_depth

    if depth.shape == size:
        return depth
    if not is_smaller_view(depth.shape, size):
        lies = on_its_side("the depth map") if is_smaller_view(depth.shape[::-1], size) else ""
        raise DataError(
            f"The depth map {file} is {in_px(depth.shape)}, but its picture {picture.name} is "
            f"{sides(size)}; it must have the same size, or be smaller with the same proportions.{lies}"
        )
    return resize_depth(depth, size)


def clean_depth(depth: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return depth with NaN, infinite and negative values set to 0, and a sentence when there were any."""
    bad = ~np.isfinite(depth) | (depth < 0)
    if not bad.any():
        return depth, None
    kinds = [
        f"{count} {name}"
        for name, count in (
            ("not a number", int(np.isnan(depth).sum())),
            ("infinite", int(np.isinf(depth).sum())),
            ("negative", int((depth < 0).sum() - np.isneginf(depth).sum())),
        )
        if count
    ]
    return np.where(bad, np.float32(0), depth), f"depth values are {', '.join(kinds)}: taken as not measured."


def unit_warning(depth: np.ndarray) -> str | None:
    """Return a sentence when depth (``H W`` m) is so far or near that its unit must be another one."""
    measured = depth[np.isfinite(depth) & (depth > 0)]
    if measured.size == 0:
        return None
    median = float(np.median(measured))
    if PLAUSIBLE_MEDIAN[0] <= median <= PLAUSIBLE_MEDIAN[1]:
        return None
    too_far = median > PLAUSIBLE_MEDIAN[1]
    guess = "millimetres read as metres" if too_far else "metres divided once too often"
    return (
        f"the median depth is {median:.3g} m, which looks like {guess}: check the unit (--depth-unit, "
        "units per metre)."
    )


def splat_nearest(pixels: np.ndarray, z: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return points as a depth map: rounded to whole pixels, the nearest kept where several fall on one.

    Args:
        pixels: ``N 2`` positions (x, y), px.
        z: ``N`` depth, m.
        size: (height, width) of the map.
    """
    height, width = size
    pixels = np.rint(pixels)
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height) & (z > 0)
    x, y = pixels[inside].astype(np.int64).T
    depth = np.full(height * width, np.inf, dtype=np.float32)
    np.minimum.at(depth, y * width + x, z[inside].astype(np.float32))
    depth[np.isinf(depth)] = 0
    return depth.reshape(height, width)


def move_depth(
    depth: np.ndarray,
    intrinsics: np.ndarray,
    T_to_other: np.ndarray,
    other_intrinsics: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Return a depth map as another camera would see it (registration of a depth camera to a colour camera).

    Args:
        depth: ``H W`` m of the first camera.
        intrinsics: ``3 3`` px of the first camera.
        other_intrinsics: ``3 3`` px of the other.
        T_to_other: ``4 4`` m, points of the first camera into the other.
        size: (height, width) of the other image.
    """
    y, x = np.nonzero(depth > 0)
    rays = np.stack([x, y, np.ones_like(x)]).astype(np.float64)
    points = np.linalg.inv(intrinsics) @ rays * depth[y, x]
    moved = T_to_other[:3, :3] @ points + T_to_other[:3, 3:]
    moved = moved[:, moved[2] > 1e-3]
    pixels = (other_intrinsics @ (moved / moved[2]))[:2].T
    return splat_nearest(pixels, moved[2], size)
