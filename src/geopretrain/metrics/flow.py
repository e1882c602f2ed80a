"""Errors of optical flow under one named protocol, beside the baseline that nothing moves."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.errors import DataError, DivergedPrediction

FLOW_PROTOCOL = "flow-epe"
"""Means per image over the pixels with a measurement, then the mean over images; predictions are resized."""
FLOW_ERROR_NAMES = ("epe", "fl_all")
OUTLIER_PX, OUTLIER_FRACTION = 3.0, 0.05
"""An outlier is off by more than 3 px and by more than 5 % of the true flow (Menze and Geiger 2015)."""


def flow_errors(prediction: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None) -> dict[str, float]:
    """Return the end-point error ``epe`` (px) and the fraction of outliers ``fl_all`` of one flow map.

    Args:
        prediction: ``2 H W`` px (right, down).
        truth: ``2 H W`` px.
        valid: ``H W``, where the truth counts; None = where it is finite.

    Raises:
        DataError: the shapes differ, nothing is left to compare, or the prediction is not finite.
    """
    flow, true = (np.asarray(values, dtype=np.float64) for values in (prediction, truth))
    mask = np.isfinite(true).all(0) if valid is None else np.asarray(valid).astype(bool)
    if flow.shape != true.shape or flow.ndim != 3 or len(flow) != 2 or mask.shape != true.shape[1:]:
        raise DataError(
            f"Flows to compare must have one shape (2, height, width), the mask (height, width): got "
            f"{flow.shape}, {true.shape} and {mask.shape}."
        )
    flow, true = flow[:, mask], true[:, mask]
    if not flow.size:
        raise DataError("The true flow has no pixel with a measurement, so there is nothing to compare.")
    if not np.isfinite(flow).all():
        raise DivergedPrediction(
            "The predicted flow has values that are no numbers; the network has diverged."
        )
    error, length = np.hypot(*(flow - true)), np.hypot(*true)
    outliers = (error > OUTLIER_PX) & (error > OUTLIER_FRACTION * length)
    return {"epe": float(error.mean()), "fl_all": float(outliers.mean())}


def evaluate_flow(
    predictions: Iterable[ArrayLike],
    truths: Iterable[ArrayLike],
    valids: Iterable[ArrayLike | None] | None = None,
) -> dict[str, Any]:
    """Compare predicted flows ``2 h w`` (px of their own size, any size) with true ones ``2 H W``.

    Returns:
        The mean over images of each of ``FLOW_ERROR_NAMES``; ``protocol``; ``images``; ``baselines`` with the
        same errors of ``zero`` flow; ``per_image``, a list of dictionaries.

    Raises:
        DataError: see ``flow_errors``; or there is no image.
    """
    scores = FlowScores()
    masks = repeat(None) if valids is None else valids
    pairs = zip(predictions, truths, strict=True)
    for (flow, truth), mask in zip(pairs, masks, strict=valids is not None):
        scores.add(flow, truth, mask)
    return scores.result()


class FlowScores:
    """Errors of predicted flows, pair by pair; nothing of a pair is kept but its numbers."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._zeros: list[dict[str, float]] = []

    def add(self, flow: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None) -> None:
        """Compare a flow ``2 h w`` with the true one ``2 H W`` (raises as `flow_errors`)."""
        true = np.asarray(truth)
        self.rows.append(flow_errors(resize_flow_map(flow, true.shape[1:]), true, valid))
        self._zeros.append(flow_errors(np.zeros(true.shape), true, valid))

    def result(self) -> dict[str, Any]:
        """Return what `evaluate_flow` does (DataError where there is no flow)."""
        if not self.rows:
            raise DataError("There is no flow map to evaluate.")
        return {
            "protocol": FLOW_PROTOCOL,
            "images": len(self.rows),
            **_mean(self.rows),
            "baselines": {"zero": _mean(self._zeros)},
            "per_image": self.rows,
        }


def resize_flow_map(flow: ArrayLike, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize a flow ``2 h w`` (px) to ``size`` (H, W), measured in the new pixels."""
    import torch

    from geopretrain.geometry import resize_flow

    tensor = torch.from_numpy(np.array(flow, dtype=np.float32))
    if tensor.ndim != 3 or len(tensor) != 2:
        raise DataError(f"A flow map must have the shape (2, height, width), not {tuple(tensor.shape)}.")
    resized: NDArray[np.float32] = resize_flow(tensor[None], size)[0].numpy()
    return resized


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in FLOW_ERROR_NAMES}
