"""The training of a pretext method, from options to what came out: for `pretrain` and `finetune depth`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from geopretrain.compute import resolve_device
from geopretrain.config.options import FinetuneDepthOptions, PretrainOptions
from geopretrain.config.saved import as_saved
from geopretrain.console import console
from geopretrain.data.dataset import Dataset
from geopretrain.data.label_lists import listed_subset
from geopretrain.data.labelled.census import check_image_classes, check_labels
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.opening import open_dataset
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.subsets import drawn_subset, spread_positions
from geopretrain.errors import DataError
from geopretrain.evaluation.depth import check_depth, sentences
from geopretrain.evaluation.probe import LinearProbe
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import Device, plain
from geopretrain.tasks.base import DepthTask, Task
from geopretrain.tasks.building import task_config
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.registry import PRETEXTS, task_class
from geopretrain.training.batch_size import fitted
from geopretrain.training.resolve import (
    choose_backbone,
    choose_preset,
    data_of_resumed_run,
    destination,
    loop_settings,
    resolved,
    with_first_weights,
)
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import Samples
from geopretrain.training.train import Training
from geopretrain.weights import Init, LoadReport

PICTURES = 3
Options = PretrainOptions | FinetuneDepthOptions


def pretext_training(
    command: str,
    method: str,
    options: Options,
    settings: Mapping[str, Any],
    among: Mapping[str, str] = PRETEXTS,
    *,
    backbone_only: bool = False,
    **own: Any,
) -> Training:
    """Return a training of a pretext method, or of a transfer to depth, that is ready to start.

    Args:
        command: as config.yaml has it.
        method: name of the method.
        options: of the command.
        settings: of the method.
        among: the methods that are meant.
        backbone_only: nothing is taken over from the initialisation but its backbone.
        own: options of the method that are options of the command.

    Raises:
        UserError: data, options, weights or folder cannot be used.
    """
    out, device = destination(options), resolve_device(options.device)
    backbone = choose_backbone(options.backbone, options.init)
    cls = task_class(method, among)
    config = task_config(cls, settings, backbone=backbone, **own)
    (task, report, init), preset, data = _begun(cls, config, options, device, backbone_only)
    samples, validation = _samples(data, task, options)
    loop = _loop(options, task.presets[preset].of_init(init.kind), samples, task, device)
    chosen = resolved(loop, backbone=backbone, preset=preset, size=data.size)
    return Training(
        command=command,
        config=as_saved(command, options, **chosen),
        out=out,
        task=task,
        report=report,
        init=init,
        data=data,
        samples=samples,
        validation=validation,
        shown=_shown(samples, validation),
        settings=loop,
        subset=_subset(samples, options),
        probe=_probe(options),
    )


def _begun(
    cls: type[Task], config: Any, options: Options, device: Device, backbone_only: bool
) -> tuple[tuple[Task, LoadReport, Init], str, FrameStore | LabelledSet]:
    """Return the task with its first weights, the name of its preset, and the data, which have a say."""
    begun = with_first_weights(cls, config, options, backbone_only=backbone_only)
    preset = choose_preset(options.preset, device, begun[0].presets)
    data = _opened(options, begun[0], begun[0].presets[preset])
    if decided := begun[0].decided_by(data.describe()):
        begun = with_first_weights(cls, replace(config, **decided), options, backbone_only=backbone_only)
    return begun, preset, data


def _opened(options: Options, task: Task, preset: Preset) -> FrameStore | LabelledSet:
    """Return the data, with what is worth knowing about them said."""
    with data_of_resumed_run(options.data, bool(options.resume)):
        data = open_dataset(
            plain(options.data),
            task.required,
            size=options.size,
            default_size=preset.size,
            default_crop=preset.crop,
        )
    for sentence in data.doubts() if isinstance(data, FrameStore) else ():
        console.warn(sentence)
    if isinstance(data, LabelledSet):
        console.say(f"{data.path}: {data.describe().in_words(remarks=True)}.")
    return data


def _loop(options: Options, preset: Preset, samples: Samples, task: Task, device: Device) -> LoopSettings:
    loop = loop_settings(options, preset, device, len(samples), task=task)
    return fitted(loop, task, samples, device) if options.batch_size == "auto" else loop


def _shown(samples: Samples, validation: Samples) -> Samples:
    """Return the samples that pictures are made of."""
    positions = validation.positions if len(validation) else samples.positions
    return Samples(samples.data, _spread(positions, PICTURES), samples.fields)


def _probe(options: Options) -> LinearProbe | None:
    probe = options.probe if isinstance(options, PretrainOptions) else None
    return None if probe is None else LinearProbe.open(plain(probe))


def _samples(data: Dataset[Any], task: Task, options: Options) -> tuple[Samples, Samples]:
    """Return the training samples (those of the subset, ascending) and some that are held out."""
    splits = data.splits(task.required)
    train = splits["train"]
    if isinstance(options, FinetuneDepthOptions) and options.label_list is not None:
        listed = listed_subset(data, task.required, os.fspath(options.label_list), options.labels)
        train = train[sorted(listed)]
    elif (count := _asked(options, len(train))) is not None:
        by = options.subset_by if isinstance(options, FinetuneDepthOptions) else "chance"
        train = train[sorted(drawn_subset(data, train, count, options.subset_seed, by))]
    held_out = _spread(splits["val"], task.validation_samples)
    if isinstance(data, LabelledSet):  # one damaged file of many is no reason not to learn from the others
        asked = len(train)
        train, held_out = (data.usable(rows, task.required) for rows in (train, held_out))
        if not len(train):
            raise DataError(f"{data.path}: none of the {asked} training images can be used, see above.")
        if "labels" in task.required.names and not options.resume:
            check_labels(data, train, held_out, "val", refuse_one=True)
        if "image_labels" in task.required.names and not options.resume:
            check_image_classes(data, train)
    return Samples(data, train, task.required), Samples(data, held_out, task.required)


def _asked(options: Options, available: int) -> int | None:
    """Return how many of the training samples are to be learned from, None where all are."""
    if isinstance(options, FinetuneDepthOptions) and options.labels is not None:
        return options.labels
    return None if options.subset is None else max(1, round(options.subset * available))


def _spread(positions: np.ndarray, count: int) -> np.ndarray:
    """Return a few of the positions, evenly spread, always the same."""
    return positions[spread_positions(len(positions), count)]


def _subset(samples: Samples, options: Options) -> dict[str, Any]:
    """Return which samples are learned from, by name; nothing where all are."""
    labels = options.labels if isinstance(options, FinetuneDepthOptions) else None
    if options.subset is None and labels is None:
        return {}
    what = f"{labels}" if options.subset is None else f"{options.subset:.3%}"
    console.say(
        f"Learning from {what} of the training samples: {len(samples)} (seed "
        f"{options.subset_seed}, see subset.json)."
    )
    names = samples.data.names(samples.positions)
    asked = {"fraction": options.subset} if labels is None else {"labels": labels}
    return {**asked, "seed": options.subset_seed, "samples": names}


def _numbers(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a validation measured, without what says when, and without the probe's numbers."""
    others = ("kind", "step", "probe_miou", "probe_pixel_accuracy")
    return {name: value for name, value in record.items() if name not in others}


def finish(training: Training, run: RunFolder) -> None:
    """Measure depth where the data know it, write results.json, and say what came out."""
    task, data = training.task, training.data
    depth = {}
    if isinstance(task, DepthTask) and isinstance(data, FrameStore):
        depth = check_depth(task, data)
    validation, logged = run.metrics("validation"), run.metrics("train")
    run.write_results(
        {
            "command": training.command,
            "method": task.name,
            "steps": training.settings.steps,
            "samples": len(training.samples),
            "training_loss": logged[-1]["loss"] if logged else None,
            "validation": {
                "loss": None,
                **_numbers(run.kept_validation()),
                "samples": len(training.validation),
                "protocol": task.validation(training.settings.seed).protocol,
            },
            "depth": depth,
            "probe": _probed(training.probe, validation, run.kept_validation()),
            "findings": task.findings(),
        }
    )
    for sentence in sentences(depth):
        console.say(sentence)
    if probed := run.results["probe"]:
        console.say(
            f"Linear probe of the frozen features: mIoU {100 * probed['before']:.1f} % before training, "
            f"{100 * probed['after']:.1f} % after (one fit each: no spread is known)."
        )
    pictures = f", pictures are in {run.figures}" if any(run.figures.glob("*.png")) else ""
    console.say(f"The backbone is in {run.path / 'backbone.safetensors'}{pictures}.")


def _probed(
    probe: LinearProbe | None, validation: list[dict[str, Any]], kept: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the probe's mIoU before and after training, with its protocol; nothing where none was asked."""
    scores = [record["probe_miou"] for record in validation if "probe_miou" in record]
    if probe is None or not scores:
        return {}
    return {"before": scores[0], "after": kept.get("probe_miou", scores[-1]), "protocol": probe.protocol}
