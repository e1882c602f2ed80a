"""Fine-tuning for detection with few labels, from options to a finished run: for commands and studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geopretrain.compute import resolve_device
from geopretrain.config.options import FinetuneDetectionOptions
from geopretrain.config.resume import continued
from geopretrain.console import console
from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.labelled.object_census import check_objects
from geopretrain.errors import DataError
from geopretrain.extras import require_extra
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import Task
from geopretrain.tasks.building import setting_defaults, task_config
from geopretrain.tasks.registry import TRANSFERS
from geopretrain.tasks.transfer.detection import PRESETS, Detection, DetectionConfig, fitted_to
from geopretrain.tasks.transfer.detection_validation import PROTOCOL
from geopretrain.training.judging import final_scores, images_scored, outcome
from geopretrain.training.labelled import (
    Transfer,
    labelled_subset,
    open_labelled,
    selection,
    transfer_training,
)
from geopretrain.training.resolve import (
    choose_backbone,
    choose_preset,
    destination,
    with_first_weights,
)
from geopretrain.training.train import Training, finished_run, train

COMMAND = "finetune detection"
NUMBERS = ("box_map", "box_map_50", "box_map_75", "mask_map", "mask_map_50", "mask_map_75")
"""What is scored; those of masks only where masks are found."""


def train_detection(options: FinetuneDetectionOptions) -> RunFolder:
    """Train a detector, score it, and return its run folder.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    options = continued(
        COMMAND, options, setting_defaults=lambda run: setting_defaults("detection", TRANSFERS)
    )
    if (done := finished_run(options)) is not None:
        return done
    training = detection_training(options)
    return train(
        training,
        lambda run, task: _finish(training, run, task, options.evaluate_on),
        resume=bool(options.resume),
        overwrite=options.overwrite,
    )


def detection_training(options: FinetuneDetectionOptions) -> Training:
    """Return a training that is ready to start; nothing is written yet.

    Raises:
        UserError: data, options, weights or folder cannot be used.
    """
    require_extra("faster_coco_eval", "detection", "Scores of detection")
    out = destination(options)
    device = resolve_device(options.device)
    backbone = choose_backbone(options.backbone, options.init)
    labelled = open_labelled(options, ("boxes", "masks"))
    preset = choose_preset(options.preset, device, PRESETS)
    settings = {**_of_preset(preset, options, out), **options.settings}
    config = _config(options, settings, labelled, backbone)
    task, report, init = with_first_weights(Detection, config, options)
    subset = labelled_subset(labelled, options)
    transfer = Transfer(labelled, task, report, init, PRESETS[preset].of_init(init.kind), subset, device, out)
    chosen = {"backbone": backbone, "preset": preset, "settings": settings}
    return transfer_training(COMMAND, options, transfer, check_objects, **chosen)


def _of_preset(preset: str, options: FinetuneDetectionOptions, out: Path) -> Mapping[str, Any]:
    """Return the settings of a preset; a run that has begun has kept those that it began with."""
    begun = bool(options.resume) and RunFolder(out).is_ours()
    return {} if begun else PRESETS[preset].settings


def _config(
    options: FinetuneDetectionOptions, given: Mapping[str, Any], labelled: LabelledSet, backbone: str
) -> DetectionConfig:
    """Return the options of the detector; masks are found where the images have some."""
    has_masks = "masks" in labelled.source.fields
    settings: dict[str, Any] = {"masks": has_masks, **given}
    if settings["masks"] is True and not has_masks:
        labelled.splits(Fields(names=("masks",)))  # says why there are none
        raise DataError(f"{labelled.path} holds no masks. Leave the setting masks away.")
    config: DetectionConfig = task_config(
        Detection,
        settings,
        backbone=backbone,
        mode=options.mode,
        num_classes=labelled.num_classes,
        class_names=labelled.class_names,
        class_colours=tuple(tuple(int(part) for part in colour) for colour in labelled.class_colours) or None,
    )
    return fitted_to(config, labelled.size)


def _finish(training: Training, run: RunFolder, task: Task, split: str) -> None:
    """Write results.json, say what came out and what to do next."""
    last = final_scores(training, run, task)
    names = [name for name in NUMBERS if name in last]
    height, width = training.data.describe().size
    protocol = PROTOCOL.format(images=images_scored(training), split=split, size=f"{height}x{width}")
    run.write_results(
        {
            "command": training.command,
            "task": training.task.name,
            "steps": training.settings.steps,
            "labels": len(training.samples),
            "protocol": protocol,
            **{name: last[name] for name in (*names, "box_ap", "mask_ap") if name in last},
            **(chosen := selection(training, run, split)),
            **outcome(
                training,
                run,
                [{name: score[name] for name in ("step", *names)} for score in run.metrics("validation")],
            ),
        }
    )
    console.say(f"{protocol}: {in_words(last)}.")
    for sentence in chosen.values():
        console.warn(sentence)
    console.say(f"Pictures are in {run.figures}.")


def in_words(scores: dict[str, Any]) -> str:
    """Return e.g. ``mAP of boxes 31.2 % (mAP50 52.0 %, mAP75 33.1 %), of masks ...``."""
    kinds = {"box": "boxes", "mask": "masks"}
    said = [
        f"of {words} {percent(scores[f'{kind}_map'])} (mAP50 {percent(scores[f'{kind}_map_50'])}, mAP75 "
        f"{percent(scores[f'{kind}_map_75'])})"
        for kind, words in kinds.items()
        if f"{kind}_map" in scores
    ]
    return f"mAP {', '.join(said)}"


def percent(value: float | None) -> str:
    """Return a fraction in percent, ``undefined`` where there is none."""
    return "undefined" if value is None else f"{100 * value:.1f} %"
