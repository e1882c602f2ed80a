"""What became of each source, as a table like the data set section of a paper: read, dropped, kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.data.prepare.decode import Decoded
from geopretrain.data.prepare.segments import Segment, cut_positions
from geopretrain.data.readers import SourceClip
from geopretrain.data.store.folders import read_json, save_json
from geopretrain.data.store.index import store_file
from geopretrain.errors import DataError, calm
from geopretrain.records import as_type

if TYPE_CHECKING:
    from rich.table import Table

    from geopretrain.data.store.clip_info import ClipInfo

SUMMARY_FILE = "summary.json"
_COUNTS = ("frames", "broken", "static", "at_cuts", "samples", "train", "val", "kept", "cuts", "unlisted")
_SHOWN = {"frames": "read", "kept": "kept", "static": "static", "broken": "broken", "at_cuts": "cut"}


@dataclass(frozen=True)
class SourceSummary:
    """What became of the frames of one source: broken, static, at_cuts, unlisted or samples.

    Attributes:
        name: of the source.
        frames: read, broken ones included.
        broken: could not be read.
        static: left out because the picture, or the camera, hardly moves.
        at_cuts: left out because a neighbour is missing: at cuts, gaps, broken frames, beginning and end.
        samples: what can be learned from: triplets, or still images.
        train, val: of these for training and validation; the rest keeps both apart.
        kept: frames stored.
        cuts: scene cuts found.
        fps: frames per second, None when unknown.
        motion: mean flow between the frames of a triplet, px; None without any triplet.
        hours: length of what was read, None when the frame rate is unknown.
        unlisted: left out because a list of frames does not name them.
    """

    name: str
    frames: int
    broken: int
    static: int
    at_cuts: int
    samples: int
    train: int
    val: int
    kept: int
    cuts: int
    fps: float | None
    motion: float | None
    hours: float | None
    unlisted: int = 0


@dataclass(frozen=True)
class ReadStatistics:
    """What is known of a source once it is decoded and its samples are chosen; see `SourceSummary`."""

    name: str
    frames: int
    broken: int
    static: int
    cuts: int
    fps: float | None
    unlisted: int = 0


def read_statistics(clip: SourceClip, name: str, decoded: Decoded, segments: list[Segment]) -> ReadStatistics:
    """Return the statistics of a decoded source and its segments."""
    return ReadStatistics(
        name=name,
        frames=len(decoded.entries),
        broken=sum(entry.error is not None for entry in decoded.entries),
        static=sum(segment.static + segment.static_camera for segment in segments),
        cuts=len(cut_positions(decoded)),
        fps=clip.fps,
        unlisted=sum(segment.unlisted for segment in segments),
    )


def without_old_names(values: dict[str, Any]) -> dict[str, Any]:
    """Return statistics as files of version 0.1 have them under the names of today."""
    return {{"still": "static"}.get(name, name): value for name, value in values.items()}


def summarise(read: ReadStatistics, clips: Sequence[ClipInfo], still_images: bool) -> SourceSummary:
    """Return the summary of a source from `read_statistics` and what the store holds of it."""
    motions = [motion for clip in clips for motion in clip.target_motion]
    samples = sum(len(clip.targets) for clip in clips)
    return SourceSummary(
        **asdict(read),
        at_cuts=read.frames - read.broken - read.static - read.unlisted - samples,
        samples=samples,
        train=sum(clip.train_end for clip in clips),
        val=sum(len(clip.targets) - clip.val_start for clip in clips),
        kept=sum(len(clip.frames) for clip in clips),
        motion=round(float(np.mean(motions)), 3) if motions and not still_images else None,
        hours=read.frames / read.fps / 3600 if read.fps else None,
    )


def total(sources: Sequence[SourceSummary]) -> SourceSummary:
    """Return all sources as one; motion is the mean over samples, hours are of the sources that know them."""
    moving = [s for s in sources if s.motion is not None]
    rates = {s.fps for s in sources}
    hours = [s.hours for s in sources if s.hours is not None]
    weights = sum(s.samples for s in moving)
    return SourceSummary(
        name=f"{len(sources)} sources" if len(sources) != 1 else sources[0].name,
        fps=rates.pop() if len(rates) == 1 else None,
        motion=sum((s.motion or 0) * s.samples for s in moving) / weights if weights else None,
        hours=sum(hours) if hours else None,
        **{count: sum(getattr(s, count) for s in sources) for count in _COUNTS},
    )


def write_summary(folder: Path, sources: Sequence[SourceSummary], left_out: Sequence[str] = ()) -> None:
    """Write ``summary.json`` into a store; ``left_out`` says why nothing is in it of damaged inputs."""
    values = {"sources": [asdict(s) for s in sources], "total": asdict(total(sources))}
    save_json(folder / SUMMARY_FILE, values | {"left_out": list(left_out)})


def read_left_out(folder: Path) -> list[str]:
    """Return why nothing is in a store of some of its inputs; nothing where all is well or not known."""
    file = store_file(folder, SUMMARY_FILE)
    left_out = read_json(file).get("left_out") if file.is_file() else None
    return [str(reason) for reason in left_out] if isinstance(left_out, list) else []


def read_summary(folder: Path) -> list[SourceSummary]:
    """Return what `write_summary` wrote, nothing where it is missing or damaged."""
    file = store_file(folder, SUMMARY_FILE)
    sources: Any = read_json(file).get("sources") if file.is_file() else []
    named = [without_old_names(one) for one in sources] if _are_objects(sources) else sources
    try:
        found: list[SourceSummary] = as_type(list[SourceSummary], named, file, error=DataError, advice="")
        return found
    except DataError:
        return []


def _are_objects(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)


def in_words(summary: SourceSummary) -> str:
    """Return the summary in one line."""
    dropped = f"{summary.static} static, {summary.broken} broken, {summary.at_cuts} at cuts and ends"
    dropped += f", {summary.unlisted} not listed" if summary.unlisted else ""
    length = "" if summary.hours is None else f" ({length_in_words(summary.hours)})"
    motion = "" if summary.motion is None else f", mean motion {summary.motion:.1f} px"
    return f"{summary.frames} frames read{length}: {dropped}; {summary.samples} samples{motion}"


def length_in_words(hours: float) -> str:
    """Return e.g. ``2.4 h``, ``12.0 min`` or ``8.0 s``."""
    for unit, seconds in (("h", 3600.0), ("min", 60.0)):
        if hours * 3600 >= seconds:
            return f"{hours * 3600 / seconds:.1f} {unit}"
    return f"{hours * 3600:.1f} s"


def summary_table(sources: Sequence[SourceSummary], title: str) -> Table:
    """Return one row per source and one for all of them."""
    from rich import box
    from rich.table import Table

    table = Table(title=calm(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("source", overflow="fold", min_width=12)
    for heading in (*_SHOWN.values(), "train+val", "fps", "px", "length"):
        table.add_column(heading, justify="right", no_wrap=True)
    for source in sources:
        table.add_row(*_cells(source))
    if len(sources) > 1:
        table.add_section()
        table.add_row(*_cells(total(sources)))
    return table


def _cells(source: SourceSummary) -> list[str]:
    counts = [str(getattr(source, count)) for count in _SHOWN]
    rest = (
        f"{source.train}+{source.val}",
        "-" if source.fps is None else f"{source.fps:.3g}",
        "-" if source.motion is None else f"{source.motion:.1f}",
        "-" if source.hours is None else length_in_words(source.hours),
    )
    return [calm(source.name), *counts, *rest]
