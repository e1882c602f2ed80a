"""Decoding one source clip into a working file, so that an interrupted preparation goes on where it was.

Frames are appended to ``frames.u8``, their right images to ``stereo.u8``, their depth maps to
``depth.f16`` (one row for each readable frame in all three, empty where there is none) and described line by
line in ``journal.jsonl``. After an interruption at any moment (also ``kill -9``) all are cut back to the last
frame which is complete in all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from geopretrain.data.prepare.ahead import read_ahead
from geopretrain.data.prepare.motion import PairMotion
from geopretrain.data.prepare.sparse_motion import measure_if_due
from geopretrain.data.readers import Frame, SourceClip
from geopretrain.data.readers.depth_maps import clean_depth, unit_warning
from geopretrain.data.resize import apply_crop, resize, resize_depth
from geopretrain.data.store.index import DEPTH_FILE, DEPTH_UNITS_PER_METRE, FRAMES_FILE, STEREO_FILE
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

_FRAMES_PER_WRITE = 16
_MOST_AHEAD, _BYTES_AHEAD = 16, 64 * 2**20
_NO_MOTION = (float("nan"),) * 4
_MAX_DEPTH = 65534 / DEPTH_UNITS_PER_METRE  # m, the most that the map at source resolution can say


@dataclass
class Entry:
    """One line of the journal: a frame of the source, readable or not.

    Attributes:
        index: number in the source.
        time: seconds from the start, None when unknown.
        error: why it is broken, None when it is stored.
        gap: whether frames are known to be missing before it.
        depth: whether it has a depth map.
        motion: what changed since the frame before (PairMotion as a list), None when that one is not there or
            what changes is steady (`sparse_motion`).
        depth_error: why a depth map that is there cannot be read, None when all is well.
        depth_cleaned: which of its values were no depths, None when all were.
        depth_unit: why its unit looks wrong, None when it does not.
        stereo: whether it has a right image.
        stereo_error: why a right image that is there cannot be read, None when all is well.
        difference: of the grey values to the frame before, None when that one is not there.
    """

    index: int
    time: float | None
    error: str | None
    gap: bool
    depth: bool
    motion: list[float] | None
    depth_error: str | None = None
    depth_cleaned: str | None = None
    depth_unit: str | None = None
    stereo: bool = False
    stereo_error: str | None = None
    difference: float | None = None


@dataclass
class _Rows:
    """What a frame adds to the files of rows; None where it has no such thing."""

    image: np.ndarray | None = None
    stereo: np.ndarray | None = None
    depth: np.ndarray | None = None


class Decoded:
    """What was decoded of one source clip: ``pixels`` ``N H W 3`` uint8, right images, depth, journal."""

    def __init__(self, folder: Path, entries: list[Entry], size: tuple[int, int]) -> None:
        self.entries = entries
        self.folder = folder
        good = [entry for entry in entries if entry.error is None]
        self.frames = [entry.index for entry in good]
        self.row = {index: row for row, index in enumerate(self.frames)}
        self.steps = np.array([entry.motion or _NO_MOTION for entry in good], dtype=np.float64).reshape(-1, 4)
        self.differences = {entry.index: entry.difference for entry in good if entry.difference is not None}
        self.pixels = self._mapped(FRAMES_FILE, np.uint8, (len(good), *size, 3))
        self._stereo = self._mapped(STEREO_FILE, np.uint8, (len(good), *size, 3))
        self._depth = self._mapped(DEPTH_FILE, np.float16, (len(good), *size))
        self.with_stereo = {entry.index for entry in good if entry.stereo}
        self.with_depth = {entry.index for entry in good if entry.depth}

    def _mapped(self, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
        path = self.folder / name
        if not shape[0] or not path.is_file():
            return np.zeros((0, *shape[1:]), dtype=dtype)
        return np.memmap(path, dtype, "r", shape=shape)

    def image(self, index: int) -> np.ndarray:
        """Return a frame by its number in the source."""
        return np.asarray(self.pixels[self.row[index]])

    def stereo(self, index: int) -> np.ndarray:
        """Return the right image of a frame, ``H W 3`` uint8."""
        return np.asarray(self._stereo[self.row[index]])

    def depth(self, index: int) -> np.ndarray:
        """Return the depth map of a frame at the size of the frames, ``H W`` float16 m."""
        return np.asarray(self._depth[self.row[index]])


def decode(
    clip: SourceClip,
    folder: Path,
    depth_folder: Path,
    crop: tuple[int, int, int, int],
    size: tuple[int, int],
    *,
    max_frames: int | None = None,
    motion: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> Decoded:
    """Decode a clip into a working folder, continuing what is there already.

    Args:
        clip: what to read.
        folder: working folder (frames and journal).
        depth_folder: where depth maps go, as 16-bit PNG, metres x 256, cropped but not resized.
        crop: part of the frames that is used, (top, left, height, width) px.
        size: (height, width) of the result.
        max_frames: stop after this many frames.
        motion: measure what changes between neighbouring frames.
        advance: called with the number of frames done since the last call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if clip.has_depth:
        depth_folder.mkdir(parents=True, exist_ok=True)
    entries = _recover(folder, _row_bytes(clip, size))
    advance(len(entries))
    before = _last_image(folder, entries, size)
    last = next((e.difference for e in reversed(entries) if e.motion is not None), None)
    with ExitStack() as stack:
        rows = [stack.enter_context((folder / name).open("ab")) for name in _row_bytes(clip, size)]
        journal = stack.enter_context((folder / "journal.jsonl").open("a", encoding="utf-8"))
        pending: list[tuple[Entry, _Rows]] = []
        for frame in _frames(clip, len(entries)):
            if max_frames is not None and frame.index >= max_frames:
                break
            image = None if frame.image is None else resize(frame.image, crop, size)
            entry = _entry(clip, frame, image, before if motion else None, last)
            last = entry.difference if entry.motion is not None else last
            added = _Rows(image)
            if image is not None and clip.has_stereo:
                added.stereo = _read_stereo(clip, entry, crop, size)
            if image is not None and clip.has_depth:
                added.depth = _read_depth(clip, entry, crop, size, depth_folder)
            before = image
            entries.append(entry)
            pending.append((entry, added))
            if len(pending) >= _FRAMES_PER_WRITE:
                _write(pending, rows, journal, size, advance)
        _write(pending, rows, journal, size, advance)
    return Decoded(folder, entries, size)


def _row_bytes(clip: SourceClip, size: tuple[int, int]) -> dict[str, int]:
    """Return the files of rows a clip fills, and the bytes of a row in each."""
    pixels = size[0] * size[1]
    files = {FRAMES_FILE: 3 * pixels}
    if clip.has_stereo:
        files[STEREO_FILE] = 3 * pixels
    if clip.has_depth:
        files[DEPTH_FILE] = 2 * pixels
    return files


def _frames(clip: SourceClip, start: int) -> Iterator[Frame]:
    """Yield the frames, read ahead where nothing else is read from the clip meanwhile."""
    frames = clip.frames(start)
    if clip.has_depth or clip.has_stereo:
        return frames
    return read_ahead(frames, min(_MOST_AHEAD, max(1, _BYTES_AHEAD // (3 * clip.size[0] * clip.size[1]))))


def _entry(
    clip: SourceClip,
    frame: Frame,
    image: np.ndarray | None,
    before: np.ndarray | None,
    last: float | None,
) -> Entry:
    motion: PairMotion | None = None
    difference: float | None = None
    if image is not None and before is not None:
        difference, motion = measure_if_due(frame.index, before, image, last)
        difference = round(difference, 6)
    numbers = [round(float(v), 5) for v in astuple(motion)] if motion else None
    anew = clip.starts_anew(frame.index)
    return Entry(
        frame.index, clip.time(frame.index), frame.error, anew, False, numbers, difference=difference
    )


def _write(
    pending: list[tuple[Entry, _Rows]],
    files: Sequence[IO[bytes]],
    journal: IO[str],
    size: tuple[int, int],
    advance: Callable[[int], None],
) -> None:
    """Write frames before the lines which vouch for them."""
    for file in files:
        name = Path(file.name).name
        for _, row in pending:
            if row.image is not None:
                file.write(_bytes_of(name, row, size))
        file.flush()
    journal.write("".join(json.dumps(vars(entry)) + "\n" for entry, _ in pending))
    journal.flush()
    advance(len(pending))
    pending.clear()


def _bytes_of(name: str, row: _Rows, size: tuple[int, int]) -> bytes:
    """Return what a readable frame adds to a file, zeros where it lacks it."""
    if name == DEPTH_FILE:
        return (np.zeros(size, np.float16) if row.depth is None else row.depth).tobytes()
    picture = row.image if name == FRAMES_FILE else row.stereo
    return (np.zeros((*size, 3), np.uint8) if picture is None else picture).tobytes()


def _recover(folder: Path, row_bytes: dict[str, int]) -> list[Entry]:
    """Return the entries which are complete, and cut the files back to them."""
    files = {folder / name: count for name, count in row_bytes.items()}
    stored = min(file.stat().st_size // count if file.is_file() else 0 for file, count in files.items())
    journal_file = folder / "journal.jsonl"
    entries: list[Entry] = []
    journal_bytes = good = 0
    for line in journal_file.read_bytes().splitlines(keepends=True) if journal_file.is_file() else []:
        entry = _parse(line)
        if entry is None or entry.index != len(entries) or (entry.error is None and good == stored):
            break
        entries.append(entry)
        good += entry.error is None
        journal_bytes += len(line)
    lengths = {file: good * count for file, count in files.items()} | {journal_file: journal_bytes}
    for file, length in lengths.items():
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


def _read_stereo(
    clip: SourceClip, entry: Entry, crop: tuple[int, int, int, int], size: tuple[int, int]
) -> np.ndarray | None:
    """Return the right image of a frame at the size of the store; the entry says how it went."""
    try:
        image = clip.stereo(entry.index)
    except DataError as error:
        entry.stereo_error = str(error)
        return None
    entry.stereo = image is not None
    return None if image is None else resize(image, crop, size)


def _read_depth(
    clip: SourceClip,
    entry: Entry,
    crop: tuple[int, int, int, int],
    size: tuple[int, int],
    folder: Path,
) -> np.ndarray | None:
    """Save the depth map of a frame at source resolution and return it at the size of the store.

    What was found goes into the entry. Pixels which are NaN, infinite or negative count as no measurement.
    """
    try:
        depth = clip.depth(entry.index)
        if depth is not None and depth.shape != clip.size:
            raise DataError(
                f"The depth map of frame {entry.index} is {in_px(depth.shape)}, the frame {sides(clip.size)}."
            )
    except DataError as error:
        entry.depth_error = str(error)
        return None
    if depth is None:
        return None
    depth, entry.depth_cleaned = clean_depth(depth)
    entry.depth_unit = unit_warning(depth)
    depth = apply_crop(depth, crop)
    entry.depth = _write_depth(depth, folder / f"{entry.index:06d}.png")
    small = resize_depth(depth, size)
    return np.where(small <= _MAX_DEPTH, small, 0).astype(np.float16)


def _write_depth(depth: np.ndarray, path: Path) -> bool:
    """Write ``H W`` m as 16-bit PNG; return whether any measurement is within its range."""
    import cv2

    values = np.rint(depth * DEPTH_UNITS_PER_METRE)
    values[values > 65534] = 0
    if not values.any():
        return False
    done, data = cv2.imencode(".png", values.astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if done:
        path.write_bytes(data.tobytes())
    return bool(done)
