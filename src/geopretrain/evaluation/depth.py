"""Predicted depth against measured depth, beside baselines that have not seen the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geopretrain.console import console
from geopretrain.data.batches import as_float, at_size
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.measured import MeasuredFrame, at_bottom, readable, store_frames
from geopretrain.metrics import (
    DepthBaselines,
    DepthProtocol,
    DepthScores,
    blend_flipped,
    get_protocol,
)
from geopretrain.metrics.depth import depth_at_size
from geopretrain.tasks.predictions import MEANINGS, DepthMeaning

Size = tuple[int, int]

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.structure import Structure
    from geopretrain.tasks.base import DepthTask

MOST_FRAMES = 100
"""Frames checked of each kind, evenly spread; more would not change the mean."""
LEAST_DISTANCE = 10
"""Frames a baseline keeps away from the one it is made for, where both are from one video."""
PROTOCOLS = {
    "kitti": {"metric": "kitti-eigen-garg-80-metric", "scale": "kitti-eigen-garg-80-median"},
    "dense": {"metric": "dense-80-metric", "scale": "dense-80-median"},
    "ibims": {"metric": "ibims", "scale": "ibims-median", "scale_shift": "ibims-scale-shift"},
}
"""Protocol for each kind of measured depth a store can hold, and what a network knows of depth."""


def check_depth(task: DepthTask, store: FrameStore) -> dict[str, Any]:
    """Return errors of ``task.predict`` and of naive baselines under a named protocol, {} without true depth.

    Returns:
        ``held_out`` and ``in_sample`` (frames of training samples), each as from `score_depth`. Baselines for
        held-out frames are made from in-sample frames, those for in-sample frames from in-sample frames at
        least ten away.
    """
    groups = store_frames(store)
    if not any(groups.values()) or store.depth_protocol is None:
        return {}
    protocol = default_protocol(task.depth_meaning, store.depth_protocol)
    spacing = max(1, -(-len(groups["in_sample"]) // MOST_FRAMES))
    chosen = {
        name: [group[i] for i in spread_positions(len(group), MOST_FRAMES)] for name, group in groups.items()
    }
    found = {}
    for name in ("held_out", "in_sample"):
        others = chosen["in_sample"] if name == "held_out" else ()
        gap = max(1, LEAST_DISTANCE // spacing)
        try:
            if chosen[name]:
                found[name] = score_depth(task, chosen[name], protocol, baselines_from=others, min_gap=gap)
        except DataError as error:  # the training is done, whatever became of the truth
            console.warn_left_out(f"Depth on {name.replace('_', '-')} frames is not scored. {error}")
    return found


def default_protocol(meaning: DepthMeaning, kind: str) -> str:
    """Return the protocol for a kind of truth (a key of ``PROTOCOLS``) that suits what a task knows."""
    return PROTOCOLS[kind].get(meaning, "aligned-scale-shift")


def fitting_protocol(meaning: DepthMeaning, protocol: str | DepthProtocol) -> DepthProtocol:
    """Return the protocol as it applies to a task whose depth has this meaning (see `DepthMeaning`).

    A protocol's fixed factor turns units of the network into metres and is left out where the task does that
    itself.

    Raises:
        ConfigError: the task knows less of depth than the protocol takes for granted.
    """
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    if meaning == "metric":
        return replace(rules, scale=1.0)
    needs_scale, needs_shift = rules.alignment == "none", rules.alignment in ("none", "median", "scale")
    if needs_scale or (meaning == "scale_shift" and needs_shift):
        fitting = _twin(rules, "scale-shift" if meaning == "scale_shift" else "median")
        raise ConfigError(
            f"This run knows depth only {MEANINGS[meaning]}, so '{rules.name}' would say nothing of it. Use "
            f"--protocol {fitting}."
        )
    return rules


def _twin(rules: DepthProtocol, alignment: str) -> str:
    """Return the protocol of the same name with another alignment, else the one for any data."""
    from geopretrain.metrics import PROTOCOLS as ALL

    endings = ("-stereo", "-metric", "-median", "-scale")
    stem = next((rules.name.removesuffix(e) for e in endings if rules.name.endswith(e)), rules.name)
    return f"{stem}-{alignment}" if f"{stem}-{alignment}" in ALL else f"aligned-{alignment}"


def score_depth(
    task: DepthTask,
    frames: Sequence[MeasuredFrame],
    protocol: str | DepthProtocol,
    *,
    size: Size | None = None,
    flip: bool = False,
    baselines_from: Sequence[MeasuredFrame] = (),
    min_gap: int = LEAST_DISTANCE,
    per_image: bool = False,
) -> dict[str, Any]:
    """Return the errors of a task and of the naive baselines on measured frames.

    Args:
        task: predicts depth.
        frames: in the order of time.
        protocol: name or protocol.
        size: (height, width) px the network works at; None = that of the picture.
        flip: average the prediction with that of the mirrored picture.
        baselines_from: frames the baselines are made from; none: from ``frames`` at least ``min_gap`` apart.
        min_gap: see `baseline_errors`.
        per_image: keep the errors of each image, with its ``name``.

    Returns:
        ``protocol``, ``images``, ``skipped``, the mean errors, ``meaning`` (of what is predicted), the
        fixed ``factor`` applied to depth, ``flip``, ``left_out`` (a sentence about each frame that is damaged
        and in none of the numbers), and the same errors of each of the ``baselines``.

    Raises:
        DataError: no frame can be read, or none has a pixel that counts.
    """
    rules = fitting_protocol(task.depth_meaning, protocol)
    left_out: list[str] = []
    frames, baselines_from = (at_bottom(one, rules.bottom) for one in (frames, baselines_from))
    scored = _Scored(rules, left_out, baselines_from)
    reads = ((frame.name, partial(_read, frame)) for frame in frames)
    for _, (frame, truth, image, structure) in readable(reads, left_out):
        scored.add(frame, truth, predict_disparity(task, image, size, flip=flip), structure)
    if not scored.frames:
        raise DataError(f"None of {len(frames)} frames can be read. {' '.join(left_out[:1])}")
    scores = scored.scores.result()
    rows = [{"name": scored.frames[row["position"]].name, **row} for row in scores.pop("per_image")]
    return {
        **scores,
        "predicted": "disparity",
        "factor": rules.scale,
        "meaning": task.depth_meaning,
        "flip": flip,
        "left_out": left_out,
        "baselines": {name: _short(result) for name, result in scored.baselines(min_gap).items()},
        **({"per_image": rows} if per_image else {}),
    }


def _read(frame: MeasuredFrame) -> tuple[MeasuredFrame, np.ndarray, np.ndarray, Structure | None]:
    return (frame, *frame.read(), frame.structure())


class _Scored:
    """Scores of a network and what the baselines need, gathered frame by frame: no truth is kept."""

    def __init__(
        self, rules: DepthProtocol, left_out: list[str], baselines_from: Sequence[MeasuredFrame]
    ) -> None:
        self.scores, self.frames = DepthScores(rules), list[MeasuredFrame]()
        self._made_from, self._of_others = DepthBaselines(rules), bool(baselines_from)
        for _, truth in readable(((frame.name, frame.depth) for frame in baselines_from), left_out):
            self._made_from.add(truth)

    def add(
        self, frame: MeasuredFrame, truth: np.ndarray, disparity: np.ndarray, structure: Structure | None
    ) -> None:
        """Score a prediction."""
        size = (truth.shape[0], truth.shape[1])
        self.scores.add(depth_at_size(disparity, size, self.scores.rules), truth, structure)
        self.frames.append(frame)
        if not self._of_others:
            self._made_from.add(truth)

    def baselines(self, min_gap: int) -> dict[str, dict[str, Any]]:
        """Return the errors of the baselines, for which the truths are read once more."""
        if self._made_from.frames < (1 if self._of_others else 2):
            return {}  # never of the frames that are scored, where others were given
        truths = (frame.depth() for frame in self.frames)
        return self._made_from.errors(truths, None if self._of_others else min_gap)


@torch.no_grad()
def predict_disparity(
    task: DepthTask, image: np.ndarray, size: Size | None = None, *, flip: bool = False
) -> np.ndarray:
    """Return the disparity of an ``H W 3`` uint8 picture, ``h w`` at the ``size`` the network works at.

    With ``flip`` it is averaged with that of the mirrored picture (see `blend_flipped`).
    """
    pixels = at_size(as_float(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(task.device)), size)
    disparity = task.predict(pixels).disparity[0, 0].float().cpu().numpy()
    if not flip:
        return disparity
    mirrored = task.predict(pixels.flip(-1)).disparity[0, 0].float().cpu().numpy()
    return blend_flipped(disparity, mirrored[:, ::-1]).astype(np.float32)


def _short(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "per_image"}


def sentences(results: dict[str, Any]) -> list[str]:
    """Return the numbers in words, one line for each kind of frames."""
    lines = []
    for name, result in results.items():
        rules = f"{result['protocol']}, {result['alignment']}"
        text = f"Depth on {name.replace('_', '-')} frames ({result['images']}, {rules}): "
        text += f"AbsRel {result['abs_rel']:.3f}, RMSE {result['rmse']:.2f} m, d<1.25 {result['a1']:.3f}"
        for baseline, errors in result["baselines"].items():
            text += f"; {baseline.replace('_', '-')} baseline AbsRel {errors['abs_rel']:.3f}"
        lines.append(text + ".")
    return lines
