"""What transfers with labelled images share: opening them, which are learned from, when to score."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopretrain.config.labels import check_label_list
from geopretrain.config.options import FinetuneDetectionOptions, FinetuneSegmentationOptions
from geopretrain.config.overriding import halvings
from geopretrain.config.saved import as_saved
from geopretrain.data.dataset import IMAGES, Dataset
from geopretrain.data.label_lists import listed_subset
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import drawn_subset, spread_positions
from geopretrain.errors import DataError, OptionError, RunFolderError
from geopretrain.records import Object, read_json
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import Device
from geopretrain.tasks.base import Task
from geopretrain.tasks.presets import Preset
from geopretrain.training.batch_size import fitted
from geopretrain.training.judging import Judges, judges_of
from geopretrain.training.resolve import data_of_resumed_run, loop_settings, resolved
from geopretrain.training.stream import JointSamples, Samples
from geopretrain.training.train import Training
from geopretrain.weights import Init, LoadReport

Options = FinetuneSegmentationOptions | FinetuneDetectionOptions
Check = Callable[[LabelledSet, NDArray[np.int64], NDArray[np.int64], str], object]
PICTURES = 4


@dataclass(frozen=True)
class Transfer:
    """What is trained on what.

    Attributes:
        labelled: images.
        task: to train, with the weights that it begins with.
        report: of these weights.
        init: where they are from.
        preset: training settings.
        subset: positions of the images to learn from, in the train split.
        device: to compute on.
        out: folder of the run.
        learned: the images as they are read for learning, where they have more than their labels; None: as
            they are.
        frames: samples of video that are learned from in the same steps, None without.
        of_video: how many of them in a step, None for as many as labelled ones.
        beside: see `Training`.
    """

    labelled: LabelledSet
    task: Task
    report: LoadReport
    init: Init
    preset: Preset
    subset: list[int]
    device: Device
    out: Path
    learned: Dataset[Any] | None = None
    frames: Samples | None = None
    of_video: int | None = None
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def transfer_training(
    command: str, options: Options, transfer: Transfer, check: Check, **chosen: Any
) -> Training:
    """Return the training of a transfer with labelled images; nothing is written yet.

    Args:
        command: that trains.
        options: of it.
        transfer: what is trained.
        check: looks at the images that are learned from and those that are scored.
        chosen: options that were left open, as they were chosen.

    Raises:
        UserError: data or options cannot be used.
    """
    labelled, task, subset = transfer.labelled, transfer.task, transfer.subset
    splits = labelled.splits(task.required)
    learned, scored = splits["train"][subset], splits[options.evaluate_on]
    drawn = [number for number in subset if number < labelled.labelled_by_hand]
    judged = options.monitor and options.evaluate_on == "test"
    judges = judges_of_labelled(labelled, splits, subset) if judged else None
    looked_at = scored if judges is None else judges.positions
    loop = loop_settings(options, transfer.preset, transfer.device, len(subset), task=task, validate_every=0)
    points = curve(options.curve_points, loop.steps)
    loop = replace(loop, validate_at=tuple(points))
    samples = Samples(transfer.learned or labelled, learned, task.required)
    if transfer.frames is not None:
        samples = JointSamples(samples.data, learned, task.required, transfer.frames, transfer.of_video)
    if options.batch_size == "auto":
        loop = fitted(loop, task, samples, transfer.device)
    if not options.resume:  # what a run began with has been looked at then
        labelled.tell()
        check(labelled, learned, scored, options.evaluate_on)
    else:
        _check_same_images(transfer.out, labelled.names(learned))
    chosen |= {"size": labelled.size, "labels": len(drawn), "curve_points": points}
    return Training(
        command=command,
        config=as_saved(command, options, **resolved(loop, validate_every=options.validate_every, **chosen)),
        out=transfer.out,
        task=task,
        report=transfer.report,
        init=transfer.init,
        data=labelled,
        samples=samples,
        validation=Samples(labelled, looked_at, task.required),
        shown=Samples(labelled, looked_at[spread_positions(len(looked_at), PICTURES)], task.required),
        settings=loop,
        subset={"seed": options.subset_seed, "names": labelled.names(learned)},
        beside=transfer.beside,
        scored=None if judges is None else Samples(labelled, scored, task.required),
        chosen_on={} if judges is None else judges.as_json(),
    )


def judges_of_labelled(
    labelled: LabelledSet, splits: Mapping[str, NDArray[np.int64]], subset: Sequence[int]
) -> Judges:
    """Return images to choose weights on, as `judges_of` does; propagated labels, perhaps wrong, are none."""
    first = labelled.labelled_by_hand
    own = {**splits, "train": splits["train"][:first]}
    return judges_of(own, [number for number in subset if number < first])


def _check_same_images(run: Path, names: Sequence[str]) -> None:
    """Refuse to continue a run with other images, because a list or a rule has changed."""
    file = run / "subset.json"
    if not file.is_file():
        return
    kept = read_json(file, Object, error=RunFolderError, advice="Start the run again with --overwrite.")
    if list(kept.get("names", names)) != list(names):
        raise RunFolderError(
            f"The run in '{run}' was begun with other images, those of its subset.json, than would be "
            "learned from now. Where a list names them, restore it; else start another run in another --out."
        )


def selection(training: Training, run: RunFolder, split: str) -> dict[str, str]:
    """Return as ``selection`` a sentence where the images that are scored chose what is scored, else {}."""
    if not training.settings.monitor or training.scored is not None:
        return {}
    what = "weights were" if training.settings.keep == "best" else "number of steps was"
    described = training.data.describe()
    other = "Score it on images of their own for that"
    if described.counts.get("test") and split != "test":
        other += f": geopretrain evaluate {quote(str(run.path))} {quote(described.path)} --split test"
    sentence = (
        f"The {what} chosen by the very images that are scored ({split}), so the score is better than new "
        f"images will give. {other}."
    )
    return {"selection": sentence}


def open_labelled(
    options: Options, names: Sequence[str] = LABELS.names, size: tuple[int, int] | None = None
) -> LabelledSet:
    """Return the images of a transfer, opened for some fields, at the size of the options or else ``size``.

    Raises:
        DataError: there are none, or none to learn from or to score.
    """
    with data_of_resumed_run(options.data, bool(options.resume)):
        labelled = LabelledSet.open(str(options.data), size=options.size or size, names=names)
    for needed in ("train", options.evaluate_on):
        if not labelled.counts.get(needed):
            raise DataError(
                f"'{options.data}' has no images in its {needed} split ({labelled.describe().in_words()}). "
                "Add some, or choose the split that is scored with --evaluate-on."
            )
    return labelled


def labelled_subset(labelled: LabelledSet, options: Options) -> list[int]:
    """Return which of the training images are learned from, by their positions in the split.

    Drawn are images labelled by hand; frames that their labels were propagated to come with them.
    """
    check_label_list(options)
    alone = isinstance(options, FinetuneSegmentationOptions) and not options.propagated
    if options.label_list is not None:
        listed = listed_subset(labelled, IMAGES, os.fspath(options.label_list), options.labels)
        return listed if alone else labelled.with_propagated(listed)
    train = labelled.splits()["train"][: labelled.labelled_by_hand]
    count = len(train) if options.labels is None else options.labels
    drawn = drawn_subset(labelled, train, count, options.subset_seed, options.subset_by or "chance")
    return drawn if alone else labelled.with_propagated(drawn)


def curve(points: int | Sequence[int], steps: int) -> list[int]:
    """Return the steps after which to evaluate; the last one always is among them.

    ``6`` of 300 steps means 9, 18, 37, 75, 150, 300; several numbers are taken as given.

    Raises:
        ConfigError: not numbers between 1 and ``steps``.
    """
    if isinstance(points, int):
        return halvings(points, steps)
    if points and not (min(points) >= 1 and max(points) <= steps):
        raise OptionError("curve_points", f"must lie between 1 and {steps} steps, not {sorted(points)}.")
    return sorted({*points, steps})
