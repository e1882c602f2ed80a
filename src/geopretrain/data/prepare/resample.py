"""A clip at a lower frame rate: internet video of 24, 30 or 60 frames/s becomes comparable at, say, 10."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from geopretrain.data.readers import Frame, SourceClip
from geopretrain.data.readers.derived import DerivedClip
from geopretrain.data.readers.video import CUT_OFF
from geopretrain.errors import DataError

_TOLERANCE = 0.02  # fraction of an interval by which times may be early


class ResampledClip(DerivedClip):
    """The first readable frame of each interval of 1 / fps seconds; frames are counted anew.

    Times of the source decide, so that video of a changing frame rate is resampled evenly too. Depth, right
    image and pose are those of the frames chosen.
    """

    def __init__(self, clip: SourceClip, fps: float) -> None:
        super().__init__(clip)
        if clip.length is not None and clip.fps is not None:
            self.length = -int(-clip.length * fps // clip.fps)
        self.fps = fps
        self.warnings.append(
            f"Resampled from {clip.fps:.4g} to {fps:g} frames/s; frame numbers count the frames taken."
        )
        self._taken: list[int] = []
        self._anew: set[int] = set()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames taken, from ``start`` on; those before it are gone through again."""
        self._taken, self._anew = [], set()
        for index, (frame, anew) in enumerate(self._chosen()):
            self._taken.append(frame.index)
            if anew:
                self._anew.add(index)
            if index >= start:
                yield replace(frame, index=index)

    def _chosen(self) -> Iterator[tuple[Frame, bool]]:
        """Yield the frame of each interval which holds any, and whether frames are missing before it."""
        assert self.fps is not None
        best: Frame | None = None
        slot = before = -1
        gap = anew = False
        end: Frame | None = None  # what says that the file ends early
        for frame in self._clip.frames():
            end = frame if frame.error is not None and frame.error.endswith(CUT_OFF) else None
            time = self._clip.time(frame.index)
            now = slot if time is None else max(slot, int(np.floor(time * self.fps + _TOLERANCE)))
            gap = gap or self._clip.starts_anew(frame.index)
            if now != slot and best is not None:
                yield best, anew
                best, before = None, slot
            if best is None:
                best, slot = frame, now
                anew, gap = gap or (before >= 0 and now - before > 2), False
            elif best.error is not None and frame.error is None:
                best = frame
        if best is not None:
            yield best, anew
        if end is not None and end is not best:
            yield end, False

    def source_index(self, index: int) -> int:
        """Return the number of a frame taken among all frames."""
        return self._taken[index]

    def frame(self, index: int) -> Frame:
        """Return one frame; those before it are gone through again."""
        return SourceClip.frame(self, index)

    def depth_indices(self) -> list[int]:
        """Return the frames which may have a depth map."""
        return SourceClip.depth_indices(self)

    def stereo_indices(self) -> list[int]:
        """Return the frames which may have a right image."""
        return SourceClip.stereo_indices(self)

    def time(self, index: int) -> float | None:
        """Return the time of a frame already taken, else an estimate."""
        return (
            self._clip.time(self._taken[index]) if index < len(self._taken) else SourceClip.time(self, index)
        )

    def starts_anew(self, index: int) -> bool:
        """Return whether frames are missing just before this one."""
        return index in self._anew


def resampled(clip: SourceClip, fps: float | None) -> SourceClip:
    """Return the clip at ``fps`` frames per second; as it is where that is None or its own rate.

    Raises:
        DataError: the clip's own frame rate is unknown or lower, or a split says which frames are taken.
    """
    if fps is None:
        return clip
    if clip.listed_stride is not None:
        raise DataError(f"{clip.name}: the split says which frames are taken. Prepare it without --fps.")
    if clip.fps is None:
        raise DataError(
            f"{clip.name}: its frame rate is unknown, so it cannot be brought to {fps:g} frames/s. Prepare "
            "it without --fps."
        )
    if clip.fps < 0.95 * fps:
        raise DataError(
            f"{clip.name} has only {clip.fps:.3g} frames/s and cannot be brought to {fps:g}. Choose a lower "
            "--fps."
        )
    return clip if clip.fps < 1.05 * fps else ResampledClip(clip, fps)
