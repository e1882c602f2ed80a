"""Depth errors of Eigen et al. (2014) under named protocols.

The order of the steps is part of a protocol, because another order gives other numbers: pixels are masked
first, then the prediction is scaled, then clipped, then the errors are taken per image, then averaged over
images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.data.structure import Structure
from geopretrain.errors import DataError, DivergedPrediction
from geopretrain.metrics.depth_protocols import DepthProtocol, get_protocol, valid_mask
from geopretrain.metrics.ibims import (
    STRUCTURE_NAMES,
    errors_by_distance,
    mean_of_known,
    structure_errors,
)

Aligned = Callable[[NDArray[np.float64]], NDArray[np.float64]]
ERROR_NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
"""The seven errors of the KITTI tables."""
FURTHER_NAMES = ("log10", "silog", "abs_diff")
"""Errors of other tables: NYU's, MIM-Depth-Estimation's and SC-Depth's."""


def depth_errors(gt: ArrayLike, pred: ArrayLike) -> dict[str, float]:
    """Seven errors of Eigen et al. (2014), section 4, and three more, of positive depths of one shape (m).

    ``a1, a2, a3`` are the fractions of pixels with ``max(gt/pred, pred/gt) < 1.25, 1.25^2, 1.25^3``;
    ``silog`` is ``sqrt(mean(d^2) - mean(d)^2 / 2)`` with ``d`` the difference of the logarithms, as
    MIM-Depth-Estimation has it (no factor 100); ``abs_diff`` is in m.

    Raises:
        DataError: the shapes differ, nothing is left to compare, or a depth is not positive and finite.
    """
    truth, predicted = np.asarray(gt, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    if truth.shape != predicted.shape or truth.size == 0:
        raise DataError(
            f"Depths to compare must have one shape and a pixel: got {truth.shape} and {predicted.shape}."
        )
    if not (
        np.isfinite(truth).all() and np.isfinite(predicted).all() and truth.min() > 0 and predicted.min() > 0
    ):
        raise DataError(
            "Depth errors need positive, finite depths; mask the truth and clip the prediction first."
        )
    ratio = np.maximum(truth / predicted, predicted / truth)
    difference, logs = truth - predicted, np.log(truth) - np.log(predicted)
    values = (
        np.mean(np.abs(difference) / truth),
        np.mean(difference**2 / truth),
        np.sqrt(np.mean(difference**2)),
        np.sqrt(np.mean(logs**2)),
        *(np.mean(ratio < 1.25**power) for power in (1, 2, 3)),
        np.mean(np.abs(logs)) / np.log(10),
        np.sqrt(max(0.0, np.mean(logs**2) - np.mean(logs) ** 2 / 2)),
        np.mean(np.abs(difference)),
    )
    return dict(zip((*ERROR_NAMES, *FURTHER_NAMES), map(float, values), strict=True))


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
    depth: NDArray[Any], gt: NDArray[Any], protocol: DepthProtocol, structure: Structure | None
) -> tuple[dict[str, float], Aligned] | None:
    """Return the errors of a picture and what aligns its depth; None without a pixel that counts."""
    mask = valid_mask(gt, protocol)
    if not mask.any():
        return None
    truth, predicted = gt[mask].astype(np.float64), depth[mask].astype(np.float64) * protocol.scale
    aligned, ratio = alignment(predicted, truth, protocol)
    predicted = aligned(predicted)
    if protocol.clip:
        predicted = np.clip(predicted, protocol.min_depth, protocol.max_depth)
    if protocol.drop:
        error = np.abs(predicted - truth) / truth
        kept = np.argsort(error, kind="stable")[: max(1, round((1 - protocol.drop) * error.size))]
        truth, predicted = truth[kept], predicted[kept]
    errors = {**depth_errors(truth, predicted), "ratio": ratio, "pixels": int(mask.sum())}
    if structure is not None or protocol.by_distance:
        truth, whole = _known(gt, depth, aligned, protocol)
        errors |= structure_errors(
            truth, whole, structure or Structure(), smallest_plane=protocol.smallest_plane
        )
    return errors, aligned


def _known(
    gt: NDArray[Any], depth: NDArray[Any], aligned: Aligned, protocol: DepthProtocol
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return truth and aligned prediction ``H W``, both 0 where one of them knows nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = aligned(depth.astype(np.float64) * protocol.scale)
    known = (gt > 0) & np.isfinite(gt) & (whole > 0) & np.isfinite(whole)
    return np.where(known, gt, 0).astype(np.float64), np.where(known, whole, 0)


def aligned_depth(
    depth: NDArray[Any], gt: NDArray[Any], protocol: DepthProtocol
) -> NDArray[np.float64] | None:
    """Return a predicted depth ``H W`` as the protocol aligns it, not clipped; None where no pixel counts."""
    mask = valid_mask(gt, protocol)
    if not mask.any():
        return None
    truth, predicted = gt[mask].astype(np.float64), depth[mask].astype(np.float64) * protocol.scale
    with np.errstate(divide="ignore", invalid="ignore"):
        return alignment(predicted, truth, protocol)[0](depth.astype(np.float64) * protocol.scale)


def alignment(
    predicted: NDArray[np.float64], truth: NDArray[np.float64], protocol: DepthProtocol
) -> tuple[Aligned, float]:
    """Return what brings depths to the scale (and shift) of the truth as the protocol says.

    Args:
        predicted: depths ``N`` of the pixels that count.
        truth: true depths ``N``.
        protocol: says how.

    Returns:
        A function of depths of any shape, and the factor that it applies (1 without alignment).

    Raises:
        DataError: the prediction is not positive and finite where it must be.
    """
    kind = protocol.alignment
    if kind == "none":
        return lambda depth: depth, 1.0
    if kind in ("median", "scale"):
        centre = _median(predicted, protocol)
        if not np.isfinite(centre) or centre <= 0:
            raise DivergedPrediction(
                "The median of a predicted depth map is not a positive number; the network has diverged."
            )
        scaled = float(
            _median(truth, protocol) / centre
            if kind == "median"
            else predicted @ truth / (predicted @ predicted)
        )
        return lambda depth: depth * scaled, scaled
    if kind == "scale_shift_depth":
        factor, shift = fit_line(predicted, truth)
        return lambda depth: factor * depth + shift, factor
    with np.errstate(divide="ignore"):
        disparity = 1 / predicted
    factor, shift = fit_line(disparity, 1 / truth)
    # a disparity that falls to zero or below stands for the farthest depth
    return lambda depth: 1 / np.maximum(factor * (1 / depth) + shift, 1 / protocol.max_depth), factor


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return factor and shift that bring ``x`` closest to ``y`` (least squares); factor 0 for constant x."""
    if not np.isfinite(x).all():
        raise DivergedPrediction(
            "A predicted depth map holds values that are not numbers; the network has diverged."
        )
    spread = x - x.mean()
    variance = float(spread @ spread)
    factor = float(spread @ y) / variance if variance > 1e-12 * float(x @ x) else 0.0
    return factor, float(y.mean() - factor * x.mean())


def _median(values: NDArray[np.float64], protocol: DepthProtocol) -> float:
    if protocol.lower_median:
        return float(np.partition(values, (values.size - 1) // 2)[(values.size - 1) // 2])
    return float(np.median(values))


class DepthScores:
    """Errors of predicted depths, image by image; nothing of an image is kept but its numbers."""

    def __init__(self, protocol: DepthProtocol | str) -> None:
        self.rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
        self.rows: list[dict[str, float]] = []
        self.skipped = 0
        self._by_distance: list[dict[str, list[float]]] = []

    def add(self, prediction: ArrayLike, truth: ArrayLike, structure: Structure | None = None) -> None:
        """Compare a predicted depth with the truth, both ``H W`` (DataError where their sizes differ)."""
        depth, gt = np.asarray(prediction), np.asarray(truth)
        position = len(self.rows) + self.skipped
        if depth.shape != gt.shape or gt.ndim != 2:
            raise DataError(
                f"Depth map {position}: the prediction has the shape {depth.shape}, the truth {gt.shape}; "
                "both must be (height, width)."
            )
        found = _errors_of_image(depth, gt, self.rules, structure)
        if found is None:
            self.skipped += 1
            return
        self.rows.append(found[0] | {"position": position})
        if self.rules.by_distance:
            self._by_distance.append(errors_by_distance(*_known(gt, depth, found[1], self.rules)))

    def result(self) -> dict[str, Any]:
        """Return what `evaluate_depth_maps` does (DataError where no image has a valid pixel)."""
        rules, rows = self.rules, self.rows
        if not rows:
            raise DataError(
                f"None of {self.skipped} depth maps has a pixel that counts under '{rules.name}' "
                f"({rules.min_depth:g} m to {rules.max_depth:g} m, crop {rules.crop}). Is the unit metres?"
            )
        ratios = np.array([row["ratio"] for row in rows])
        mean = {name: float(np.mean([row[name] for row in rows])) for name in (*ERROR_NAMES, *FURTHER_NAMES)}
        return {
            "protocol": rules.name,
            "alignment": rules.alignment_in_words,
            "images": len(rows),
            "skipped": self.skipped,
            **mean,
            **self._structure(),
            "ratio_spread": float(ratios.std() / abs(ratios.mean())) if ratios.any() else 0.0,
            "per_image": rows,
        }

    def _structure(self) -> dict[str, Any]:
        """Return the means of the errors of edges, planes and distances, over the pictures that have them."""
        means = {
            name: mean_of_known([row[name] for row in self.rows if name in row])
            for name in STRUCTURE_NAMES
            if any(name in row for row in self.rows)
        }
        found: dict[str, Any] = {name: _or_none(value) for name, value in means.items()}
        if self._by_distance:
            found["by_distance"] = {
                name: [_or_none(mean_of_known(column)) for column in zip(*rows, strict=True)]
                for name in self._by_distance[0]
                for rows in [[one[name] for one in self._by_distance]]
            }
        return found


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def evaluate_depth_maps(
    depths: Iterable[ArrayLike], gts: Iterable[ArrayLike], protocol: DepthProtocol | str
) -> dict[str, Any]:
    """Compare predicted depths with the truth, both ``H W`` and of the same size, image by image.

    Returns:
        The mean over images of each error of ``depth_errors``; ``protocol`` (name); ``images``; ``skipped``
        (images without a single valid pixel); ``ratio_spread`` (standard deviation / mean of the factors:
        small means that the scale is consistent over the images); ``per_image``, a list of dictionaries with
        ``ratio``, ``pixels`` and ``position`` (in what was given) added.

    Raises:
        DataError: the sizes differ, or no image has a valid pixel.
    """
    scores = DepthScores(protocol)
    for depth, gt in zip(depths, gts, strict=True):
        scores.add(depth, gt)
    return scores.result()


def evaluate_depth(
    pred_disparities: Iterable[ArrayLike], gts: Iterable[ArrayLike], protocol: DepthProtocol | str
) -> dict[str, Any]:
    """Compare predicted disparities (each ``h w``, any size) with true depths (each ``H W``, m).

    The disparity, not the depth, is resized to the size of the truth and then inverted, unless the protocol
    says otherwise. See ``evaluate_depth_maps`` for what is returned and raised.
    """
    scores = DepthScores(protocol)
    for disparity, truth in zip(pred_disparities, gts, strict=True):
        gt = np.asarray(truth)
        scores.add(depth_at_size(disparity, (gt.shape[0], gt.shape[1]), scores.rules), gt)
    return scores.result()


def depth_at_size(disparity: ArrayLike, size: tuple[int, int], protocol: DepthProtocol) -> NDArray[Any]:
    """Return the depth ``H W`` of a disparity ``h w``, resized as the protocol says."""
    with np.errstate(divide="ignore"):
        if protocol.resized == "depth":
            return resize_disparity(1.0 / np.asarray(disparity), size)
        return 1.0 / resize_disparity(disparity, size)
