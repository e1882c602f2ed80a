"""Which frames of a video labels are propagated to, and the labels as they look there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.dataset import IGNORE
from geopretrain.data.matching import Match, Place
from geopretrain.data.store.frame_store import FrameStore

Labels = NDArray[np.uint8]
Size = tuple[int, int]
Crop = tuple[int, int, int, int]


@dataclass(frozen=True)
class Step:
    """A frame that the labels of another one are propagated to.

    Attributes:
        source: position of the labelled image.
        clip: that both are of.
        frames: numbers from this frame to the source's, a stride of the store apart.
        truth: position of the labelled image that this frame is itself; None where nobody has labelled it.
    """

    source: int
    clip: int
    frames: tuple[int, ...]
    truth: int | None = None

    @property
    def frame(self) -> int:
        """Number of this frame."""
        return self.frames[0]

    @property
    def steps(self) -> int:
        """Strides from the source's frame, negative before it."""
        return (len(self.frames) - 1) * (1 if self.frames[0] > self.frames[-1] else -1)


def planned(store: FrameStore, matches: Sequence[Match], training: int, reach: int) -> list[Step]:
    """Return the frames that get labels, and the training images to score such labels with (``truth``).

    A frame gets those of the nearest labelled image, and none at all where that is not a training image, or
    where the frame looks like an image of another split: what is scored is never learned from.

    Args:
        store: of the frames.
        matches: of all labelled images, those of the train split first.
        training: number of these.
        reach: strides to each side.
    """
    held_out = {place for match in matches[training:] for place in match.alike}
    owners: dict[Place, int] = {}
    for position in [*range(training, len(matches)), *range(training)]:  # what is held out comes first
        place = matches[position].place
        if place is not None:
            owners.setdefault(place, position)
    by_clip: dict[int, list[tuple[int, int]]] = {}
    for (clip, frame), position in owners.items():
        by_clip.setdefault(clip, []).append((frame, position))
    sources = [(place, position) for place, position in owners.items() if position < training]
    found = [
        step
        for place, position in sorted(sources)
        for step in _around(store, place, position, owners, reach)
        if _is_for(step, by_clip[step.clip], training, held_out)
    ]
    return sorted(found, key=lambda step: (step.clip, step.frame, abs(step.steps)))


def _around(
    store: FrameStore, place: Place, source: int, owners: Mapping[Place, int], reach: int
) -> Iterator[Step]:
    """Yield the frames before and behind a labelled one, until one is missing."""
    number, frame = place
    clip = store.clips[number]
    there = set(clip.frames)
    for stride in (-clip.stride, clip.stride):
        frames = [frame]
        while len(frames) <= reach and frames[0] + stride in there:
            frames.insert(0, frames[0] + stride)
            yield Step(source, number, tuple(frames), owners.get((number, frames[0])))


def _is_for(step: Step, labelled: Sequence[tuple[int, int]], training: int, held_out: set[Place]) -> bool:
    """Return whether a frame gets the labels of this source, see `planned`.

    Args:
        step: the frame.
        labelled: frame and position of the labelled images of its clip.
        training: number of training images.
        held_out: frames that look like an image of another split.
    """
    if step.truth is not None:
        return step.truth < training
    if (step.clip, step.frame) in held_out:
        return False
    nearest = min(labelled, key=lambda one: (abs(one[0] - step.frame), one[1] < training, one[0]))
    return nearest[1] == step.source


def moved_labels(
    labels: Labels,
    flow: NDArray[np.floating],
    visible: NDArray[np.bool_],
    source: Crop,
    size: Size,
    target: Crop,
) -> Labels:
    """Return the labels of a source picture as they look in a target picture, 255 where it is not visible.

    Each pixel takes the label of the nearest one; nothing is averaged. Those that share a pixel of the flow
    stay apart, so outlines are as fine as the labels are.

    Args:
        labels: ``H W`` of the source picture, at any size.
        flow: ``2 h w`` px (right, down), from the target to the source, of a part of both.
        visible: ``h w`` bool: the flow ends at the same point.
        source: that part (top, left, height, width) of the source picture, px of the labels.
        size: (height, width) of the target picture.
        target: the part of the target picture, px.

    Returns:
        ``height width`` uint8.
    """
    grid = flow.shape[1:]
    places = [
        (np.arange(size[axis]) + 0.5 - target[axis]) * grid[axis] / target[2 + axis] - 0.5 for axis in (0, 1)
    ]
    nearest = [np.rint(at).astype(np.int64) for at in places]
    inside = [(at >= 0) & (at < grid[axis]) for axis, at in enumerate(nearest)]
    row, column = (np.clip(at, 0, grid[axis] - 1) for axis, at in enumerate(nearest))
    there, known = (
        flow[:, row[:, None], column],
        visible[row[:, None], column] & inside[0][:, None] & inside[1],
    )
    ends = places[0][:, None] + there[1], places[1] + there[0]
    picked = []
    for axis, end in enumerate(ends):
        whole = np.rint((end + 0.5) * source[2 + axis] / grid[axis] + source[axis] - 0.5)
        known = known & (whole >= 0) & (whole < labels.shape[axis])
        picked.append(np.where(known, whole, 0).astype(np.int64))
    return np.where(known, labels[picked[0], picked[1]], np.uint8(IGNORE)).astype(np.uint8)


def copied_labels(labels: Labels, size: Size) -> Labels:
    """Return labels as they are, at a size."""
    whole = (0, 0, *labels.shape)
    still, everywhere = np.zeros((2, *labels.shape), np.float32), np.ones(labels.shape, bool)
    return moved_labels(labels, still, everywhere, whole, size, (0, 0, *size))


def agreeing(labels: Labels, predicted: Labels) -> Labels:
    """Return labels where a network predicts the same class, 255 elsewhere."""
    return np.where(labels == predicted, labels, np.uint8(IGNORE)).astype(np.uint8)
