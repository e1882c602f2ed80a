"""Fine-tuning for segmentation with few labels, from options to a finished run: for commands and studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from geopretrain.compute import resolve_device
from geopretrain.config.labels import check_released
from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.config.resume import continued
from geopretrain.config.several import Mode
from geopretrain.console import console
from geopretrain.data.labelled.census import check_labels
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import OptionError
from geopretrain.metrics.residual import PROTOCOL as RESIDUAL_PROTOCOL
from geopretrain.metrics.segmentation import COLLAPSED, predicted_everywhere
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import given
from geopretrain.tasks.base import Task
from geopretrain.tasks.building import setting_defaults, task_config
from geopretrain.tasks.registry import TRANSFERS, segmentation_class
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.tasks.transfer.segmentation_presets import PRESETS
from geopretrain.tasks.transfer.segmentation_validation import PER_IMAGE_PROTOCOL, PROTOCOL
from geopretrain.training.auxiliary import auxiliary_of, check_batch, check_shared
from geopretrain.training.depth_input import read_eye
from geopretrain.training.judging import final_scores, images_scored, outcome
from geopretrain.training.labelled import (
    Transfer,
    labelled_subset,
    open_labelled,
    selection,
    transfer_training,
)
from geopretrain.training.mixing import check_depth, check_parts, with_nearness
from geopretrain.training.resolve import (
    choose_backbone,
    choose_preset,
    destination,
    with_first_weights,
)
from geopretrain.training.train import Training, finished_run, train

LINEAR_IS_FROZEN = (
    "may only be frozen, not {mode}: head=linear is a linear probe of a frozen encoder. Leave it away, or "
    "choose another head."
)


def train_segmentation(options: FinetuneSegmentationOptions) -> RunFolder:
    """Train a segmenter, score it, and return its run folder.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    options = continued(
        "finetune segmentation",
        options,
        setting_defaults=lambda run: setting_defaults("segmentation", TRANSFERS),
    )
    if (done := finished_run(options)) is not None:
        return done
    training = segmentation_training(options)
    return train(
        training,
        lambda run, task: _finish(training, run, task, options.evaluate_on),
        resume=bool(options.resume),
        overwrite=options.overwrite,
    )


def segmentation_training(options: FinetuneSegmentationOptions) -> Training:
    """Return a training that is ready to start; nothing is written yet.

    Raises:
        UserError: data, options, weights or folder cannot be used.
    """
    out = destination(options)
    device = resolve_device(options.device)
    backbone = choose_backbone(options.backbone, options.init)
    preset = choose_preset(options.preset, device, PRESETS)
    settings = {**PRESETS[preset].settings, **options.settings}
    mode = mode_of(options, settings)
    check_shared(options, mode)
    labelled = open_labelled(options, size=PRESETS[preset].size)
    cls, names = segmentation_class(options.as_released), labelled.class_names
    config = task_config(
        cls,
        settings,
        backbone=backbone,
        mode=mode,
        as_released=options.as_released,
        num_classes=len(names),
        class_names=names,
        class_colours=tuple(tuple(int(part) for part in colour) for colour in labelled.class_colours) or None,
    )
    check_depth(options, config.depth_mix > 0 or config.depth_input)
    eye = read_eye(options) if config.depth_input else None
    config = replace(config, **eye.config) if eye is not None else config
    task, report, init = with_first_weights(cls, config, options)
    assert isinstance(task, Segmentation)
    if eye is not None:
        eye.give(task, report)
    subset = _subset(labelled, options)
    of_init = PRESETS[preset].of_init(init.kind)
    transfer = Transfer(labelled, task, report, init, of_init, subset, device, out)
    transfer = _with_video(_with_depth(transfer, config, options), task, options)
    chosen = {"backbone": backbone, "mode": mode, "preset": preset, "settings": settings}
    training = transfer_training("finetune segmentation", options, transfer, check_labels, **chosen)
    check_shared(options, mode, training.settings.backbone_lr)
    check_batch(options.auxiliary_batch_size, training.settings)
    if config.depth_mix:
        check_parts(training.settings, len(training.samples))
    return training


def _with_depth(
    transfer: Transfer, config: SegmentationConfig, options: FinetuneSegmentationOptions
) -> Transfer:
    """Return the transfer with the origin of the depth that is used, and with images that know how near it
    is what they show, where they are mixed by it."""
    if not (config.depth_mix or config.depth_input):
        return transfer
    learned, origin = with_nearness(options, transfer.labelled, transfer.device)
    beside = {**transfer.beside, "depth_from": origin}
    return replace(transfer, learned=learned if config.depth_mix else transfer.learned, beside=beside)


def _with_video(transfer: Transfer, task: Segmentation, options: FinetuneSegmentationOptions) -> Transfer:
    """Return the transfer with what learns from video in the same steps, where something does."""
    auxiliary = auxiliary_of(options, task.encoder.name)
    if auxiliary is None:
        return transfer
    return replace(
        transfer,
        task=auxiliary.joined(task, transfer.report),
        frames=auxiliary.frames,
        of_video=options.auxiliary_batch_size,
        beside={**transfer.beside, "auxiliary_data": auxiliary.record()},
    )


def mode_of(options: FinetuneSegmentationOptions, settings: Mapping[str, Any]) -> Mode:
    """Return what is trained: under a linear probe the head alone.

    Raises:
        OptionError: a linear probe that trains the encoder was asked for.
    """
    if settings.get("head") != "linear":
        return options.mode
    if options.mode != "frozen" and "mode" in given(options):
        raise OptionError("mode", LINEAR_IS_FROZEN.format(mode=options.mode))
    return "frozen"


def _subset(labelled: LabelledSet, options: FinetuneSegmentationOptions) -> list[int]:
    """Return the positions of the labelled images in the train split; as released: the first ones."""
    check_released(options)
    subset = labelled_subset(labelled, options)
    if not options.as_released or options.label_list is not None or options.subset_by is not None:
        return subset
    by_hand = sum(number < labelled.labelled_by_hand for number in subset)
    return labelled.with_propagated(range(by_hand)) if options.propagated else list(range(by_hand))


def _propagated(training: Training) -> dict[str, int]:
    """Return how many frames with propagated labels were learned from, where there were any."""
    count = len(training.samples) - int(training.config["labels"])
    return {"propagated": count} if count else {}


def _finish(training: Training, run: RunFolder, task: Task, split: str) -> None:
    """Write results.json, say what came out and what to do next."""
    last, size = final_scores(training, run, task), training.data.describe().size
    protocol = PROTOCOL.format(images=images_scored(training), split=split, size=f"{size[0]}x{size[1]}")
    run.write_results(
        {
            "command": training.command,
            "task": training.task.name,
            "steps": training.settings.steps,
            "labels": training.config["labels"],
            **_propagated(training),
            "protocol": protocol,
            **{name: last[name] for name in ("miou", "pixel_accuracy", "iou", "per_image_miou")},
            "per_image_protocol": PER_IMAGE_PROTOCOL,
            "residual_information": last.get("residual_information"),
            "residual_protocol": RESIDUAL_PROTOCOL,
            **(chosen := selection(training, run, split)),
            **outcome(training, run, [_point(score) for score in run.metrics("validation")]),
        }
    )
    console.say(
        f"{protocol}: mIoU {_percent(last['miou'])}, pixel accuracy {_percent(last['pixel_accuracy'])}."
    )
    for sentence in (*chosen.values(), *_collapse(last, training.data.describe().class_names)):
        console.warn(sentence)
    console.say(f"Pictures are in {run.figures}.")


def _collapse(last: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the sentence of a network that tells nothing apart; [] of another, and of many classes."""
    one = predicted_everywhere(last["confusion"]) if "confusion" in last else None
    return [] if one is None else [f"{names[one]} is predicted everywhere: {COLLAPSED}"]


def _point(score: dict[str, Any]) -> dict[str, Any]:
    found = {name: score[name] for name in ("step", "miou", "pixel_accuracy")}
    return {**found, "residual_information": score.get("residual_information")}  # not in earlier records


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"
