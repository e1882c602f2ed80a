"""``data pseudo-depth``: a teacher looks at every sample of a store, once; methods learn from what it saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.commands.common import spread_positions
from geopretrain.console import console, say
from geopretrain.errors import ConfigError, DataError
from geopretrain.training.options import resolve_device

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.store.pseudo_depth import PseudoDepthInfo, PseudoDepthWriter
    from geopretrain.prediction.teachers import Teacher

CHECKED_MAPS = 50
"""Maps looked at for plausibility when all are made, evenly spread."""
PLAUSIBLE_METRES = (0.05, 1000.0)


def pseudo_depth(
    store: str | Path,
    teacher: str | Path | None = None,
    *,
    quantity: str | None = None,
    meaning: str | None = None,
    batch_size: int = 4,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> FrameStore:
    """Run a depth model over a prepared store and keep what it sees beside the frames.

    Args:
        store: folder of the prepared store.
        teacher: run folder of a depth method, folder of a transformers depth model, or its name on the
            Hugging Face hub, e.g. depth-anything/Depth-Anything-V2-Small-hf.
        quantity: what it gives: depth or disparity; left away: what is known of this kind of model.
        meaning: metric, scale (up to one factor) or scale_shift (up to a factor and an offset for each
            picture); left away: what is known of this kind of model.
        batch_size: pictures at a time.
        device: cpu, cuda, mps or auto.
        overwrite: replace the maps of another teacher.
        progress: show progress.

    Returns:
        The store, opened anew, with ``pseudo_depth`` (teacher, quantity, meaning).

    Raises:
        UserError: store or teacher cannot be used; the message says what to do.
    """
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.store.pseudo_depth import PseudoDepth, writing_pseudo_depth
    from geopretrain.prediction.teachers import load_teacher

    if teacher is None or teacher == "":
        raise ConfigError(
            "--teacher is missing: a run folder, the folder of a transformers model, or its name."
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size must be a whole number of at least 1, not {batch_size!r}.")
    frames = FrameStore.open(store)
    tutor = load_teacher(teacher, quantity=quantity, meaning=meaning, device=resolve_device(device))
    with writing_pseudo_depth(frames, tutor.info, tutor.identity, overwrite=overwrite) as writer:
        if writer.finished and writer.done == writer.total:
            say(f"{frames.path} already holds these maps; there is nothing to do.", progress=progress)
        else:
            _fill(writer, frames, tutor, batch_size, progress)
            _check(writer, tutor.info, progress)
            writer.publish()
    finished = FrameStore.open(store)
    found = PseudoDepth.open(finished)
    if found is not None:
        say(f"{finished.path} holds {len(finished)} maps: {found.info.in_words()}.", progress=progress)
    return finished


def _fill(
    writer: PseudoDepthWriter, store: FrameStore, teacher: Teacher, batch_size: int, progress: bool
) -> None:
    """Write the maps of the samples that have none yet."""
    from geopretrain.data.store.pseudo_depth import usable_values

    if writer.done:
        say(f"Continuing after {writer.done} of {writer.total} maps.", progress=progress)
    with (
        console.showing(progress),
        console.progress("teacher", writer.total, done=writer.done, unit="frames") as line,
    ):
        for first in range(writer.done, writer.total, batch_size):
            samples = np.arange(first, min(first + batch_size, writer.total))
            values = teacher(store.read(samples, (0,)).images[:, 0])
            names = [_frame_name(store, int(sample)) for sample in samples]
            writer.append(usable_values(values.numpy(), teacher.info, names))
            line.advance(len(samples))


def _frame_name(store: FrameStore, sample: int) -> str:
    clip, frame = store.sample(sample)
    return f"frame {frame} of {store.clips[clip].name}"


def _check(writer: PseudoDepthWriter, info: PseudoDepthInfo, progress: bool) -> None:
    """Refuse a teacher that sees nothing, and say what looks odd."""
    maps = [writer.written(position) for position in spread_positions(writer.total, CHECKED_MAPS)]
    flat = np.mean([np.ptp(m) <= 1e-4 * np.abs(m).max() for m in maps])
    if flat == 1:
        writer.discard()
        raise DataError(
            f"The teacher {info.teacher} gives the same value for every pixel of every picture: it has "
            "learned nothing, or these are not its weights. Nothing was stored."
        )
    if flat > 0.1:
        say(f"Note: {flat:.0%} of the maps are flat: the teacher saw nothing in them.", progress=progress)
    low, high = PLAUSIBLE_METRES
    median = float(np.median([np.median(m) for m in maps]))
    if info.meaning == "metric" and not low < median < high:
        say(
            f"Note: the median depth is {median:.3g} m, which is odd. Is the teacher metric, in metres? "
            "--meaning scale says that it is not.",
            progress=progress,
        )
