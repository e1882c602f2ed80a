"""A store in words and as a table, and the progress line of a preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopretrain.data.intrinsics import field_of_view_degrees

if TYPE_CHECKING:
    from rich.table import Table

    from geopretrain.data.store import ClipInfo, FrameStore

_CLIPS_LISTED = 20


def describe(store: FrameStore) -> str:
    """Return what is in a store, in words, notes included."""
    height, width = store.size
    held_out = len(store.val_samples)
    lines = [
        f"Frame store {store.path}: {_count(len(store.clips), 'clip')}, {len(store.train_samples)} training "
        f"and {held_out} "
        f"validation triplets of {width}x{height} pixels."
    ]
    lines += [f"  {_clip_line(store, number)}" for number in range(len(store.clips))][:_CLIPS_LISTED]
    if len(store.clips) > _CLIPS_LISTED:
        lines.append(f"  ... and {_count(len(store.clips) - _CLIPS_LISTED, 'more clip')}.")
    depth = store.depth_frames()
    if depth:
        lines.append(
            f"Measured depth ({store.depth_protocol}) for {_count(len(depth), 'frame')}, "
            f"{sum(held for *_, held in depth)} held out."
        )
    return "\n".join(lines + [f"Note: {note}" for note in store.notes])


def summary_table(store: FrameStore) -> Table:
    """Return one row per clip."""
    from rich import box
    from rich.table import Table

    title = f"{store.path}  ({store.size[1]}x{store.size[0]} pixels)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("clip", overflow="fold", min_width=14)
    for heading in ("train", "val", "stride", "motion", "still", "broken", "view", "depth"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, clip in enumerate(store.clips):
        horizontal, vertical = field_of_view_degrees(store.intrinsics(number), store.size)
        table.add_row(
            clip.name,
            str(clip.train_end),
            str(len(clip.targets) - clip.val_start),
            str(clip.stride),
            f"{clip.motion:.1f}",
            str(clip.still),
            str(clip.broken_count),
            f"{'' if clip.intrinsics_known else '~'}{horizontal:.0f}°x{vertical:.0f}°",
            str(len(clip.depth_frames) or "-"),
        )
    return table


def print_summary(store: FrameStore) -> None:
    """Print table, notes and where the contact sheet is."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(summary_table(store))
    console.print(
        "motion: mean flow in px; still: frames without enough motion; view: field of view, ~ guessed"
    )
    for note in store.notes:
        console.print(f"Note: {note}", markup=False)
    console.print(f"Look at {store.path / 'contact_sheet.png'} before training.", markup=False)


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
    parts = [
        f"{clip.name}: {_count(len(clip.targets), 'triplet')}, stride {clip.stride}, motion "
        f"{clip.motion:.1f} px",
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
