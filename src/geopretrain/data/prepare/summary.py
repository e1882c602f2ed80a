"""A store in words and as a table, and the progress line of a preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.data.prepare.intrinsics import field_of_view_degrees
from geopretrain.data.prepare.source_summary import in_words, read_summary, summary_table, total
from geopretrain.data.store.frame_store import SHEET_FILE

if TYPE_CHECKING:
    from geopretrain.data.store.clip_info import ClipInfo
    from geopretrain.data.store.frame_store import FrameStore

_CLIPS_LISTED = 20


def describe(store: FrameStore) -> str:
    """Return what is in a store, in words, notes included."""
    height, width = store.size
    held_out = len(store.val_samples)
    lines = [
        f"Frame store {store.path}: {_count(len(store.clips), 'clip')}, {len(store.train_samples)} training "
        f"and {held_out} "
        f"validation {'still images' if store.still_images else 'triplets'} of {width}x{height} pixels."
    ]
    sources = read_summary(store.path)
    lines += [f"  {in_words(total(sources))}."] if sources else []
    lines += [f"  {_clip_line(store, number)}" for number in range(len(store.clips))][:_CLIPS_LISTED]
    if len(store.clips) > _CLIPS_LISTED:
        lines.append(f"  ... and {_count(len(store.clips) - _CLIPS_LISTED, 'more clip')}.")
    stereo = sum(len(clip.stereo_frames) for clip in store.clips)
    if stereo:
        motions = [np.array(clip.T_to_stereo) for clip in store.clips if clip.T_to_stereo]
        baselines = sorted({f"{np.linalg.norm(motion[:3, 3]):.3g}" for motion in motions})
        lines.append(f"Stereo partners for {_count(stereo, 'target')}, baseline {', '.join(baselines)} m.")
    depth = store.depth_frames()
    if depth:
        lines.append(
            f"Measured depth ({store.depth_protocol}) for {_count(len(depth), 'frame')}, "
            f"{sum(held for *_, held in depth)} held out."
        )
    if store.pseudo_depth is not None:
        lines.append(f"Pseudo-depth: {store.pseudo_depth.in_words()}.")
    return "\n".join(lines + [f"Note: {note}" for note in store.notes])


def print_summary(store: FrameStore) -> None:
    """Print table, notes and where the contact sheet is."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    sources = read_summary(store.path)
    if sources:
        title = f"{store.path}  ({store.size[1]}x{store.size[0]} pixels)"
        console.print(summary_table(sources, title))
        console.print(
            "read: frames; kept: of these stored; still: too little motion; cut: a neighbour is missing "
            "(cuts, ends); px: mean flow between neighbouring frames of a sample"
        )
    for number in range(min(len(store.clips), _CLIPS_LISTED)):
        console.print(_clip_line(store, number), markup=False)
    for note in store.notes:
        console.print(f"Note: {note}", markup=False)
    console.print(f"Look at {store.path / SHEET_FILE} before training.", markup=False)


class ProgressLine:
    """The file at hand, a bar, frames per second and the time left; silent when not wanted."""

    def __init__(self, shown: bool) -> None:
        self._progress: Any = None
        self._task: Any = None
        if shown:
            self._progress = _make_progress()

    def __enter__(self) -> ProgressLine:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def start(self, what: str, total: int | None) -> None:
        """Begin a new line."""
        if self._progress:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=total)

    def advance(self, count: int) -> None:
        """Say that so many more frames are done."""
        if self._progress:
            self._progress.advance(self._task, count)


def _make_progress() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        """Frames per second."""

        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.0f} frames/s")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _clip_line(store: FrameStore, number: int) -> str:
    clip: ClipInfo = store.clips[number]
    horizontal, vertical = field_of_view_degrees(store.intrinsics(number), store.size)
    found = f"{clip.name}: {_count(len(clip.targets), 'triplet')}, stride {clip.stride}, "
    if store.still_images:
        found = f"{clip.name}: {_count(len(clip.targets), 'still image')}"
    parts = [
        found if store.still_images else f"{found}motion {clip.motion:.1f} px",
        f"field of view {horizontal:.0f}x{vertical:.0f} "
        f"degrees{'' if clip.intrinsics_known else ' (guessed)'}",
    ]
    if clip.still:
        parts.append(f"{_count(clip.still, 'frame')} too still")
    if clip.broken_count:
        parts.append(f"{clip.broken_count} broken")
    return ", ".join(parts) + "."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
