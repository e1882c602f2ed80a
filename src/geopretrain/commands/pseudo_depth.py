"""``data pseudo-depth``: a teacher looks at every sample of a store, once; methods learn from what it saw."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.command import takes
from geopretrain.config.data_options import PseudoDepthOptions
from geopretrain.config.saved import as_saved, reserve_saved, write_saved
from geopretrain.console import console
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import DataError

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.store.pseudo_depth import PseudoDepthInfo, PseudoDepthWriter
    from geopretrain.prediction.teachers import Teacher

CHECKED_MAPS = 50
"""Maps looked at for plausibility when all are made, evenly spread."""
PLAUSIBLE_METRES = (0.05, 1000.0)


@takes(PseudoDepthOptions)
def pseudo_depth(options: PseudoDepthOptions) -> FrameStore:
    """Run a depth model over a prepared store and keep what it sees beside the frames.

    Returns:
        The store, opened anew, with ``pseudo_depth`` (teacher, quantity, meaning).

    Raises:
        UserError: store or teacher cannot be used; the message says what to do.
    """
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.data.store.pseudo_depth import PseudoDepth, check_can_grow, writing_pseudo_depth
    from geopretrain.prediction.teachers import load_teacher

    store, saved = os.fspath(options.store), as_saved("data pseudo-depth", options)
    frames = FrameStore.open(store)
    check_can_grow(frames)
    use_threads(options.threads)
    teacher = load_teacher(
        saved["teacher"],  # its path is absolute: it is the same teacher, wherever it is named from
        quantity=options.quantity,
        meaning=options.meaning,
        device=resolve_device(options.device),
    )
    with writing_pseudo_depth(frames, teacher.info, teacher.identity, overwrite=options.overwrite) as writer:
        reserve_saved(frames.path, saved["command"])
        if writer.finished and writer.done == writer.total:
            console.say(f"{frames.path} already holds these maps; there is nothing to do.")
        else:
            _fill(writer, frames, teacher, options.batch_size)
            _check(writer, teacher.info)
            writer.publish()
        write_saved(frames.path, saved)
    finished = FrameStore.open(store)
    found = PseudoDepth.open(finished)
    if found is not None:
        console.say(f"{finished.path} holds {len(finished)} maps: {found.info.in_words()}.")
    return finished


def _fill(writer: PseudoDepthWriter, store: FrameStore, teacher: Teacher, batch_size: int) -> None:
    """Write the maps of the samples that have none yet."""
    from geopretrain.data.dataset import IMAGES
    from geopretrain.data.store.pseudo_depth import usable_values

    if writer.done:
        console.say(f"Continuing after {writer.done} of {writer.total} maps.")
    with console.progress("teacher", writer.total, done=writer.done, unit="images") as line:
        for first in range(writer.done, writer.total, batch_size):
            samples = np.arange(first, min(first + batch_size, writer.total))
            values = teacher(store.read(samples, IMAGES).images[:, 0])
            names = [_frame_name(store, int(sample)) for sample in samples]
            writer.append(usable_values(values.numpy(), teacher.info, names))
            line.advance(len(samples))


def _frame_name(store: FrameStore, sample: int) -> str:
    clip, frame = store.sample(sample)
    return f"frame {frame} of {store.clips[clip].name}"


def _check(writer: PseudoDepthWriter, info: PseudoDepthInfo) -> None:
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
        console.warn(f"Note: {flat:.0%} of the maps are flat: the teacher saw nothing in them.")
    low, high = PLAUSIBLE_METRES
    median = float(np.median([np.median(m) for m in maps]))
    if info.meaning == "metric" and not low < median < high:
        console.warn(
            f"Note: the median depth is {median:.3g} m, which is odd. Is the teacher metric, in metres? "
            "--meaning scale says that it is not."
        )
