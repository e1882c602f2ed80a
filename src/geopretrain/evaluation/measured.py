"""Pictures whose depth has been measured: frames of a store, of a data set, or image and depth pairs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from geopretrain.console import console
from geopretrain.data.readers.depth_maps import ACCUMULATED, unit_warning
from geopretrain.data.readers.kitti_splits import DRIVES_BY_NAME, Key, frame_key, listed_frames
from geopretrain.data.resize import apply_crop, bottom_crop
from geopretrain.data.spec import options_of
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError, DataError
from geopretrain.runs.folder import RunFolder
from geopretrain.wording import sides

if TYPE_CHECKING:
    from geopretrain.data.dataset import Fields
    from geopretrain.data.readers.base import SourceClip
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.structure import Structure


T = TypeVar("T")
_LOOKED_AT = 5  # frames whose unit is judged
_NAMED = 5  # missing frames named in a sentence
OF_STORES = ("held_out", "in_sample", "test")
"""Choices of frames that only a store knows."""


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class MeasuredFrame:
    """A picture whose depth has been measured.

    Attributes:
        name: what it is called in tables.
        image: reads it, ``H W 3`` uint8.
        depth: reads its depth, float32 ``H W`` (of any size), m, 0 = no measurement.
        structure: reads its depth boundaries and planes, of the size of the depth; None where there are none.
    """

    name: str
    image: Callable[[], np.ndarray]
    depth: Callable[[], np.ndarray]
    structure: Callable[[], Structure | None] = _nothing

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return depth and image (DataError where one of them is damaged)."""
        return self.depth(), self.image()


def at_bottom(frames: Sequence[MeasuredFrame], size: tuple[int, int] | None) -> Sequence[MeasuredFrame]:
    """Return frames of which (height, width) px in the middle of the lower edge are seen; None: all of them.

    Reading one raises DataError where it is smaller, or no longer of the size of its truth.
    """
    return frames if size is None else [_at_bottom(frame, size) for frame in frames]


def _at_bottom(frame: MeasuredFrame, size: tuple[int, int]) -> MeasuredFrame:
    def cut(values: np.ndarray) -> np.ndarray:
        return apply_crop(values, bottom_crop((values.shape[0], values.shape[1]), size))

    def image() -> np.ndarray:
        picture, truth = frame.image(), frame.depth()
        if picture.shape[:2] != truth.shape:
            raise DataError(
                f"{sides(size)} px are to be cut out of picture and truth, but the picture was resized to "
                f"{sides(picture.shape)} and its truth has {sides(truth.shape)}. Score on the data set "
                "itself, or on a store prepared with --crop bottom."
            )
        return cut(picture)

    return MeasuredFrame(frame.name, image, lambda: cut(frame.depth()))


def readable(
    what: Iterable[tuple[str, Callable[[], T]]], left_out: list[str], *, said: bool = True
) -> Iterator[tuple[str, T]]:
    """Read one thing after the other; what is damaged is named to the user, and left out.

    Args:
        what: name of each, and what reads it.
        left_out: gets a sentence about each that cannot be read.
        said: say it to the user, too.

    Yields:
        Name and content of the others.
    """
    for name, read in what:
        try:
            content = read()
        except DataError as error:
            left_out.append(f"{name}: {error}")
            if said:
                console.warn_left_out(f"Left out: {left_out[-1]}")
        else:
            yield name, content


def store_frames(store: FrameStore) -> dict[str, list[MeasuredFrame]]:
    """Return the frames of a store that have depth: ``in_sample`` (seen), ``held_out`` and ``test``."""
    groups: dict[str, list[MeasuredFrame]] = {"in_sample": [], "held_out": [], "test": []}
    for clip, frame, held_out in store.depth_frames():
        measured = MeasuredFrame(
            f"{store.clips[clip].name}/{frame:06d}",
            partial(store.frame_image, clip, frame),
            partial(store.depth, clip, frame),
        )
        role = "test" if store.clips[clip].for_test else "held_out" if held_out else "in_sample"
        groups[role].append(measured)
    return groups


@dataclass(frozen=True)
class MeasuredSet:
    """Pictures whose depth has been measured.

    Attributes:
        name: ``held_out``, ``in_sample``, ``test`` or ``all``.
        kind: ``kitti`` or ``dense``.
        frames: to be scored.
        others: what baselines are made from; empty: from ``frames`` at least ``min_gap`` apart.
        listed: number of frames that a list asked for, None without a list.
        missing: those of them that are not there, or have no depth, as the list has them.
        without_depth: number of pictures of the data that have no depth.
        left_out: sentences about files and folders of the data that cannot be used at all.
        truth: what the depth is, in words, where the data set has several kinds.
    """

    name: str
    kind: str
    frames: Sequence[MeasuredFrame]
    others: Sequence[MeasuredFrame] = ()
    min_gap: int = 10
    listed: int | None = None
    missing: Sequence[str] = ()
    without_depth: int = 0
    left_out: Sequence[str] = ()
    truth: str = ""

    def in_words(self) -> str:
        """Return what was asked for and is not there, empty where that is nothing."""
        if self.missing:
            named = ", ".join(self.missing[:_NAMED])
            more = len(self.missing) - _NAMED
            rest = f" and {more} more (all are in the results)" if more > 0 else ""
            there = f"{len(self.frames)} of {self.listed} listed frames"
            return f"{there} are there with measured depth; missing: {named}{rest}."
        if self.listed is None and self.without_depth:
            together = len(self.frames) + self.without_depth
            return (
                f"{len(self.frames)} of {together} pictures have measured depth; the others are not scored."
            )
        return ""


def find_frames(
    data: str,
    run: RunFolder,
    *,
    frames: str = "auto",
    split_file: str | Path | None = None,
    depth_unit: float | None = None,
) -> MeasuredSet:
    """Return the pictures of a store, data set or folder of pairs that a run is to be scored on.

    Args:
        data: what the user named.
        run: the run, which knows what it was trained on.
        frames: ``held_out``, ``in_sample``, ``test``, ``all``, or ``auto``: held out where that is known.
        split_file: list of the frames to take, or the name of a split, for data sets.
        depth_unit: units per metre of 16-bit PNGs in ``depth/``.

    Raises:
        DataError: no measured depth there.
        ConfigError: the options contradict the kind of data.
    """
    from geopretrain.data.store.sharded.index import is_prepared

    if is_prepared(data):
        if split_file is not None:
            raise ConfigError("A split file names frames of the original data set: give that as --data.")
        return _from_store(data, run, frames)
    if frames in OF_STORES:
        raise ConfigError(
            f"'{data}' is no prepared store, so it is not known which of its frames were held out. Give the "
            "store, or --frames all."
        )
    if os.path.realpath(data) == run.config["data"]:
        console.say("The run was trained on these very pictures: the numbers are in sample.")
    return _from_source(data, split_file, depth_unit)


def frames_after_training(store: FrameStore, fields: Fields, other: str | None) -> MeasuredSet:
    """Return the pictures that networks trained on fields of a store are scored on, before there is a run.

    Args:
        store: that is learned from.
        fields: of it.
        other: what is to be scored; None: the store.

    Raises:
        DataError: no measured depth there.
    """
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.store.sharded.index import is_prepared

    if other is None:
        return _of_store(store, "auto", in_training=True)
    if not is_prepared(other):
        return _from_source(other, None, None)
    scored = FrameStore.open(other)
    return _of_store(scored, "auto", in_training=scored.fingerprint(fields) == store.fingerprint(fields))


def _from_store(data: str, run: RunFolder, frames: str) -> MeasuredSet:
    from geopretrain.data.store.frame_store import FrameStore

    store = FrameStore.open(data)
    return _of_store(store, frames, in_training=trained_on(run, store))


def _of_store(store: FrameStore, frames: str, *, in_training: bool) -> MeasuredSet:
    groups = store_frames(store)
    if store.depth_protocol is None or not any(groups.values()):
        raise DataError(f"The store '{store.place}' holds no measured depth. Give data that have some.")
    kind = store.depth_protocol
    if frames == "auto":
        unseen = [name for name in ("held_out", "test") if groups[name]]
        frames = unseen[0] if in_training and unseen else "all"
    if frames == "all":
        return MeasuredSet("all", kind, [frame for group in groups.values() for frame in group])
    if not groups[frames]:
        raise DataError(f"The store '{store.place}' has no {frames} frames with depth. Use --frames all.")
    others = [] if frames == "in_sample" else groups["in_sample"]
    return MeasuredSet(frames, kind, groups[frames], others)


def trained_on(run: RunFolder, store: FrameStore) -> bool:
    """Return whether a run was trained on this store, wherever it lies now."""
    from geopretrain.runs.loading import load_task

    lineage = run.lineage
    if "data_fingerprint" in lineage:
        return bool(lineage["data_fingerprint"] == store.fingerprint(load_task(run).required))
    path = str(store.path.resolve())  # version 0.1
    return path in (run.config["data"], lineage.get("store"))


def _from_source(data: str, split_file: str | Path | None, depth_unit: float | None) -> MeasuredSet:
    from geopretrain.data.readers.base import Unusable
    from geopretrain.data.readers.detect import open_source

    unusable: list[Unusable] = []
    clips = [c for c in open_source(data, depth_unit=depth_unit, unusable=unusable) if c.has_depth]
    for one in unusable:
        console.warn_left_out(f"Left out: {one.reason}")
    if not clips:
        raise DataError(
            f"'{data}' has no measured depth. Give a data set with depth, or a folder of images/ and depth/."
        )
    chosen = [(clip, index) for clip in clips for index in clip.depth_indices()]
    split_file = split_file if split_file is not None else _listed_in(data)
    without = sum(clip.length or 0 for clip in clips) - len(chosen)
    listed, missing = None, []
    if split_file is not None:
        wanted = listed_frames(split_file)
        there = {_key(clip, index) for clip, index in chosen}
        chosen = [(clip, index) for clip, index in chosen if _key(clip, index) in wanted]
        listed, missing = len(wanted), [line for key, line in wanted.items() if key not in there]
    if not chosen:
        raise DataError(
            f"None of the {listed} frames of '{split_file}' has depth in '{data}'; the first is "
            f"'{missing[0] if missing else ''}'."
        )
    ordered = all(clip.ordered for clip in clips)  # else neighbours do not show the same scene
    return MeasuredSet(
        "all",
        clips[0].depth_protocol or "dense",
        [_measured(clip, index) for clip, index in chosen],
        min_gap=10 if ordered else 1,
        listed=listed,
        missing=missing,
        without_depth=max(0, without),
        left_out=[one.reason for one in unusable],
        truth="; ".join(sorted({clip.depth_words for clip, _ in chosen} - {""})),
    )


def _listed_in(data: str) -> str | None:
    """Return the list of frames that stands behind a path (``kitti?split=eigen-test``), None without one."""
    from geopretrain.data.dataset import SYNTHETIC

    split = None if data.startswith(SYNTHETIC) else options_of(data).get("split")
    return None if split in DRIVES_BY_NAME else split


def _key(clip: SourceClip, index: int) -> Key:
    return frame_key(Path(clip.path).name, _frame_name(clip, index))


def _measured(clip: SourceClip, index: int) -> MeasuredFrame:
    name = f"{clip.name}/{_frame_name(clip, index)}"
    depth, structure = partial(_read_depth, clip, index), partial(clip.structure, index)
    return MeasuredFrame(name, partial(_read_image, clip, index), depth, structure)


def truth_doubt(protocol: str, truth: str) -> str | None:
    """Return a sentence where the truth is not the one that a protocol of KITTI was made for."""
    if not protocol.startswith("kitti-benchmark") or not truth or truth == ACCUMULATED:
        return None
    return (
        f"{protocol} was made for {ACCUMULATED}; these are {truth}, which covers other pixels. Give the "
        "data with ?depth=improved behind its path."
    )


def unit_doubt(frames: Sequence[MeasuredFrame]) -> str | None:
    """Return a sentence where the truth of a frame is so far or near that its unit must be another one."""
    for position in spread_positions(len(frames), _LOOKED_AT):
        try:
            depth = frames[position].depth()
        except DataError:
            continue  # is named where it is scored
        warning = unit_warning(depth)
        if warning is not None:
            return f"{frames[position].name}: {warning}"
    return None


def _frame_name(clip: SourceClip, index: int) -> str:
    """Return the name of a frame's file without its ending, or its number."""
    files = getattr(clip, "files", None)
    return str(files[index].stem) if files else f"{index:06d}"


def _read_image(clip: SourceClip, index: int) -> Any:
    frame = clip.frame(index)
    if frame.image is None:
        raise DataError(str(frame.error))
    return frame.image


def _read_depth(clip: SourceClip, index: int) -> Any:
    depth = clip.depth(index)
    if depth is None:
        raise DataError(f"{clip.name}: frame {index} has no depth map although it was listed.")
    return depth
