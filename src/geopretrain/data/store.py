"""The frame store: frames decoded once, resized, uint8, memory-mapped, with a JSON index.

A store is a folder: ``store.json`` (index), ``frames.u8`` (``N 3 H W`` bytes), ``depth/`` (16-bit PNG, metres
x 256, at the source's resolution), ``contact_sheet.png``. Frames are addressed by (clip, frame), the frame
number being the one of the source, so that a number in the store can be found again in the video.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geopretrain.data.batches import ClipBatch
from geopretrain.errors import ConfigError, DataError

FORMAT = "geopretrain-frame-store"
VERSION = 1
INDEX_FILE, FRAMES_FILE, DEPTH_FOLDER, SHEET_FILE = "store.json", "frames.u8", "depth", "contact_sheet.png"
WORK_FOLDER = ".preparing"  # holds a store until it is complete
DEPTH_UNITS_PER_METRE = 256.0


@dataclass(frozen=True)
class ClipInfo:
    """What the index says of one clip (a source clip, or the part of one between two scene cuts).

    Attributes:
        name: unique in the store.
        source: path or ``synthetic:...`` it was read from.
        kind: layout, see `geopretrain.data.sources`.
        original_size: (height, width) of the source's frames, px.
        crop: (top, left, height, width) of the part used, in px of the source's frames.
        fps: frames per second of the source, None when unknown.
        intrinsics: ``3 3`` in px of the stored frames.
        intrinsics_known: False when the field of view was guessed.
        stride: distance between the frames of a sample, in source frames.
        motion: mean optical flow between neighbouring frames of a sample, px of the stored frames.
        first_row: position of the clip's first stored frame in ``frames.u8``.
        frames: source numbers of the stored frames, ascending.
        targets: source numbers of the frames that are targets of samples.
        target_motion: mean flow to the previous and the next frame per target, px.
        train_end, val_start: ``targets[:train_end]`` are training samples, ``targets[val_start:]``
            validation.
        depth_frames: source numbers of the stored frames which have a depth map.
        depth_folder: folder of the depth maps inside the store.
        broken: sentences about frames that could not be read (the first ones), told with a clip's first
            piece.
        broken_count: number of frames that could not be read.
        still: number of frames left out as targets because the picture hardly moves.
    """

    name: str
    source: str
    kind: str
    original_size: tuple[int, int]
    crop: tuple[int, int, int, int]
    fps: float | None
    intrinsics: list[list[float]]
    intrinsics_known: bool
    stride: int
    motion: float
    first_row: int
    frames: list[int]
    targets: list[int]
    target_motion: list[tuple[float, float]]
    train_end: int
    val_start: int
    depth_frames: list[int] = field(default_factory=list)
    depth_folder: str = ""
    broken: list[str] = field(default_factory=list)
    broken_count: int = 0
    still: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the clip as it is written to the index."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ClipInfo:
        """Rebuild a clip from the index (TypeError or KeyError when it is not one)."""
        names = {f.name for f in fields(cls)}
        values = {name: value for name, value in values.items() if name in names}
        for name in ("original_size", "crop"):
            values[name] = tuple(values[name])
        values["target_motion"] = [tuple(pair) for pair in values["target_motion"]]
        return cls(**values)


class FrameStore:
    """A prepared store, open for reading.

    Attributes:
        path: the folder.
        size: (height, width) of the frames, px.
        clips: what is in it.
        num_samples: number of targets; samples are numbered clip after clip.
        train_samples, val_samples: int64 numbers of the training and validation samples.
        intrinsics_known: whether no clip's field of view was guessed.
        depth_protocol: 'kitti' or 'dense' when there are depth maps, else None.
        notes: sentences worth knowing about how it was prepared.
    """

    def __init__(self, path: Path, index: dict[str, Any]) -> None:
        self.path = path
        self.index = index
        self.size: tuple[int, int] = tuple(index["size"])
        self.clips = [ClipInfo.from_json(clip) for clip in index["clips"]]
        self.depth_protocol: str | None = index["depth_protocol"]
        self.notes: list[str] = list(index["notes"])
        self.intrinsics_known = all(clip.intrinsics_known for clip in self.clips)
        self._build_tables()

    @classmethod
    def open(cls, path: str | Path) -> FrameStore:
        """Open a prepared store.

        Raises:
            DataError: not there, no store, written by a newer version, or damaged.
        """
        path = Path(path)
        index_file = path / INDEX_FILE
        if not index_file.is_file():
            raise DataError(_why_no_store(path))
        try:
            index = json.loads(index_file.read_text(encoding="utf-8"))
            if not isinstance(index, dict) or index.get("format") != FORMAT:
                raise DataError(f"{index_file} does not belong to a frame store of geopretrain.")
            if index["version"] != VERSION:
                raise DataError(
                    f"{path} was written in format {index['version']}, this version reads {VERSION}. Prepare "
                    "it again."
                )
            store = cls(path, index)
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise DataError(f"{index_file} is damaged ({error!r}). Prepare the store again.") from error
        store._check()
        return store

    def __len__(self) -> int:
        return self.num_samples

    def read(self, indices: np.ndarray | list[int], offsets: tuple[int, ...] = (0, -1, 1)) -> ClipBatch:
        """Read samples in one indexed read of the memory-mapped frames.

        Args:
            indices: sample numbers, ``B``.
            offsets: time of the frames of a sample, in strides from the target.

        Returns:
            uint8 images ``B F 3 H W`` with float32 intrinsics ``B 3 3``.

        Raises:
            ConfigError: a sample number out of range, or an offset for which some sample has no frame.
        """
        samples = np.asarray(indices, dtype=np.int64)
        if samples.size and (samples.min() < 0 or samples.max() >= self.num_samples):
            raise ConfigError(
                f"Sample {samples.max()} does not exist: the store has {self.num_samples} samples."
            )
        rows = self._rows(samples, np.asarray(offsets, dtype=np.int64))
        images = torch.from_numpy(self._pixels[rows])
        intrinsics = torch.from_numpy(self._intrinsics[self._sample_clip[samples]])
        return ClipBatch(images, intrinsics, tuple(offsets), torch.from_numpy(samples))

    def sample(self, number: int) -> tuple[int, int]:
        """Return (clip, frame) of a sample's target."""
        return int(self._sample_clip[number]), int(self._sample_frame[number])

    def frame_image(self, clip: int, frame: int) -> np.ndarray:
        """Return one stored frame as ``H W 3`` uint8 (ConfigError when it is not stored)."""
        row = self._lookup_row(clip, frame)
        return np.ascontiguousarray(self._pixels[row].transpose(1, 2, 0))

    def depth_frames(self, moving_only: bool = True) -> list[tuple[int, int, bool]]:
        """Return (clip, frame, held out) of the frames with a depth map.

        Args:
            moving_only: leave out frames of no sample (the camera stood still), which repeat one view many
                times.
        """
        listed = []
        for number, clip in enumerate(self.clips):
            used, first_held_out = _sample_frames(clip), _first_held_out(clip)
            listed += [
                (number, frame, frame >= first_held_out)
                for frame in clip.depth_frames
                if frame in used or not moving_only
            ]
        return listed

    def depth(self, clip: int, frame: int) -> np.ndarray:
        """Return measured depth, float32 ``H W`` metres at source resolution, cropped like the frames."""
        from geopretrain.data.sources.kitti_raw import read_depth_png

        if frame not in self.clips[clip].depth_frames:
            raise ConfigError(f"Frame {frame} of clip {self.clips[clip].name} has no depth map.")
        return read_depth_png(
            self.path / self.clips[clip].depth_folder / f"{frame:06d}.png", DEPTH_UNITS_PER_METRE
        )

    def intrinsics(self, clip: int) -> np.ndarray:
        """Return a clip's intrinsics, float32 ``3 3``, px of the stored frames."""
        return self._intrinsics[clip]

    @cached_property
    def _pixels(self) -> np.ndarray:
        return np.memmap(
            self.path / FRAMES_FILE, dtype=np.uint8, mode="r", shape=(self._num_frames, 3, *self.size)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name != "_pixels"
        }  # mapped again where unpickled

    def _build_tables(self) -> None:
        """Lay out arrays from sample to (clip, frame) and from (clip, frame) to row."""
        self._num_frames = sum(len(clip.frames) for clip in self.clips)
        self._intrinsics = np.array([clip.intrinsics for clip in self.clips], dtype=np.float32).reshape(
            -1, 3, 3
        )
        counts = [len(clip.targets) for clip in self.clips]
        self.num_samples = sum(counts)
        self._sample_clip = np.repeat(np.arange(len(self.clips)), counts)
        self._sample_frame = np.array([t for clip in self.clips for t in clip.targets], dtype=np.int64)
        starts = np.cumsum([0, *counts])
        train = [np.arange(a, a + clip.train_end) for a, clip in zip(starts, self.clips, strict=False)]
        val = [
            np.arange(a + clip.val_start, a + len(clip.targets))
            for a, clip in zip(starts, self.clips, strict=False)
        ]
        self.train_samples = np.concatenate([np.zeros(0, np.int64), *train]).astype(np.int64)
        self.val_samples = np.concatenate([np.zeros(0, np.int64), *val]).astype(np.int64)
        self._stride = np.array([clip.stride for clip in self.clips], dtype=np.int64)
        self._first = np.array([clip.frames[0] for clip in self.clips], dtype=np.int64)
        self._span = np.array([clip.frames[-1] - clip.frames[0] + 1 for clip in self.clips], dtype=np.int64)
        self._base = np.concatenate([[0], np.cumsum(self._span)[:-1]]).astype(np.int64)
        self._row_of = np.full(int(self._span.sum()), -1, dtype=np.int64)
        for number, clip in enumerate(self.clips):
            places = self._base[number] + np.array(clip.frames) - self._first[number]
            self._row_of[places] = clip.first_row + np.arange(len(clip.frames))

    def _rows(self, samples: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return rows ``B F`` of the frames of samples."""
        clip = self._sample_clip[samples][:, None]
        place = self._sample_frame[samples][:, None] + offsets * self._stride[clip] - self._first[clip]
        inside = (place >= 0) & (place < self._span[clip])
        rows = np.where(inside, self._row_of[self._base[clip] + np.where(inside, place, 0)], -1)
        if (rows < 0).any():
            sample, offset = (int(v) for v in np.argwhere(rows < 0)[0])
            raise ConfigError(
                f"Sample {samples[sample]} has no frame at offset {offsets[offset]}; the store was prepared "
                "for triplets "
                "(offsets -1, 0, 1)."
            )
        return rows

    def _lookup_row(self, clip: int, frame: int) -> int:
        info = self.clips[clip]
        place = frame - info.frames[0]
        row = int(self._row_of[self._base[clip] + place]) if 0 <= place < self._span[clip] else -1
        if row < 0:
            raise ConfigError(f"Frame {frame} of clip {info.name} is not in the store.")
        return row

    def _check(self) -> None:
        """Raise the DataError that says what does not fit together."""
        file = self.path / FRAMES_FILE
        expected = self._num_frames * 3 * self.size[0] * self.size[1]
        if not file.is_file() or file.stat().st_size != expected:
            found = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
            raise DataError(
                f"{file} is damaged: {found} where {expected} bytes were expected. Prepare the store again."
            )
        if self.num_samples == 0 or len(self.train_samples) == 0:
            raise DataError(f"{self.path} holds no training samples. Prepare the store again.")
        self._rows(np.arange(self.num_samples), np.array([-1, 0, 1]))


def _why_no_store(path: Path) -> str:
    """Return the sentence about a folder without an index."""
    if (path / WORK_FOLDER).is_dir():
        return (
            f"{path} is not complete: its preparation was interrupted. Repeat the same command, it continues."
        )
    return f"{path} is no frame store: it has no {INDEX_FILE}. Make one with `geopretrain data prepare`."


def _sample_frames(clip: ClipInfo) -> set[int]:
    """Return the frames which belong to a sample of the clip."""
    return {target + offset * clip.stride for target in clip.targets for offset in (-1, 0, 1)}


def _first_held_out(clip: ClipInfo) -> int:
    """Return from which frame on none is in a training sample; past the end without validation samples."""
    if clip.val_start >= len(clip.targets):
        return clip.frames[-1] + 1
    last_trained = clip.targets[clip.train_end - 1] + clip.stride if clip.train_end else -1
    return max(last_trained + 1, clip.targets[clip.val_start] - clip.stride)
