"""From decoded frames to what can be learned from: segments without cuts, strides, targets, split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from geopretrain.data.prepare.decode import Decoded
from geopretrain.data.prepare.motion import flow_lengths, grey_difference, is_cut, quick_length
from geopretrain.data.prepare.sparse_motion import filled, lengths_between
from geopretrain.data.prepare.stride import choose_stride, target_frames
from geopretrain.data.readers.base import Role
from geopretrain.data.store.clip_info import ClipInfo

_MIN_TO_HOLD_OUT = 5  # targets a segment needs before some of them are held out
_COARSE = 6.0  # px
_STATIC_CAMERA = 0.15
"""Fraction of the mean flow under which the median says that only things move, not the camera.

Dash cameras stay above 0.19 in every single pair, a tripod before moving things below 0.14.
"""
_STATIC_FRACTION = 0.9
"""Of the targets; below, single pictures may just show little texture."""


@dataclass
class Segment:
    """A part of a source clip between two cuts, with the samples in it.

    Attributes:
        frames: numbers of the readable frames.
        stride: distance between the frames of a sample.
        tried: mean flow per stride tried, px.
        targets, target_motion: frames to learn from, and their mean flow to the previous and the next frame,
            px.
        static: number of frames left out because the picture hardly moves.
        static_camera: number of targets given up because most of the picture is static in nearly all of
            them: things move, the camera does not.
        unlisted: number of possible targets that a list of frames does not name.
    """

    frames: list[int]
    stride: int = 1
    tried: dict[int, float] | None = None
    targets: list[int] | None = None
    target_motion: list[tuple[float, float]] | None = None
    static: int = 0
    static_camera: int = 0
    unlisted: int = 0


def cut_positions(decoded: Decoded) -> list[int]:
    """Return the frames with which a new scene begins."""
    cuts = is_cut(decoded.steps[:, 2], decoded.steps[:, 3])
    return [frame for frame, cut in zip(decoded.frames, cuts, strict=True) if cut]


def find_segments(decoded: Decoded) -> list[list[int]]:
    """Split the readable frames at scene cuts and where frames are known to be missing."""
    cuts = set(cut_positions(decoded))
    segments: list[list[int]] = [[]]
    good = set(decoded.frames)
    for entry in decoded.entries:
        if (entry.gap or entry.index in cuts) and segments[-1]:
            segments.append([])
        if entry.index in good:
            segments[-1].append(entry.index)
    return [segment for segment in segments if segment]


def analyse_segment(
    decoded: Decoded,
    frames: list[int],
    target_motion: float,
    min_motion: float,
    advance: Callable[[int], None] = lambda count: None,
    *,
    fixed_stride: int | None = None,
    listed: Collection[int] | None = None,
) -> Segment:
    """Choose the stride of a segment and the targets worth learning from.

    Args:
        decoded: pixels and journal of the source clip.
        frames: numbers of the segment's frames.
        target_motion: wanted mean flow between the frames of a sample, px.
        min_motion: least mean flow of a target to both of its neighbours, px; with 0 a static camera is put
            up with.
        advance: called with the number of pairs measured since the last call.
        fixed_stride: distance between the frames of a sample, instead of a choice by motion.
        listed: frames that alone may be targets; they are, however little the picture moves.
    """
    min_motion = min_motion if listed is None else 0.0
    pairs = _Pairs(decoded)
    steps = pairs.steps(frames)
    stride, tried = choose_stride(pairs.mean, pairs.quick, frames, steps, target_motion)
    stride = fixed_stride or stride
    possible = target_frames(frames, stride)
    targets = possible if listed is None else [target for target in possible if target in listed]
    segment = Segment(frames, stride, tried, unlisted=len(possible) - len(targets))
    starts = sorted({first for target in targets for first in (target - stride, target)})
    to_next = lengths_between(
        starts,
        lambda a: pairs.lengths(a, a + stride),
        lambda a: pairs.difference(a, a + stride),
        min_motion,
        advance,
    )
    _keep_moving(segment, targets, to_next, min_motion)
    return segment


class _Pairs:
    """Motion between frames of a clip, from its journal where it is known.

    Args:
        decoded: pixels and journal of the clip.
    """

    def __init__(self, decoded: Decoded) -> None:
        self.decoded = decoded
        self.lengths = cache(self._lengths)

    def steps(self, frames: list[int]) -> np.ndarray:
        """Return the mean flow from each frame to the next, px; what is not known is filled in."""
        rows = [self.decoded.row[frame] for frame in frames[1:]]
        following = [*(float(self.decoded.steps[row, 0]) for row in rows), np.nan]
        return filled(np.array(following[: len(frames)]))

    def _lengths(self, first: int, second: int) -> tuple[float, float]:
        """Return mean and median flow, px."""
        row = self.decoded.row[second]
        measured = self.decoded.steps[row, :2] if second == first + 1 else np.array([np.nan])
        if np.isfinite(measured).all():
            return float(measured[0]), float(measured[1])
        return flow_lengths(self.decoded.image(first), self.decoded.image(second))

    def mean(self, first: int, second: int) -> float:
        """Return the mean flow, px."""
        return self.lengths(first, second)[0]

    def quick(self, first: int, second: int) -> float:
        """Return the mean flow as a cheaper method has it, px."""
        return quick_length(self.decoded.image(first), self.decoded.image(second))

    def difference(self, first: int, second: int) -> float:
        """Return how much the grey values differ."""
        if second == first + 1 and second in self.decoded.differences:
            return self.decoded.differences[second]
        return grey_difference(self.decoded.image(first), self.decoded.image(second))


def _keep_moving(
    segment: Segment,
    targets: list[int],
    to_next: Mapping[int, tuple[float, float]],
    min_motion: float,
) -> None:
    """Keep the targets that move to both neighbours; none where the camera stands still nearly always."""
    found: dict[int, tuple[float, float]] = {}
    static_camera = 0
    for target in targets:
        before, after = to_next[target - segment.stride], to_next[target]
        if min(before[0], after[0]) >= min_motion:
            found[target] = (round(before[0], 3), round(after[0], 3))
            static_camera += all(median < _STATIC_CAMERA * mean for mean, median in (before, after))
        else:
            segment.static += 1
    if min_motion > 0 and static_camera >= _STATIC_FRACTION * len(found):
        segment.static_camera, found = len(found), {}
    segment.targets, segment.target_motion = list(found), list(found.values())


def is_coarse(segment: Segment) -> bool:
    """Return whether even neighbouring frames show much more motion than flow and warping can follow well."""
    return segment.stride == 1 and bool(segment.tried) and (segment.tried or {})[1] > _COARSE


def split(targets: list[int], stride: int, fraction: float, role: Role | None) -> tuple[int, int]:
    """Return (train_end, val_start) by what the targets are for, as `ClipInfo` has them."""
    if role is None:
        return hold_out(targets, stride, fraction)
    count = len(targets)
    return {"train": (count, count), "val": (0, 0), "test": (0, count)}[role]


def hold_out(targets: list[int], stride: int, fraction: float) -> tuple[int, int]:
    """Return (train_end, val_start): the last ``fraction`` of the targets is for validation.

    Targets whose frames would appear in a validation sample belong to neither, unless more than half of the
    segment would be lost.
    """
    count = round(fraction * len(targets)) if fraction > 0 and len(targets) >= _MIN_TO_HOLD_OUT else 0
    if fraction > 0 and len(targets) >= _MIN_TO_HOLD_OUT:
        count = max(count, 1)
    val_start = len(targets) - count
    if count == 0:
        return val_start, val_start
    first_seen = targets[val_start] - stride
    apart = sum(target + stride < first_seen for target in targets[:val_start])
    return (apart if apart >= len(targets) / 2 else val_start), val_start


def hold_out_clips(clips: list[ClipInfo], fraction: float) -> list[ClipInfo]:
    """Return the clips, the last ones held out whole where each is too short to hold out a part of it."""
    tests = [clip for clip in clips if clip.for_test]
    if tests:  # given last
        return [*hold_out_clips(clips[: -len(tests)], fraction), *tests]
    counts = [len(clip.targets) for clip in clips]
    if any(clip.val_start < len(clip.targets) for clip in clips) or sum(counts) < _MIN_TO_HOLD_OUT:
        return clips
    wanted = max(1, round(fraction * sum(counts)))
    held = [sum(counts[number:]) <= wanted for number in range(len(counts))]
    if not any(held) and len(clips) > 1:
        held[-1] = counts[-1] <= sum(counts) / 2
    return [
        replace(clip, train_end=0, val_start=0) if out else clip
        for clip, out in zip(clips, held, strict=True)
    ]
