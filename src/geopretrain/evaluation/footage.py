"""Frames in the order of time, with what is known of them: for numbers that are of several frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopretrain.console import console
from geopretrain.data.prepare.points import in_stored_frame
from geopretrain.data.readers.base import MEASURED, METRES, Frame, SourceClip
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.measured import OF_STORES, trained_on

if TYPE_CHECKING:
    from geopretrain.data.store.clip_info import ClipInfo
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.runs.folder import RunFolder

LIDAR = "sparse LiDAR"


def _one_world(frame: int) -> int:
    return 0


def _no_points(frame: int) -> None:
    return None


@dataclass(frozen=True)
class Footage:
    """Frames in the order of time.

    Attributes:
        name: what it is called.
        pairs: numbers of neighbouring frames.
        image: reads a frame, ``H W 3`` uint8.
        pose: reads its pose, ``4 4`` to the world; None where there is none.
        depth: reads its measured depth, m; None where there is none.
        intrinsics: ``3 3`` px, None where they are not known.
        pose_unit: of the poses.
        pose_origin: where they are from, as the rest of "the poses are".
        world: number of the world that a frame's pose is in.
        points: reads points that a frame sees, ``N 3`` (x, y in px, depth); None where there are none.
        points_origin: what these are, in words.
    """

    name: str
    pairs: Sequence[tuple[int, int]]
    image: Callable[[int], NDArray[np.uint8]]
    pose: Callable[[int], NDArray[np.floating] | None]
    depth: Callable[[int], NDArray[np.floating] | None]
    intrinsics: NDArray[np.floating] | None
    pose_unit: str = METRES
    pose_origin: str = MEASURED
    world: Callable[[int], int] = _one_world
    points: Callable[[int], NDArray[np.floating] | None] = _no_points
    points_origin: str = ""

    @property
    def stride(self) -> int:
        """Distance of neighbouring frames."""
        return min((second - first for first, second in self.pairs), default=1)

    @property
    def frames(self) -> list[int]:
        """Numbers of the frames in pairs, ascending."""
        return sorted({frame for pair in self.pairs for frame in pair})


def footage(
    data: str, run: RunFolder, frames: str, usable: Callable[[Footage], bool] = bool
) -> tuple[list[Footage], str]:
    """Return the sequences of what the user named, and which of its frames they hold.

    Args:
        data: store, video or data set.
        run: whose held-out frames are known where it was trained on the store.
        frames: of a store: one of `OF_STORES`, ``all``, or ``auto``: held out where that is known.
        usable: says which sequences count.

    Raises:
        ConfigError: held-out frames of something else than a store.
        DataError: the data cannot be read.
    """
    from geopretrain.data.readers.base import Unusable
    from geopretrain.data.readers.detect import open_source
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.store.sharded.index import is_prepared

    if is_prepared(data):
        return _of_store(FrameStore.open(data), run, frames, usable)
    if frames in OF_STORES:
        raise ConfigError(
            f"'{data}' is no prepared store, so it is not known which of its frames were held out. Give the "
            "store, or --frames all."
        )
    unusable: list[Unusable] = []
    clips = [clip for clip in open_source(data, unusable=unusable) if clip.ordered]
    for one in unusable:
        console.warn_left_out(f"Left out: {one.reason}")
    return [one for one in map(_of_clip, clips) if usable(one)], "all"


def _of_clip(clip: SourceClip) -> Footage:
    length = clip.length if clip.length is not None else sum(1 for _ in clip.frames())
    anew = list(accumulate(map(clip.starts_anew, range(length))))
    pairs = [(i, i + 1) for i in range(length - 1) if anew[i] == anew[i + 1]]
    return Footage(
        *(clip.name, pairs, _Forward(clip), clip.pose, clip.depth, clip.intrinsics),
        pose_unit=clip.pose_unit,
        pose_origin=clip.pose_origin,
        world=lambda frame: length * clip.trajectory(frame) + anew[frame],
        points=partial(_of_sparse_map, clip.depth) if clip.depth_protocol == "kitti" else clip.points,
        points_origin=clip.depth_words or LIDAR if clip.depth_protocol == "kitti" else clip.pose_origin,
    )


class _Forward:
    """Reads the frames of a clip mostly one after the other: a video is not decoded anew for each."""

    def __init__(self, clip: SourceClip) -> None:
        self._clip, self._last = clip, dict[int, Frame]()
        self._frames: Iterator[Frame] = iter(())
        self._next = -1

    def __call__(self, index: int) -> NDArray[np.uint8]:
        if index not in self._last:
            if index != self._next:
                self._frames = self._clip.frames(index)
            frame = next(self._frames)
            self._last = dict([*self._last.items()][-1:]) | {index: frame}
            self._next = index + 1
        frame = self._last[index]
        if frame.image is None:
            raise DataError(str(frame.error))
        return frame.image


def _of_store(
    store: FrameStore, run: RunFolder, frames: str, usable: Callable[[Footage], bool]
) -> tuple[list[Footage], str]:
    """Return the clips of a store: pairs of frames that a sample has next to each other."""
    if store.still_images:
        raise DataError(f"{store.place} holds single images, not neighbouring frames. Give video.")
    groups: dict[str, list[Footage]] = {"held_out": [], "in_sample": [], "test": [], "all": []}
    for number, clip in enumerate(store.clips):
        stored = set(clip.frames)
        pairs = [(i, i + clip.stride) for i in clip.frames if i + clip.stride in stored]
        held_out = [pair for pair in pairs if pair[0] >= clip.first_held_out]
        in_sample = [pair for pair in pairs if pair[1] < clip.first_held_out]
        unseen = "test" if clip.for_test else "held_out"
        for name, chosen in ((unseen, held_out), ("in_sample", in_sample), ("all", pairs)):
            one = _of_stored(store, number, clip, chosen)
            groups[name] += [one] if chosen and usable(one) else []
    if frames == "auto":
        found = [name for name in ("held_out", "test") if groups[name]]
        frames = found[0] if found and trained_on(run, store) else "all"
    return groups[frames], frames


def _of_stored(store: FrameStore, number: int, clip: ClipInfo, pairs: list[tuple[int, int]]) -> Footage:
    starts = np.array(clip.pose_starts, dtype=np.int64)
    return Footage(
        clip.name,
        pairs,
        partial(store.frame_image, number),
        partial(store.pose, number),
        partial(_stored_depth, store, number),
        store.intrinsics(number),
        pose_unit=clip.pose_unit,
        pose_origin=clip.pose_origin or MEASURED,
        world=lambda frame: int((starts <= frame).sum()),
        points=partial(_stored_points, store, number),
        points_origin=clip.pose_origin if clip.point_frames else LIDAR,
    )


def _stored_points(store: FrameStore, clip: int, frame: int) -> NDArray[np.floating] | None:
    """Return sparse points of a stored frame, in its px; sparse LiDAR where there are no others."""
    found = store.points(clip, frame)
    if found is not None or store.depth_protocol != "kitti":
        return found
    depth = _stored_depth(store, clip, frame)
    if depth is None:
        return None
    height, width = depth.shape  # of the source, cropped
    return in_stored_frame(_points_of(depth), (0, 0, height, width), store.size)


def _of_sparse_map(
    depth: Callable[[int], NDArray[np.floating] | None], frame: int
) -> NDArray[np.floating] | None:
    """Return the measurements of a sparse depth map as points in its px."""
    measured = depth(frame)
    return None if measured is None else _points_of(measured)


def _points_of(depth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the measurements of a depth map ``H W`` as points ``N 3`` (x, y, depth)."""
    rows, columns = np.nonzero(depth > 0)
    return np.column_stack([columns, rows, depth[rows, columns]]).astype(np.float64)


def _stored_depth(store: FrameStore, clip: int, frame: int) -> NDArray[np.floating] | None:
    """Return measured depth at the size of the stored frames."""
    return store.depth(clip, frame) if frame in store.clips[clip].depth_frames else None
