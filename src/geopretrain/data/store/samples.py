"""Tables that say, for many samples in one look-up, where their frames lie in the files of a store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geopretrain.data.store.clip_info import ClipInfo


class RowTable:
    """Where (clip, frame) lies in a file of equally large rows, for any number of frames in one look-up.

    Attributes:
        count: number of rows in the file.
    """

    def __init__(self, frames: Sequence[Sequence[int]], first_rows: Sequence[int]) -> None:
        """Take the source numbers of the frames in each clip, ascending, and each clip's first row."""
        self.count = sum(len(listed) for listed in frames)
        self._first = np.array([listed[0] if len(listed) else 0 for listed in frames], dtype=np.int64)
        last = np.array([listed[-1] if len(listed) else -1 for listed in frames], dtype=np.int64)
        self._span = last - self._first + 1
        self._base = np.concatenate([[0], np.cumsum(self._span)[:-1]]).astype(np.int64)
        self._row_of = np.full(int(self._span.sum()) + 1, -1, dtype=np.int64)  # the last one for "not there"
        for number, (listed, first_row) in enumerate(zip(frames, first_rows, strict=True)):
            places = self._base[number] + np.asarray(listed, dtype=np.int64) - self._first[number]
            self._row_of[places] = first_row + np.arange(len(listed))

    def __call__(self, clip: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """Return the rows of frames, -1 where there is none; ``clip`` and ``frame`` broadcast."""
        place = frame - self._first[clip]
        inside = (place >= 0) & (place < self._span[clip])
        return self._row_of[np.where(inside, self._base[clip] + place, -1)]


class SampleTable:
    """The samples of a store, numbered clip after clip, and the rows of what they consist of.

    Attributes:
        count: number of samples.
        clip, frame: ``N`` int64, clip and source number of the target of each sample.
        train, val, test: int64 numbers of the training, validation and test samples.
        frames, stereo, depth, poses, points: rows of (clip, frame) in the five files.
    """

    def __init__(self, clips: Sequence[ClipInfo]) -> None:
        counts = [len(clip.targets) for clip in clips]
        starts = np.cumsum([0, *counts])[:-1]
        self.count = sum(counts)
        self.clip = np.repeat(np.arange(len(clips)), counts)
        self.frame = np.array([target for clip in clips for target in clip.targets], dtype=np.int64)
        self.train = _joined([np.arange(a, a + c.train_end) for a, c in zip(starts, clips, strict=True)])
        self.val = _joined(
            [np.arange(a + c.val_start, a + len(c.targets)) for a, c in zip(starts, clips, strict=True)]
        )
        self.test = np.flatnonzero(np.repeat([clip.for_test for clip in clips], counts)).astype(np.int64)
        self._stride = np.array([clip.stride for clip in clips], dtype=np.int64)
        self.frames = RowTable([c.frames for c in clips], [c.first_row for c in clips])
        self.stereo = RowTable([c.stereo_frames for c in clips], [c.stereo_row for c in clips])
        self.depth = RowTable([c.depth_frames for c in clips], [c.depth_row for c in clips])
        self.poses = RowTable([c.pose_frames for c in clips], [c.pose_row for c in clips])
        self.points = RowTable([c.point_frames for c in clips], [c.point_row for c in clips])

    def frame_rows(self, samples: np.ndarray, times: tuple[int, ...]) -> np.ndarray:
        """Return rows ``B F`` of the frames of samples at some times (in strides), -1 where there is none."""
        clip = self.clip[samples][:, None]
        frames = self.frame[samples][:, None] + np.asarray(times) * self._stride[clip]
        return self.frames(clip, frames)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
