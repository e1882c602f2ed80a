"""``data propagate``: labels carried to neighbouring frames of the video, as more images to learn from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.command import takes
from geopretrain.config.data_options import PropagateOptions
from geopretrain.config.saved import as_saved, check_replaces, write_saved
from geopretrain.console import console
from geopretrain.errors import DataError
from geopretrain.files import write_json, write_picture
from geopretrain.folders import renewed
from geopretrain.wording import counted

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.labelled.propagated import PropagatedFrame
    from geopretrain.data.matching import Match
    from geopretrain.data.propagation import Labels, Step
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.pictures import Picture
    from geopretrain.prediction.propagation import Propagation, Scores

COMMAND = "data propagate"
SHEET = "propagated.png"
FEWEST = 0.02
"""Fraction of the pixels with a label below which a frame is left out."""
AT_A_TIME, SHOWN = 16, 8


@dataclass(frozen=True)
class Propagated:
    """What was propagated.

    Attributes:
        folder: to be given as ``data`` in place of the images labelled by hand.
        frames: number of frames that have got labels.
        sources: number of training images that these are from.
        scores: of such labels where the truth is known, a row for each distance in strides: ``steps``,
            ``frames`` (pairs of labelled ones), ``labelled`` (fraction), ``accuracy`` and ``miou`` of what is
            labelled, ``iou`` of each class.
    """

    folder: Path
    frames: int
    sources: int
    scores: list[dict[str, Any]]


@takes(PropagateOptions)
def propagate(options: PropagateOptions) -> Propagated:
    """Carry the labels of training images to the frames around them.

    Returns:
        What was propagated, and the folder that it was written to.

    Raises:
        UserError: images, store, runs or folder cannot be used; the message says what to do.
    """
    from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
    from geopretrain.data.labelled.propagated import TABLE
    from geopretrain.data.propagation import planned
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.prediction.propagation import Propagation, scored, way_of

    out = Path(options.out)
    check_replaces(out, TABLE, "labels that were propagated before", overwrite=options.overwrite)
    use_threads(options.threads)
    store = FrameStore.open(os.fspath(options.store))
    saved = as_saved(COMMAND, options, by=way_of(store, options))
    if store.still_images:
        raise DataError(
            f"{store.place} holds single images without neighbours. Prepare the video without --still-images."
        )
    labelled = LabelledSet.open(saved["data"])
    training = len(labelled.splits(LABELS)["train"])
    if labelled.source.propagated_from:
        raise DataError(f"{options.data} has propagated labels already. Give the images labelled by hand.")
    moving = Propagation(store, labelled, options, resolve_device(options.device))
    matches = _matches(labelled, store, training)
    steps = planned(store, matches, training, options.reach)
    scores = scored(moving, [step for step in steps if step.truth is not None])
    _say(scores)
    frames = _write(out, moving, [step for step in steps if step.truth is None], scores, saved)
    sources = len({frame.source for frame in frames})
    console.say(
        f"{counted(len(frames), 'frame')} with labels of {counted(sources, 'training image')}. Give {out} as "
        f"--data in place of '{options.data}': what is scored stays the same. {out / SHEET} shows some."
    )
    return Propagated(out, len(frames), sources, scores.rows)


def _matches(labelled: LabelledSet, store: FrameStore, training: int) -> list[Match]:
    """Return the frames that the images are, and say how many are found (DataError without any)."""
    from geopretrain.data.matching import MAX_DIFFERENCE, frames_of_images

    matches = frames_of_images(labelled, store)
    found = sum(match.place is not None for match in matches[:training])
    if not found:
        differences = [match.difference for match in matches[:training]]
        nearest = np.nanmin(differences) if np.isfinite(differences).any() else None
        why = (
            "none has the shape of its frames"
            if nearest is None
            else f"the nearest one differs by {nearest:.0f} of 255 on average, where at most "
            f"{MAX_DIFFERENCE:.0f} are taken for the same picture"
        )
        raise DataError(
            f"None of the {training} training images of {labelled.path} is a frame of {store.place}: {why}. "
            "Prepare the very video that the images were taken from."
        )
    others = sum(match.place is not None for match in matches[training:])
    console.say(
        f"{found} of {training} training images {_are_frames(found)} of the store"
        + (f"; {counted(others, 'image')} of other splits, too, left alone." if others else ".")
    )
    return matches


def _are_frames(count: int) -> str:
    return "is a frame" if count == 1 else "are frames"


def _write(
    out: Path, moving: Propagation, steps: Sequence[Step], scores: Scores, saved: dict[str, Any]
) -> list[PropagatedFrame]:
    """Write everything into a temporary folder, then put it in its place: all is there, or nothing."""
    from geopretrain import pictures
    from geopretrain.data.labelled.propagated import TABLE, PropagatedTable

    with renewed(out) as aside:
        frames, shown = _write_frames(aside, moving, steps)
        if not frames:
            raise DataError(_why_none(steps))
        table = PropagatedTable(
            saved["data"],
            moving.labelled.fingerprint(),
            saved["store"],
            saved["by"],
            frames,
            run=saved["run"] or "",
            refined_by=saved["refine"] or "",
            refined_with=moving.refined_with,
            scores=scores.rows,
        )
        write_json(aside / TABLE, asdict(table))
        rows = [*scores.pictures[: SHOWN - len(shown)], *shown]
        write_picture(aside / SHEET, pictures.grid([*rows, moving.legend()]))
        write_saved(aside, saved, own=True)
    return frames


def _write_frames(
    folder: Path, moving: Propagation, steps: Sequence[Step]
) -> tuple[list[PropagatedFrame], list[Picture]]:
    """Write frames with their labels; return what they are, and pictures of some."""
    from geopretrain.data.store.originals import read_again, say_stored
    from geopretrain.data.subsets import spread_positions

    frames: list[PropagatedFrame] = []
    shown: list[Picture] = []
    missing = 0
    drawn = set(spread_positions(len(steps), SHOWN // 2))
    with console.progress("frames", len(steps), unit="frames") as line:
        for first in range(0, len(steps), AT_A_TIME):
            some = steps[first : first + AT_A_TIME]
            originals = read_again(moving.store, [(step.clip, step.frame) for step in some])
            for number, step in enumerate(some, first):
                place = step.clip, step.frame
                picture = originals.get(place)
                missing += picture is None
                found = moving.labels(
                    step,
                    moving.store.frame_image(*place) if picture is None else picture,
                    whole=picture is not None,
                )
                picture = moving.store.frame_image(*place) if picture is None else picture
                if found is not None and (one := _write_frame(folder, moving, step, picture, found)):
                    frames.append(one)
                    shown += [moving.drawn(step, picture, found)] if number in drawn else []
                line.advance(1)
    say_stored(moving.store, missing)
    return frames, shown


def _write_frame(
    folder: Path, moving: Propagation, step: Step, picture: Picture, labels: Labels
) -> PropagatedFrame | None:
    """Write a frame and its labels; None where hardly any pixel has one."""
    from geopretrain.data.dataset import IGNORE
    from geopretrain.data.labelled.propagated import PropagatedFrame

    fraction = float((labels != IGNORE).mean())
    if fraction < FEWEST:
        return None
    clip = moving.store.clips[step.clip].name
    stem = PurePosixPath(f"{clip}/{step.frame:06d}").as_posix().replace("/", "_")
    image, file = (f"{kind}/{stem}_step{step.steps:+d}.png" for kind in ("images", "labels"))
    write_picture(folder / image, picture)
    write_picture(folder / file, labels)
    source = moving.labelled.names([step.source])[0]
    return PropagatedFrame(image, file, source, clip, step.frame, step.steps, fraction)


def _why_none(steps: Sequence[Step]) -> str:
    if not steps:
        return (
            "No frame is left to propagate labels to: those around the training images are missing in the "
            "store, have labels, or are nearer to an image that is scored. Prepare more of the video."
        )
    return (
        f"Nothing could be propagated to any of {len(steps)} frames: nearly every point would be hidden. "
        "Depth and motion do not fit the video; look at them with predict and evaluate, allow more with "
        "--max-inconsistency and --max-colour-difference, or propagate with --by flow."
    )


def _say(scores: Scores) -> None:
    """Say how right labels are, where that is known."""
    for row in scores.rows:
        console.say(
            f"{counted(row['steps'], 'stride')} away, in {counted(row['frames'], 'pair')} of labelled "
            f"frames: {row['labelled']:.0%} of the pixels labelled, {row['accuracy']:.1%} of these right, "
            f"mIoU {row['miou']:.1%}."
        )
