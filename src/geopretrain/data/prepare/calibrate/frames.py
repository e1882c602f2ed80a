"""Which frames a camera is estimated from: apart enough to tell near from far, where it turns most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from geopretrain.data.prepare.motion import flow, grey_difference, is_cut, measure
from geopretrain.data.readers import SourceClip

LOOKED_AT = 6000
"""Frames of a clip that are looked at."""
LENGTH = 40
"""Frames of a window."""
MIN_LENGTH, _MIN_HALF = 6, 8
WINDOWS = 3
_WIDTH = 192  # px, at which motion is measured
_STEPS = (0.02, 0.01, 0.005)
"""Mean flow from one frame of a window to the next, of the width: the largest that leaves two windows."""
_ALIKE = 0.05  # mean difference of grey values, 0..1, below which there is no cut
_MOST_TURN = 0.08  # of the width; more between two frames says no more


@dataclass(frozen=True)
class _Candidate:
    """A frame that may be used.

    Attributes:
        index: its number.
        moved: mean length of the flow since the last one, of the width.
        turn: length of the mean flow, which is how far the picture moved as a whole.
        new: whether there is a cut before it.
    """

    index: int
    moved: float
    turn: float
    new: bool


def choose_windows(clip: SourceClip, advance: Callable[[int], None] = lambda count: None) -> list[list[int]]:
    """Return the numbers of the frames of up to three windows, those first in which the camera turns most.

    A focal length shows where the camera turns and moves; one that moves straight ahead shows none.

    Args:
        clip: whose first 6000 frames are looked at.
        advance: called with the number of frames looked at since the last call.
    """
    candidates = _candidates(clip, advance)
    for step in _STEPS:
        runs = _runs(candidates, step)
        if sum(len(run) // LENGTH for run in runs) >= 2:
            break
    windows = [window for run in runs for window in _windows(run)]
    best = sorted(windows, key=_turning, reverse=True)
    chosen: list[list[_Candidate]] = []
    for window in best:
        if len(chosen) < WINDOWS and all(_apart(window, other) for other in chosen):
            chosen.append(window)
    return [[candidate.index for candidate in window] for window in chosen]


def _candidates(clip: SourceClip, advance: Callable[[int], None]) -> list[_Candidate]:
    """Return the frames that are far enough from the one before."""
    found: list[_Candidate] = []
    changes: list[tuple[float, float]] = []
    numbers: list[int] = []
    last: np.ndarray | None = None
    before: np.ndarray | None = None
    for frame in clip.frames():
        if frame.index >= LOOKED_AT:
            break
        advance(1)
        if frame.image is None:
            continue
        image = _small(frame.image)
        numbers.append(frame.index)
        changes.append(_change(before, image))
        before = image
        moved = flow(last, image) / _WIDTH if last is not None else np.ones((1, 1, 2))
        length = float(np.hypot(moved[..., 0], moved[..., 1]).mean())
        anew = last is None or clip.starts_anew(frame.index)
        if anew or length >= _STEPS[-1]:
            turn = float(np.hypot(*moved.mean(axis=(0, 1))))
            found.append(_Candidate(frame.index, length, turn, anew))
            last = image
    errors, histograms = np.array(changes, dtype=np.float64).reshape(-1, 2).T
    return _with_cuts(found, np.array(numbers)[is_cut(errors, histograms)].tolist())


def _change(before: np.ndarray | None, image: np.ndarray) -> tuple[float, float]:
    """Return the error of the flow and the distance of the colours, NaN for frames that hardly differ."""
    if before is None or grey_difference(before, image) < _ALIKE:
        return float("nan"), float("nan")
    motion = measure(before, image)
    return motion.error, motion.histogram


def _with_cuts(candidates: list[_Candidate], cuts: list[int]) -> list[_Candidate]:
    """Return the candidates, the first ones from each cut on marked."""
    firsts = {next((one.index for one in candidates if one.index >= cut), -1) for cut in cuts}
    return [replace(one, new=one.new or one.index in firsts) for one in candidates]


def _small(image: np.ndarray) -> np.ndarray:
    import cv2

    height = max(32, round(image.shape[0] * _WIDTH / image.shape[1]))
    return np.asarray(cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA))


def _runs(candidates: list[_Candidate], step: float) -> list[list[_Candidate]]:
    """Return the candidates between cuts, so far apart that the flow adds up to a step."""
    runs: list[list[_Candidate]] = []
    moved = turn = 0.0
    for one in candidates:
        moved, turn = moved + one.moved, turn + one.turn
        if one.new:
            runs.append([])
        if one.new or moved >= step:
            runs[-1].append(replace(one, moved=moved, turn=turn))
            moved = turn = 0.0
    return runs


def _windows(run: list[_Candidate]) -> list[list[_Candidate]]:
    """Return the windows of a run of frames without a cut; of a short one all of it and its halves."""
    if len(run) < MIN_LENGTH:
        return []
    if len(run) <= LENGTH + LENGTH // 4:
        half = len(run) // 2
        return [run, run[:half], run[half:]] if half >= _MIN_HALF else [run]
    starts = sorted({*range(0, len(run) - LENGTH, LENGTH // 2), len(run) - LENGTH})
    return [run[start : start + LENGTH] for start in starts]


def _turning(window: list[_Candidate]) -> float:
    return sum(min(candidate.turn, _MOST_TURN) for candidate in window[1:])


def _apart(first: list[_Candidate], second: list[_Candidate]) -> bool:
    """Return whether two windows share few frames, or one is half of the other."""
    shared = len({c.index for c in first} & {c.index for c in second})
    halves = 2 * min(len(first), len(second)) <= max(len(first), len(second)) + 1
    return halves or shared <= LENGTH // 4
