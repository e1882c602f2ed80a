"""Predicted depth against measured depth, beside guesses that have not seen the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geopretrain.engine.common import as_float, spread_positions
from geopretrain.metrics.depth import (
    evaluate_depth,
    evaluate_depth_maps,
    get_protocol,
    guess_constant,
    guess_row_wise,
    naive_guesses,
)

if TYPE_CHECKING:
    from geopretrain.data.store import FrameStore
    from geopretrain.task import Task

MOST_FRAMES = 100
"""Frames checked of each kind, evenly spread; more would not change the mean."""
LEAST_DISTANCE = 10
"""Frames a guess keeps away from the one it is made for, where both are from one video."""
PROTOCOLS = {"kitti": "kitti-eigen-garg-80-median", "dense": "dense-80-median"}
"""Protocol for each kind of measured depth a store can hold."""

Depths = list[np.ndarray]


def check_depth(task: Task, store: FrameStore) -> dict[str, Any]:
    """Return errors of ``task.predict`` and of naive guesses under a named protocol, {} without true depth.

    Returns:
        ``held_out`` and ``in_sample`` (frames of training samples), each with ``protocol``, ``images``, the
        errors of the network, and the same under ``guesses`` for ``constant`` and ``row_wise``. Guesses for
        held-out frames are made from in-sample frames, those for in-sample frames from in-sample frames at
        least ten away.
    """
    frames = store.depth_frames()
    if not frames or store.depth_protocol is None:
        return {}
    protocol = PROTOCOLS[store.depth_protocol]
    groups = {
        name: [f[:2] for f in frames if f[2] is held]
        for name, held in (("in_sample", False), ("held_out", True))
    }
    spacing = max(1, -(-len(groups["in_sample"]) // MOST_FRAMES))
    chosen = {
        name: [group[i] for i in spread_positions(len(group), MOST_FRAMES)] for name, group in groups.items()
    }
    truths = {name: [store.depth(*frame) for frame in group] for name, group in chosen.items()}
    results = {}
    for name in ("held_out", "in_sample"):
        if not chosen[name]:
            continue
        disparities = [predict_disparity(task, store.frame_image(*frame)) for frame in chosen[name]]
        others = truths["in_sample"] if name == "held_out" else []
        guesses = _guesses(truths[name], others, protocol, max(1, LEAST_DISTANCE // spacing))
        results[name] = {**_short(evaluate_depth(disparities, truths[name], protocol)), "guesses": guesses}
    return results


@torch.no_grad()
def predict_disparity(task: Task, image: np.ndarray) -> np.ndarray:
    """Return the disparity ``H W`` of an ``H W 3`` uint8 picture."""
    device = next(task.parameters()).device
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
    return task.predict(as_float(pixels))[0, 0].float().cpu().numpy()  # type: ignore[operator]


def _guesses(truths: Depths, others: Depths, protocol: str, gap: int) -> dict[str, Any]:
    if others:
        sizes = [(t.shape[0], t.shape[1]) for t in truths]
        made = {
            size: (guess_constant(others, size, protocol), guess_row_wise(others, size, protocol))
            for size in set(sizes)
        }
        maps = {name: [made[size][i] for size in sizes] for i, name in enumerate(("constant", "row_wise"))}
        return {
            name: _short(evaluate_depth_maps(guess, truths, get_protocol(protocol)))
            for name, guess in maps.items()
        }
    return {name: _short(result) for name, result in naive_guesses(truths, protocol, min_gap=gap).items()}


def _short(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "per_image"}


def sentences(results: dict[str, Any]) -> list[str]:
    """Return the numbers in words, one line for each kind of frames."""
    lines = []
    for name, result in results.items():
        text = f"Depth on {name.replace('_', '-')} frames ({result['images']}, {result['protocol']}): "
        text += f"AbsRel {result['abs_rel']:.3f}, RMSE {result['rmse']:.2f} m, d<1.25 {result['a1']:.3f}"
        for guess, errors in result["guesses"].items():
            text += f"; {guess.replace('_', '-')} guess AbsRel {errors['abs_rel']:.3f}"
        lines.append(text + ".")
    return lines
