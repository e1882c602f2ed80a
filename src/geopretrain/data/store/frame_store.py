"""The frame store: frames decoded once, resized, uint8, memory-mapped, with a JSON index.

A store is a folder of ``store.json`` (index), ``frames.u8`` (``N 3 H W`` bytes), ``stereo.u8`` (right images
of the targets, same layout), ``depth.f16`` (``N H W`` float16 m, at the size of the frames), ``depth/``
(16-bit PNG, metres x 256, at the source's resolution), ``poses.f64`` (``N 3 4`` float64, camera to world),
``points.f32`` (``N 512 3`` float32), ``contact_sheet.png`` and ``summary.json``. Frames are addressed by
(clip, frame), the frame number being that of the source, so that it can be found again in the video.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import NAMES, Description, Fields, Positions, PseudoDepthInfo, positions
from geopretrain.data.fingerprint import Digest
from geopretrain.data.readers.depth_maps import read_depth_png
from geopretrain.data.store.checks import doubts
from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.data.store.files import FolderFiles, Rows, StoreFiles, check_length
from geopretrain.data.store.index import (
    COMPLETE_FOLDER,
    DEPTH_FILE,
    DEPTH_UNITS_PER_METRE,
    FRAMES_FILE,
    MAX_POINTS,
    POINTS_FILE,
    POSES_FILE,
    STEREO_FILE,
    StoreIndex,
    read_index,
)
from geopretrain.data.store.pseudo_depth import PseudoDepth
from geopretrain.data.store.samples import SampleTable
from geopretrain.data.store.sharded.index import is_sharded, is_url
from geopretrain.errors import ConfigError, DataError
from geopretrain.schema import as_path

TRIPLET = Fields((0, -1, 1))
"""A frame with its neighbours."""


class FrameStore:
    """A prepared store, open for reading.

    Attributes:
        place: what the user knows it by: the folder, or the address that its shards are fetched from.
        path: folder of its index and other small files; that of the store, or one in the cache.
        files: where everything else is.
        index: what is in it.
        size: (height, width) of the frames, px.
        clips: what is in it.
        num_samples: number of targets; samples are numbered clip after clip.
        train_samples, val_samples, test_samples: int64 numbers of the training, validation and test samples.
        intrinsics_known: whether no clip's field of view was assumed.
        still_images: whether every frame is a sample of its own; then there are no neighbours.
        depth_protocol: 'kitti' or 'dense' when there are depth maps, else None.
        warnings: sentences worth knowing about how it was prepared.
    """

    def __init__(self, files: StoreFiles, index: StoreIndex) -> None:
        self.files, self.path, self.place, self.index = files, files.folder, files.place, index
        self.size, self.clips = index.size, index.clips
        self.still_images, self.depth_protocol = index.still_images, index.depth_protocol
        self.warnings = index.warnings
        self.intrinsics_known = all(clip.intrinsics_known for clip in self.clips)
        self._samples = samples = SampleTable(self.clips)
        self.num_samples = samples.count
        self.train_samples, self.val_samples, self.test_samples = samples.train, samples.val, samples.test
        none = np.full((3, 3), np.nan), np.full((4, 4), np.nan)
        self._intrinsics = np.array([c.intrinsics for c in self.clips], np.float32).reshape(-1, 3, 3)
        self._stereo_intrinsics = np.array([c.stereo_intrinsics or none[0] for c in self.clips], np.float32)
        self._T_to_stereo = np.array([c.T_to_stereo or none[1] for c in self.clips], np.float32)

    @classmethod
    def open(cls, path: str | Path) -> FrameStore:
        """Open a prepared store: its folder, or where it was uploaded to (a folder, or an URL of fsspec).

        Raises:
            DataError: not there, no store, written by a newer version, damaged, or replaced meanwhile; or it
                cannot be reached.
            ConfigError: a library that reads such addresses is not installed.
            RunFolderError: the cache cannot be written.
        """
        if is_url(path) or is_sharded(as_path(path, "store")):
            from geopretrain.data.store.sharded.files import ShardedFiles

            shards = ShardedFiles.open(str(path))
            return cls(shards, read_index(shards.folder))._checked()
        path, attempts = as_path(path, "store"), 9
        while (path / COMPLETE_FOLDER).exists() and attempts:  # its files are perhaps being moved right now
            try:
                return cls._opened(path)
            except (DataError, OSError):
                attempts -= 1
        return cls._opened(path)

    @classmethod
    def _opened(cls, path: Path) -> FrameStore:
        files = FolderFiles(path)
        before = files.version()
        store = cls(files, read_index(path))._checked()
        if files.version() != before:
            raise DataError(f"{path} was replaced while it was being opened. Repeat the command.")
        return store

    def __len__(self) -> int:
        return self.num_samples

    # ---------------------------------------------------------------- the protocol of a data set

    def read(self, indices: Positions, fields: Fields = TRIPLET) -> ClipBatch:
        """Read samples in one indexed read of each memory-mapped file.

        Args:
            indices: sample numbers, ``B``.
            fields: frames of a sample, and what else to read: ``stereo``, ``depth``, ``pseudo_depth``.

        Returns:
            uint8 images ``B F 3 H W`` with float32 intrinsics ``B 3 3`` and the fields asked for.

        Raises:
            ConfigError: a sample number out of range, or a time for which some sample has no frame.
            DataError: a sample lacks what is asked for.
        """
        samples = positions(indices, self.num_samples)
        clips = self._samples.clip[samples]
        batch = ClipBatch(
            images=torch.from_numpy(self._pixels.read(self._frame_rows(samples, fields.frames))),
            intrinsics=torch.from_numpy(self._intrinsics[clips]),
            offsets=fields.frames,
            index=torch.from_numpy(samples),
            clip=torch.from_numpy(clips),
        )
        for name in fields.names:
            batch = replace(batch, **self._read_field(name, samples))  # type: ignore[arg-type]
        return batch

    def splits(self, fields: Fields = TRIPLET) -> dict[str, np.ndarray]:
        """Return the numbers of the samples with these fields: ``train``, ``val``; ``test`` where there are.

        Raises:
            DataError: no training sample has all of them; the message says what is missing.
        """
        every = np.arange(self.num_samples)
        usable = np.asarray((self._samples.frame_rows(every, fields.frames) >= 0).all(1))
        if self.still_images and not fields.alone:
            usable[:] = False  # the next picture in the store may show another place
        for name in fields.names:
            usable &= self._field_rows(name, every) >= 0
        found = {split: samples[usable[samples]] for split, samples in self._splits.items()}
        if not len(found["train"]):
            raise DataError(self._why_no_samples(fields))
        return found

    def check(self, indices: Positions, fields: Fields) -> None:
        """Make sure that the samples have the fields; the files were checked when the store was opened.

        Raises:
            ConfigError: a sample has no such frame.
            DataError: a sample lacks a field.
        """
        samples = positions(indices, self.num_samples)
        self._frame_rows(samples, fields.frames)
        for name in fields.names:
            self._require_rows(name, samples)

    def names(self, indices: Positions) -> list[str]:
        """Return the clip and frame of each sample's target, e.g. ``garden.mp4/000042``."""
        places = (self.sample(int(number)) for number in positions(indices, self.num_samples))
        return [f"{self.clips[clip].name}/{frame:06d}" for clip, frame in places]

    def describe(self) -> Description:
        """Return what the store is; ``geopretrain.data.prepare.summary`` says more."""
        return Description(
            kind="frame store",
            path=self.place,
            size=self.size,
            counts={split: len(samples) for split, samples in self._splits.items()},
            fields=tuple(name for name in ("stereo", "depth", "pseudo_depth") if self.has(name)),
            neighbours=not self.still_images,
            depth_protocol=self.depth_protocol,
            pseudo_depth=self.pseudo_depth,
            sentences=tuple(self.warnings),
        )

    def doubts(self) -> list[str]:
        """Return a sentence for each kind of camera that is possible and odd, with the clips that have it."""
        return [*doubts(self.place, self.clips, self.size), *self.files.doubts()]

    def fingerprint(self, fields: Fields = TRIPLET) -> str:
        """Return 16 hexadecimal digits for what is read with these fields.

        Cameras, samples and the motion of each of them go in whole, of large files of pixels a part.
        """
        names = [name for name in ("stereo", "depth", "pseudo_depth") if name in fields.names]
        if (known := self.files.fingerprint(names)) is not None:
            return known
        digest = Digest().add([list(self.size), self.still_images, [clip.content() for clip in self.clips]])
        digest.add_file(self.path / FRAMES_FILE)
        for name, file in (("stereo", STEREO_FILE), ("depth", DEPTH_FILE)):
            if name in fields.names and (self.path / file).exists():
                digest.add_file(self.path / file)
            elif name in fields.names:
                digest.add(0)  # as of the empty file that other stores without it have
        if "pseudo_depth" in fields.names and self._pseudo is not None:
            digest.add([self._pseudo.info.quantity, self._pseudo.info.meaning])
            digest.add_file(self.path / self._pseudo.name)
        return digest.hex()

    # ---------------------------------------------------------------- what only a store knows

    def has(self, name: str) -> bool:
        """Return whether any sample has ``stereo``, measured ``depth`` or ``pseudo_depth`` (ConfigError)."""
        (known,) = Fields(names=(name,)).names  # refuses a misspelt name
        return bool((self._field_rows(known, np.arange(self.num_samples)) >= 0).any())

    def sample(self, number: int) -> tuple[int, int]:
        """Return (clip, frame) of a sample's target."""
        return int(self._samples.clip[number]), int(self._samples.frame[number])

    def frame_image(self, clip: int, frame: int) -> np.ndarray:
        """Return one stored frame as ``H W 3`` uint8 (ConfigError when it is not stored)."""
        row = self._samples.frames(np.array(clip), np.array(frame))
        if row < 0:
            raise ConfigError(f"Frame {frame} of clip {self.clips[clip].name} is not in the store.")
        return np.ascontiguousarray(self._pixels.read(row).transpose(1, 2, 0))

    def depth_frames(self, moving_only: bool = True) -> list[tuple[int, int, bool]]:
        """Return (clip, frame, held out) of the frames with a depth map.

        Args:
            moving_only: leave out frames of no sample (the camera was static), which repeat one view many
                times.
        """
        listed = []
        for number, clip in enumerate(self.clips):
            used, first_held_out = self._used_frames(clip), clip.first_held_out
            listed += [
                (number, frame, frame >= first_held_out)
                for frame in clip.depth_frames
                if frame in used or not moving_only
            ]
        return listed

    def depth(self, clip: int, frame: int) -> np.ndarray:
        """Return measured depth, float32 ``H W`` metres at source resolution, cropped like the frames."""
        if frame not in self.clips[clip].depth_frames:
            raise ConfigError(f"Frame {frame} of clip {self.clips[clip].name} has no depth map.")
        row = int(self._samples.depth(np.array(clip), np.array(frame)))
        name = f"{self.clips[clip].depth_folder}/{frame:06d}.png"
        return read_depth_png(self.files.depth_map(name, row), DEPTH_UNITS_PER_METRE)

    def pose(self, clip: int, frame: int) -> np.ndarray | None:
        """Return a pose, ``4 4`` camera to world, in the clip's ``pose_unit``; None for a frame without."""
        row = self._samples.poses(np.array(clip), np.array(frame))
        return None if row < 0 else np.vstack([self._pose_rows.read(row), (0, 0, 0, 1)])

    def points(self, clip: int, frame: int) -> np.ndarray | None:
        """Return points that a frame sees, float32 ``N 3``: x, y in px, depth in ``pose_unit``; or None."""
        row = self._samples.points(np.array(clip), np.array(frame))
        found = np.zeros((0, 3)) if row < 0 else self._point_rows.read(row)
        return found[np.isfinite(found).all(1) & (found[:, 2] > 0)] if len(found) else None

    def intrinsics(self, clip: int) -> np.ndarray:
        """Return a clip's intrinsics, float32 ``3 3``, px of the stored frames."""
        return self._intrinsics[clip]

    def row_files(self) -> dict[str, tuple[Rows, int, int]]:
        """Return the files of rows by their names: rows, number of rows, bytes of a row."""
        pixels, samples = self.size[0] * self.size[1], self._samples
        return {
            FRAMES_FILE: (self._pixels, samples.frames.count, 3 * pixels),
            STEREO_FILE: (self._stereo_pixels, samples.stereo.count, 3 * pixels),
            DEPTH_FILE: (self._depth_maps, samples.depth.count, 2 * pixels),
            POSES_FILE: (self._pose_rows, samples.poses.count, 12 * 8),
            POINTS_FILE: (self._point_rows, samples.points.count, MAX_POINTS * 3 * 4),
        }

    @property
    def pseudo_depth(self) -> PseudoDepthInfo | None:
        """What the teacher's depth means, None where no teacher has seen the store."""
        return None if self._pseudo is None else self._pseudo.info

    # ---------------------------------------------------------------- inside

    @property
    def _splits(self) -> dict[str, np.ndarray]:
        """All samples by what they are for."""
        samples = {"train": self.train_samples, "val": self.val_samples}
        return samples | ({"test": self.test_samples} if len(self.test_samples) else {})

    @cached_property
    def _pseudo(self) -> PseudoDepth | None:
        return PseudoDepth.open(self)

    @cached_property
    def _pixels(self) -> Rows:
        return self.files.rows(FRAMES_FILE, np.uint8, (self._samples.frames.count, 3, *self.size))

    @cached_property
    def _stereo_pixels(self) -> Rows:
        return self.files.rows(STEREO_FILE, np.uint8, (self._samples.stereo.count, 3, *self.size))

    @cached_property
    def _depth_maps(self) -> Rows:
        return self.files.rows(DEPTH_FILE, np.float16, (self._samples.depth.count, 1, *self.size))

    @cached_property
    def _pose_rows(self) -> Rows:
        return self.files.rows(POSES_FILE, np.float64, (self._samples.poses.count, 3, 4))

    @cached_property
    def _point_rows(self) -> Rows:
        return self.files.rows(POINTS_FILE, np.float32, (self._samples.points.count, MAX_POINTS, 3))

    def _frame_rows(self, samples: np.ndarray, times: tuple[int, ...]) -> np.ndarray:
        rows = self._samples.frame_rows(samples, times)
        if (rows < 0).any():
            sample, time = (int(v) for v in np.argwhere(rows < 0)[0])
            of = "single images" if self.still_images else "triplets (offsets -1, 0, 1)"
            raise ConfigError(
                f"Sample {samples[sample]} has no frame at offset {times[time]}; the store was prepared for "
                f"{of}."
            )
        return rows

    def _field_rows(self, name: str, samples: np.ndarray) -> np.ndarray:
        """Return the rows of a field of the targets of samples, -1 where there is none."""
        place = self._samples.clip[samples], self._samples.frame[samples]
        if name == "stereo":
            return self._samples.stereo(*place)
        if name == "depth":
            return self._samples.depth(*place)
        if name == "pseudo_depth" and self._pseudo is not None:
            return samples
        return np.full(len(samples), -1)

    def _require_rows(self, name: str, samples: np.ndarray) -> np.ndarray:
        rows = self._field_rows(name, samples)
        if (rows < 0).any():
            clip, frame = self.sample(int(samples[int(np.argmax(rows < 0))]))
            raise DataError(
                f"Frame {frame} of clip {self.clips[clip].name} has no {name} in {self.place}: "
                f"{self._how_to_get(name)}"
            )
        return rows

    def _read_field(self, name: str, samples: np.ndarray) -> dict[str, torch.Tensor]:
        """Return what `ClipBatch` has of a field."""
        rows = self._require_rows(name, samples)
        if name == "depth":
            return {"depth": torch.from_numpy(self._depth_maps.read(rows).astype(np.float32))}
        if name == "pseudo_depth" and self._pseudo is not None:
            return {"pseudo_depth": self._pseudo.read(samples)}
        clips = self._samples.clip[samples]
        return {
            "stereo": torch.from_numpy(self._stereo_pixels.read(rows)),
            "stereo_intrinsics": torch.from_numpy(self._stereo_intrinsics[clips]),
            "T_target_to_stereo": torch.from_numpy(self._T_to_stereo[clips]),
        }

    def _why_no_samples(self, fields: Fields) -> str:
        """Return the sentence about a store without a single fitting training sample."""
        for name in fields.names:
            if not self.has(name):
                return f"{self.place} holds no {NAMES[name]}. {self._how_to_get(name)}"
        if self.still_images and not fields.alone:
            return (
                f"{self.place} was prepared with --still-images and holds single images, but neighbouring "
                "frames are needed. Prepare video without --still-images."
            )
        return f"No training sample of {self.place} has {fields.in_words()}. Add data that has."

    def _how_to_get(self, name: str) -> str:
        if name == "pseudo_depth":
            return f"Make it with `geopretrain data pseudo-depth {self.place} --teacher NAME_OR_PATH`."
        if name not in ("stereo", "depth"):
            return "A frame store holds frames, stereo pairs and depth: give a labelled data set instead."
        return f"Prepare data that has {NAMES[name]}; `geopretrain data inspect` says what a data set has."

    def _used_frames(self, clip: ClipInfo) -> set[int]:
        """Return the frames which belong to a sample of the clip."""
        return set(clip.targets) if self.still_images else clip.sample_frames

    def _checked(self) -> FrameStore:
        """Return the store; raise the DataError that says what does not fit together."""
        for name, (rows, count, row_bytes) in self.row_files().items():
            if check_length(self.files, name, count, row_bytes):
                rows.open()  # from now on another store may take the place
        if self.num_samples == 0 or len(self.train_samples) == 0:
            raise DataError(f"{self.place} holds no training samples. {self.files.again}")
        self._frame_rows(np.arange(self.num_samples), (0,) if self.still_images else (-1, 0, 1))
        return self
