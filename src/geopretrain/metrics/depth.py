"""Depth errors of Eigen et al. (2014) under named protocols, and the naive guesses to hold them against.

The order of the steps is part of a protocol, because another order gives other numbers: pixels are masked
first, then the prediction is scaled, then clipped, then the errors are taken per image, then averaged over
images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.errors import ConfigError, DataError, nearest_name

ERROR_NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")

# Crops as fractions of the image (top, bottom, left, right), cut down to whole pixels.
CROPS = {
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "nyu": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
}


@dataclass(frozen=True)
class DepthProtocol:
    """How a predicted depth map is made comparable with the truth.

    Attributes:
        name: the name results are stored under.
        min_depth: pixels with truth at or below it (m) are left out, predictions are clipped to it.
        max_depth: pixels with truth at or above it (m) are left out, predictions are clipped to it.
        crop: ``'garg'`` (Garg et al. 2016, KITTI), ``'nyu'`` (Eigen et al. 2014), or None for the whole
            image.
        alignment: ``'median'`` scales each prediction to the median of its truth, ``'none'`` leaves it.
        scale: fixed factor applied before the alignment, e.g. 5.4 for Monodepth2 trained on stereo pairs.
    """

    name: str
    min_depth: float = 1e-3
    max_depth: float = 80.0
    crop: Literal["garg", "nyu"] | None = None
    alignment: Literal["median", "none"] = "median"
    scale: float = 1.0


_ALL = (
    DepthProtocol("kitti-eigen-garg-80-median", crop="garg"),
    DepthProtocol("kitti-eigen-garg-80-stereo", crop="garg", alignment="none", scale=5.4),
    DepthProtocol("kitti-eigen-garg-80-metric", crop="garg", alignment="none"),
    DepthProtocol("kitti-benchmark-80-median"),
    DepthProtocol("nyu-10-median", max_depth=10.0, crop="nyu"),
    DepthProtocol("nyu-10-metric", max_depth=10.0, crop="nyu", alignment="none"),
    DepthProtocol("dense-10-median", max_depth=10.0),
    DepthProtocol("dense-80-median"),
    DepthProtocol("dense-80-metric", alignment="none"),
)
PROTOCOLS: dict[str, DepthProtocol] = {protocol.name: protocol for protocol in _ALL}
# What a frame store calls its kind of truth.
_SHORT = {"kitti": "kitti-eigen-garg-80-median", "dense": "dense-80-median", "nyu": "nyu-10-median"}


def get_protocol(name: str) -> DepthProtocol:
    """Return the protocol called ``name``; ``kitti``, ``dense``, ``nyu`` stand for the median-scaled ones.

    Raises:
        ConfigError: there is no such protocol.
    """
    full = _SHORT.get(name, name)
    if full not in PROTOCOLS:
        known = [*_SHORT, *PROTOCOLS]
        raise ConfigError(
            f"There is no depth protocol '{name}'.{nearest_name(name, known)} Known are: {', '.join(known)}."
        )
    return PROTOCOLS[full]


def depth_errors(gt: ArrayLike, pred: ArrayLike) -> dict[str, float]:
    """Seven errors of Eigen et al. (2014), section 4; both are positive depths of the same shape (m).

    ``a1, a2, a3`` are the shares of pixels with ``max(gt/pred, pred/gt) < 1.25, 1.25^2, 1.25^3``.

    Raises:
        DataError: the shapes differ, nothing is left to compare, or a depth is not positive and finite.
    """
    truth, guess = np.asarray(gt, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    if truth.shape != guess.shape or truth.size == 0:
        raise DataError(
            f"Depths to compare must have one shape and a pixel: got {truth.shape} and {guess.shape}."
        )
    if not (np.isfinite(truth).all() and np.isfinite(guess).all() and truth.min() > 0 and guess.min() > 0):
        raise DataError(
            "Depth errors need positive, finite depths; mask the truth and clip the prediction first."
        )
    ratio = np.maximum(truth / guess, guess / truth)
    difference = truth - guess
    values = (
        np.mean(np.abs(difference) / truth),
        np.mean(difference**2 / truth),
        np.sqrt(np.mean(difference**2)),
        np.sqrt(np.mean((np.log(truth) - np.log(guess)) ** 2)),
        *(np.mean(ratio < 1.25**power) for power in (1, 2, 3)),
    )
    return dict(zip(ERROR_NAMES, map(float, values), strict=True))


def valid_mask(gt: NDArray[Any], protocol: DepthProtocol) -> NDArray[np.bool_]:
    """Pixels of ``gt`` (``H W``, m, 0 = no measurement) that count: measured, in range, inside the crop."""
    mask = (gt > protocol.min_depth) & (gt < protocol.max_depth)
    if protocol.crop is not None:
        height, width = gt.shape
        top, bottom, left, right = CROPS[protocol.crop]
        inside = np.zeros_like(mask)
        inside[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = True
        mask &= inside
    return mask


def resize_disparity(disparity: ArrayLike, size: tuple[int, int]) -> NDArray[Any]:
    """Resize ``h w`` to ``size`` (H, W) as all published Monodepth2-style numbers do: OpenCV, bilinear."""
    import cv2

    array = np.asarray(disparity)
    if array.ndim != 2:
        raise DataError(f"A disparity map must have the shape (height, width), not {array.shape}.")
    return cv2.resize(array, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def blend_flipped(left: ArrayLike, right_flipped_back: ArrayLike) -> NDArray[np.float64]:
    """Average the disparities (``... h w``) of an image and of its mirror image (already flipped back).

    Each border shows only the one that does not suffer there, with ramps of 5 % of the width
    (Godard et al., "Unsupervised Monocular Depth Estimation with Left-Right Consistency", 2017).
    """
    first, second = np.asarray(left, dtype=np.float64), np.asarray(right_flipped_back, dtype=np.float64)
    position = np.linspace(0.0, 1.0, first.shape[-1])
    weight_left_border = 1.0 - np.clip(20.0 * (position - 0.05), 0.0, 1.0)
    weight_right_border = weight_left_border[::-1]
    middle = 1.0 - weight_left_border - weight_right_border
    return weight_right_border * first + weight_left_border * second + middle * 0.5 * (first + second)


def _errors_of_image(
    depth: NDArray[Any], gt: NDArray[Any], protocol: DepthProtocol
) -> dict[str, float] | None:
    mask = valid_mask(gt, protocol)
    if not mask.any():
        return None
    truth, guess = gt[mask], depth[mask] * protocol.scale
    ratio = 1.0
    if protocol.alignment == "median":
        centre = float(np.median(guess))
        if not np.isfinite(centre) or centre <= 0:
            raise DataError(
                "The median of a predicted depth map is not a positive number; the network has diverged."
            )
        ratio = float(np.median(truth)) / centre
        guess = guess * ratio
    return {**depth_errors(truth, np.clip(guess, protocol.min_depth, protocol.max_depth)), "ratio": ratio}


def evaluate_depth_maps(
    depths: Iterable[ArrayLike], gts: Iterable[ArrayLike], protocol: DepthProtocol | str
) -> dict[str, Any]:
    """Compare predicted depths with the truth, both ``H W`` and of the same size, image by image.

    Returns:
        The mean over images of each of ``ERROR_NAMES``; ``protocol`` (name); ``images``; ``skipped`` (images
        without a single valid pixel); ``ratio_spread`` (standard deviation / mean of the scale factors:
        small means that the scale is consistent over the images); ``per_image``, a list of dictionaries with
        ``ratio`` added.

    Raises:
        DataError: the sizes differ, or no image has a valid pixel.
    """
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    rows: list[dict[str, float]] = []
    skipped = 0
    for position, (prediction, truth) in enumerate(zip(depths, gts, strict=True)):
        depth, gt = np.asarray(prediction), np.asarray(truth)
        if depth.shape != gt.shape or gt.ndim != 2:
            raise DataError(
                f"Depth map {position}: the prediction has the shape {depth.shape}, the truth {gt.shape}; "
                "both must be (height, width)."
            )
        row = _errors_of_image(depth, gt, rules)
        rows += [] if row is None else [row]
        skipped += row is None
    if not rows:
        raise DataError(
            f"None of {skipped} depth maps has a pixel that counts under '{rules.name}' "
            f"({rules.min_depth:g} m to {rules.max_depth:g} m, crop {rules.crop}). Is the unit metres?"
        )
    ratios = np.array([row["ratio"] for row in rows])
    mean = {name: float(np.mean([row[name] for row in rows])) for name in ERROR_NAMES}
    return {
        "protocol": rules.name,
        "images": len(rows),
        "skipped": skipped,
        **mean,
        "ratio_spread": float(ratios.std() / ratios.mean()),
        "per_image": rows,
    }


def evaluate_depth(
    pred_disparities: Iterable[ArrayLike], gts: Iterable[ArrayLike], protocol: DepthProtocol | str
) -> dict[str, Any]:
    """Compare predicted disparities (each ``h w``, any size) with true depths (each ``H W``, m).

    The disparity, not the depth, is resized to the size of the truth and then inverted. See
    ``evaluate_depth_maps`` for what is returned and raised.
    """
    truths = [np.asarray(gt) for gt in gts]

    def depths() -> Iterable[NDArray[Any]]:
        for disparity, gt in zip(pred_disparities, truths, strict=True):
            with np.errstate(divide="ignore"):
                yield 1.0 / resize_disparity(disparity, (gt.shape[0], gt.shape[1]))

    return evaluate_depth_maps(depths(), truths, protocol)


def _measured(gt: NDArray[Any], protocol: DepthProtocol) -> NDArray[np.bool_]:
    return (gt > protocol.min_depth) & (gt < protocol.max_depth)


def _median(gt: NDArray[Any], protocol: DepthProtocol) -> float:
    mask = _measured(gt, protocol)
    return float(np.median(gt[mask])) if mask.any() else float("nan")


def guess_constant(
    other_gts: Sequence[ArrayLike], size: tuple[int, int], protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """The same depth everywhere: the median over the OTHER frames of their median depth. Returns ``H W``."""
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    arrays = [np.asarray(gt) for gt in other_gts]
    medians = np.array([_median(gt, rules) for gt in arrays])
    if not np.isfinite(medians).any():
        raise DataError("A naive guess needs at least one other frame with measured depth.")
    return np.full(size, float(np.nanmedian(medians)))


def row_profile(gt: ArrayLike, protocol: DepthProtocol, height: int) -> NDArray[np.float64]:
    """Median depth of each image row, resampled to ``height`` rows; NaN where a row holds no measurement."""
    array = np.asarray(gt)
    rows = ((np.arange(height) + 0.5) * array.shape[0] / height).astype(int)
    mask = _measured(array, protocol)
    medians = np.array([np.median(r[m]) if m.any() else np.nan for r, m in zip(array, mask, strict=True)])
    return medians[rows]


def _row_wise_from_profiles(profiles: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(profiles).any(axis=0))
    if known.size == 0:
        raise DataError("A naive guess needs at least one other frame with measured depth.")
    medians = np.nanmedian(profiles[:, known], axis=0)
    rows = np.interp(np.arange(profiles.shape[1]), known, medians)
    return np.repeat(rows[:, None], size[1], axis=1)


def guess_row_wise(
    other_gts: Sequence[ArrayLike], size: tuple[int, int], protocol: DepthProtocol | str = "dense"
) -> NDArray[np.float64]:
    """One depth per row: median over the OTHER frames of the median depth of that row. Returns ``H W``.

    It knows that the floor is near and the horizon far, and nothing about the picture. Rows without any
    measurement take the value of the nearest rows that have one.
    """
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    if not len(other_gts):
        raise DataError("A naive guess needs at least one other frame with measured depth.")
    return _row_wise_from_profiles(np.stack([row_profile(gt, rules, size[0]) for gt in other_gts]), size)


def naive_guesses(
    gts: Sequence[ArrayLike], protocol: DepthProtocol | str, *, min_gap: int = 10
) -> dict[str, dict[str, Any]]:
    """Errors of the naive guesses ``constant`` and ``row_wise`` under the protocol the network is held to.

    The guess for a frame is made from the frames at least ``min_gap`` places away in ``gts`` (neighbouring
    video frames show the same scene, so they would give the answer away); where there are none, from all
    other frames. Returns an empty dictionary when there is only one frame, because then there are no other
    frames to guess from.
    """
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    truths = [np.asarray(gt) for gt in gts]
    if len(truths) < 2:
        return {}
    heights = {gt.shape[0] for gt in truths}
    profiles = {height: np.stack([row_profile(gt, rules, height) for gt in truths]) for height in heights}
    medians = np.array([_median(gt, rules) for gt in truths])
    constant, row_wise = [], []
    for position, gt in enumerate(truths):
        distance = np.abs(np.arange(len(truths)) - position)
        others = distance >= min_gap if (distance >= min_gap).any() else distance > 0
        if not np.isfinite(medians[others]).any():
            others = distance > 0
        size = (gt.shape[0], gt.shape[1])
        constant.append(np.full(size, np.nanmedian(medians[others])))
        row_wise.append(_row_wise_from_profiles(profiles[size[0]][others], size))
    return {
        "constant": evaluate_depth_maps(constant, truths, rules),
        "row_wise": evaluate_depth_maps(row_wise, truths, rules),
    }
