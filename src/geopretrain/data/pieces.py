"""From decoded frames to what can be learned from: pieces without cuts, strides, targets, split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geopretrain.data.decode import Decoded
from geopretrain.data.motion import choose_stride, is_cut, mean_flow, target_frames

_LEAST_TO_HOLD_OUT = 5  # targets a piece needs before some of them are held out
_COARSE = 6.0  # px
_STANDING_CAMERA = 0.1  # px; a median flow below it, with some mean flow, means that only things move


@dataclass
class Piece:
    """A part of a source clip between two cuts, with the samples in it.

    Attributes:
        frames: numbers of the readable frames.
        stride: distance between the frames of a sample.
        tried: mean flow per stride tried, px.
        targets, target_motion: frames to learn from, and their mean flow to the previous and the next frame,
            px.
        still: number of frames left out because the picture hardly moves.
        standing_camera: whether most of the picture stands still although things move in it.
    """

    frames: list[int]
    stride: int = 1
    tried: dict[int, float] | None = None
    targets: list[int] | None = None
    target_motion: list[tuple[float, float]] | None = None
    still: int = 0
    standing_camera: bool = False


def cut_positions(decoded: Decoded) -> list[int]:
    """Return the frames with which a new scene begins."""
    cuts = is_cut(decoded.steps[:, 2], decoded.steps[:, 3])
    return [frame for frame, cut in zip(decoded.frames, cuts, strict=True) if cut]


def find_pieces(decoded: Decoded) -> list[list[int]]:
    """Split the readable frames at scene cuts and where frames are known to be missing."""
    cuts = set(cut_positions(decoded))
    pieces: list[list[int]] = [[]]
    good = set(decoded.frames)
    for entry in decoded.entries:
        if (entry.gap or entry.index in cuts) and pieces[-1]:
            pieces.append([])
        if entry.index in good:
            pieces[-1].append(entry.index)
    return [piece for piece in pieces if piece]


def analyse_piece(
    decoded: Decoded,
    frames: list[int],
    target_motion: float,
    min_motion: float,
    advance: Callable[[int], None] = lambda count: None,
) -> Piece:
    """Choose the stride of a piece and the targets worth learning from.

    Args:
        decoded: pixels and journal of the source clip.
        frames: numbers of the piece's frames.
        target_motion: wanted mean flow between the frames of a sample, px.
        min_motion: least mean flow of a target to both of its neighbours, px.
        advance: called with the number of targets measured since the last call.
    """
    rows = [decoded.row[frame] for frame in frames]
    following = {f: float(decoded.steps[row, 0]) for f, row in zip(frames[:-1], rows[1:], strict=True)}

    def flow(first: int, second: int) -> float:
        known = following.get(first, np.nan) if second == first + 1 else np.nan
        return known if np.isfinite(known) else mean_flow(decoded.image(first), decoded.image(second))

    steps = np.array([following.get(frame, np.nan) for frame in frames])
    stride, tried = choose_stride(flow, frames, steps, target_motion)
    piece = Piece(frames, stride, tried, [], [])
    assert piece.targets is not None
    assert piece.target_motion is not None
    to_next: dict[int, float] = {}
    for target in target_frames(frames, stride):
        for first in (target - stride, target):
            if first not in to_next:
                to_next[first] = flow(first, first + stride)
        motion = (to_next[target - stride], to_next[target])
        if min(motion) >= min_motion:
            piece.targets.append(target)
            piece.target_motion.append((round(motion[0], 3), round(motion[1], 3)))
        else:
            piece.still += 1
        advance(1)
    medians, means = decoded.steps[rows, 1], decoded.steps[rows, 0]
    if np.isfinite(means).any():
        piece.standing_camera = bool(np.nanmedian(medians) < _STANDING_CAMERA < np.nanmean(means) / 2)
    return piece


def is_coarse(piece: Piece) -> bool:
    """Return whether even neighbouring frames show much more motion than flow and warping can follow well."""
    return piece.stride == 1 and bool(piece.tried) and (piece.tried or {})[1] > _COARSE


def hold_out(targets: list[int], stride: int, share: float) -> tuple[int, int]:
    """Return (train_end, val_start): the last ``share`` of the targets is for validation.

    Targets whose frames would appear in a validation sample belong to neither, unless more than half of the
    piece would be lost.
    """
    count = round(share * len(targets)) if share > 0 and len(targets) >= _LEAST_TO_HOLD_OUT else 0
    if share > 0 and len(targets) >= _LEAST_TO_HOLD_OUT:
        count = max(count, 1)
    val_start = len(targets) - count
    if count == 0:
        return val_start, val_start
    first_seen = targets[val_start] - stride
    apart = sum(target + stride < first_seen for target in targets[:val_start])
    return (apart if apart >= len(targets) / 2 else val_start), val_start
