"""Predicted optical flow against known flow, beside the baseline that nothing moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geopretrain.data.batches import as_float, at_size
from geopretrain.errors import DataError
from geopretrain.evaluation.measured import readable
from geopretrain.metrics.flow import FlowScores, resize_flow_map

Size = tuple[int, int]

if TYPE_CHECKING:
    from geopretrain.data.readers.flow_pairs import FlowPairFile
    from geopretrain.tasks.base import FlowTask


def score_flow(task: FlowTask, files: Sequence[FlowPairFile], size: Size | None = None) -> dict[str, Any]:
    """Return the end-point error (px of the images) and fraction of outliers of ``task.predict``.

    Args:
        task: predicts flow.
        files: pairs with known flow.
        size: (height, width) px the network works at; None = that of the pictures.

    Returns:
        See `evaluate_flow`; ``per_image`` carries the ``name`` of each pair, ``left_out`` a sentence about
        each pair that is damaged or incomplete, ``skipped`` counts those without a pixel of known flow.

    Raises:
        DataError: no pair can be scored.
    """
    left_out: list[str] = []
    scores, names, skipped = FlowScores(), list[str](), 0
    for name, pair in readable(((file.name, file.read) for file in files), left_out):
        if not pair.valid.any():
            skipped += 1
            continue
        scores.add(predict_flow(task, pair.target, pair.source, size), pair.flow, pair.valid)
        names.append(name)
    if not names:
        why = f" {left_out[0]}" if left_out else " None of them has a pixel with known flow."
        raise DataError(f"None of {len(files)} pairs can be scored.{why}")
    result = scores.result()
    rows = [{"name": name, **row} for name, row in zip(names, result["per_image"], strict=True)]
    told = {"skipped": skipped, "left_out": left_out, "predicted": "flow", "meaning": "pixels"}
    return {**result, **told, "per_image": rows}


@torch.no_grad()
def predict_flow(
    task: FlowTask, target: np.ndarray, source: np.ndarray, size: Size | None = None
) -> np.ndarray:
    """Return the flow ``2 H W`` (px, right and down) between two ``H W 3`` uint8 pictures."""
    frames = torch.from_numpy(np.stack([target, source])).permute(0, 3, 1, 2).to(task.device)
    pixels = at_size(as_float(frames), size)
    flow = task.predict(pixels[None]).flow[0].float().cpu().numpy()
    return resize_flow_map(flow, target.shape[:2])
