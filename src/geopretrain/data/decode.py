"""Decoding one source clip into a working file, so that an interrupted preparation goes on where it was.

Frames are appended to ``frames.u8`` and described line by line in ``journal.jsonl``. After an interruption at
any moment (also ``kill -9``) both are cut back to the last frame which is complete in both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from geopretrain.data.motion import PairMotion, measure
from geopretrain.data.resize import apply_crop, resize
from geopretrain.data.sources import Frame, SourceClip
from geopretrain.data.store import DEPTH_UNITS_PER_METRE
from geopretrain.errors import DataError

_FRAMES_PER_WRITE = 16
_NO_MOTION = (float("nan"),) * 4


@dataclass
class Entry:
    """One line of the journal: a frame of the source, readable or not.

    Attributes:
        index: number in the source.
        time: seconds from the start, None when unknown.
        error: why it is broken, None when it is stored.
        gap: whether frames are known to be missing before it.
        depth: whether it has a depth map.
        depth_error: why a depth map that is there cannot be read, None when all is well.
        motion: what changed since the frame before (PairMotion as a list), None when that one is not there.
    """

    index: int
    time: float | None
    error: str | None
    gap: bool
    depth: bool
    motion: list[float] | None
    depth_error: str | None = None


class Decoded:
    """The decoded frames of one source clip: ``pixels`` ``N H W 3`` uint8 and the journal."""

    def __init__(self, folder: Path, entries: list[Entry], size: tuple[int, int]) -> None:
        self.entries = entries
        good = [entry for entry in entries if entry.error is None]
        self.frames = [entry.index for entry in good]
        self.row = {index: row for row, index in enumerate(self.frames)}
        self.steps = np.array([entry.motion or _NO_MOTION for entry in good], dtype=np.float64).reshape(-1, 4)
        shape = (len(good), *size, 3)
        path = folder / "frames.u8"
        self.pixels: np.ndarray = (
            np.memmap(path, np.uint8, "r", shape=shape) if good else np.zeros(shape, dtype=np.uint8)
        )

    def image(self, index: int) -> np.ndarray:
        """Return a frame by its number in the source."""
        return np.asarray(self.pixels[self.row[index]])


def decode(
    clip: SourceClip,
    folder: Path,
    depth_folder: Path,
    crop: tuple[int, int, int, int],
    size: tuple[int, int],
    *,
    max_frames: int | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Decoded:
    """Decode a clip into a working folder, continuing what is there already.

    Args:
        clip: what to read.
        folder: working folder (frames and journal).
        depth_folder: where depth maps go, as 16-bit PNG, metres x 256, cropped but not resized.
        crop, size: part of the frames used and (height, width) of the result.
        max_frames: stop after this many frames.
        advance: called with the number of frames done since the last call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if clip.has_depth:
        depth_folder.mkdir(parents=True, exist_ok=True)
    entries = _recover(folder, size)
    advance(len(entries))
    before = _last_image(folder, entries, size)
    start = len(entries)
    with (
        (folder / "frames.u8").open("ab") as pixels,
        (folder / "journal.jsonl").open("a", encoding="utf-8") as journal,
    ):
        pending: list[tuple[Entry, np.ndarray | None]] = []
        for frame in clip.frames(start):
            if max_frames is not None and frame.index >= max_frames:
                break
            image = None if frame.image is None else resize(frame.image, crop, size)
            entry = _entry(clip, frame, image, before)
            if image is not None and clip.has_depth:
                try:
                    entry.depth = _write_depth(clip, frame.index, crop, depth_folder)
                except DataError as error:
                    entry.depth_error = str(error)
            before = image
            entries.append(entry)
            pending.append((entry, image))
            if len(pending) >= _FRAMES_PER_WRITE:
                _write(pending, pixels, journal, advance)
        _write(pending, pixels, journal, advance)
    return Decoded(folder, entries, size)


def _entry(clip: SourceClip, frame: Frame, image: np.ndarray | None, before: np.ndarray | None) -> Entry:
    motion: PairMotion | None = None
    if image is not None and before is not None:
        motion = measure(before, image)
    numbers = [round(float(v), 5) for v in astuple(motion)] if motion else None
    return Entry(
        frame.index, clip.time(frame.index), frame.error, clip.starts_anew(frame.index), False, numbers
    )


def _write(
    pending: list[tuple[Entry, np.ndarray | None]],
    pixels: IO[bytes],
    journal: IO[str],
    advance: Callable[[int], None],
) -> None:
    """Write frames before the lines which vouch for them."""
    for _, image in pending:
        if image is not None:
            pixels.write(image.tobytes())
    pixels.flush()
    journal.write("".join(json.dumps(asdict(entry)) + "\n" for entry, _ in pending))
    journal.flush()
    advance(len(pending))
    pending.clear()


def _recover(folder: Path, size: tuple[int, int]) -> list[Entry]:
    """Return the entries which are complete, and cut the files back to them."""
    frames_file, journal_file = folder / "frames.u8", folder / "journal.jsonl"
    frame_bytes = size[0] * size[1] * 3
    stored = frames_file.stat().st_size // frame_bytes if frames_file.is_file() else 0
    entries: list[Entry] = []
    journal_bytes = good = 0
    for line in journal_file.read_bytes().splitlines(keepends=True) if journal_file.is_file() else []:
        entry = _parse(line)
        if entry is None or entry.index != len(entries) or (entry.error is None and good == stored):
            break
        entries.append(entry)
        good += entry.error is None
        journal_bytes += len(line)
    for file, length in ((frames_file, good * frame_bytes), (journal_file, journal_bytes)):
        if file.is_file():
            os.truncate(file, length)
    return entries


def _parse(line: bytes) -> Entry | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _last_image(folder: Path, entries: list[Entry], size: tuple[int, int]) -> np.ndarray | None:
    if not entries or entries[-1].error is not None:
        return None
    return np.array(Decoded(folder, entries, size).pixels[-1])


def _write_depth(clip: SourceClip, index: int, crop: tuple[int, int, int, int], folder: Path) -> bool:
    """Save the depth map of a frame; return whether there is one with any measurement."""
    import cv2

    depth = clip.depth(index)
    if depth is None:
        return False
    values = np.rint(apply_crop(depth, crop) * DEPTH_UNITS_PER_METRE)
    values[(values < 0) | (values > 65534) | ~np.isfinite(values)] = 0
    if not values.any():
        return False
    done, data = cv2.imencode(".png", values.astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if done:
        (folder / f"{index:06d}.png").write_bytes(data.tobytes())
    return bool(done)
