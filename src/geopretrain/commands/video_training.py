"""What ``pretrain`` and ``finetune depth`` share: learning from video, with or without measured depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geopretrain.compute import resolve_device
from geopretrain.config.options import FinetuneDepthOptions, PretrainOptions
from geopretrain.config.saved import as_saved
from geopretrain.console import console
from geopretrain.data.prepare.resolve import resolve_store
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.subsets import nested_subset, spread_positions
from geopretrain.errors import ConfigError
from geopretrain.evaluation.depth import check_depth, sentences
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import plain
from geopretrain.tasks.base import DepthTask, Task
from geopretrain.tasks.building import build_task, task_config
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.validation import LossValidation
from geopretrain.training.resolve import choose_backbone, choose_preset, destination, loop_settings, resolved
from geopretrain.training.stream import Samples
from geopretrain.training.train import Training
from geopretrain.weights import parse_init

MAX_VALIDATION_SAMPLES = 32
PICTURES = 3
Options = PretrainOptions | FinetuneDepthOptions


def video_training(command: str, method: str, options: Options, settings: Mapping[str, Any]) -> Training:
    """Return a training of a pretext method on video that is ready to start.

    Args:
        command: as config.yaml has it.
        method: name of the pretext method.
        options: of the command.
        settings: of the method.

    Raises:
        UserError: data, options, weights or folder cannot be used.
    """
    out = destination(options)
    device = resolve_device(options.device)
    init, backbone = parse_init(options.init), choose_backbone(options.backbone, options.init)
    cls = task_class(method)
    task, report = build_task(cls, task_config(cls, settings, backbone=backbone), init, options.seed)
    preset = choose_preset(options.preset, device, task.presets)
    store = _open_store(options, task.presets[preset], task)
    samples, validation = _samples(store, task, options)
    loop = loop_settings(options, task.presets[preset], device, len(samples))
    shown = validation.positions if len(validation) else samples.positions
    return Training(
        command=command,
        config=as_saved(
            command,
            options,
            **resolved(loop, backbone=backbone, preset=preset, size=store.size),
        ),
        out=out,
        task=task,
        report=report,
        init=init,
        data=store,
        samples=samples,
        validation=validation,
        shown=Samples(store, _spread(shown, PICTURES), task.required),
        settings=loop,
        subset=_subset(store, samples, options),
    )


def _open_store(options: Options, preset: Preset, task: Task) -> FrameStore:
    # a method that looks at single frames can learn from every frame, also where the camera is static
    more: dict[str, Any] = {"still_images": True} if task.required.alone else {}
    store = resolve_store(plain(options.data), size=options.size or preset.size, **more)
    if options.size is not None and tuple(store.size) != tuple(options.size):
        asked, there = (f"{h}x{w}" for h, w in (options.size, store.size))
        raise ConfigError(
            f"The store holds frames of {there} px (height x width), not {asked}. "
            f"Leave --size away, or prepare the video again with --size {asked}."
        )
    return store


def _samples(store: FrameStore, task: Task, options: Options) -> tuple[Samples, Samples]:
    """Return the training samples (those of the subset, ascending) and some that are held out."""
    splits = store.splits(task.required)
    train = splits["train"]
    if options.subset is not None:
        count = max(1, round(options.subset * len(train)))
        train = train[sorted(nested_subset(len(train), count, options.subset_seed))]
    held_out = _spread(splits["val"], MAX_VALIDATION_SAMPLES)
    return Samples(store, train, task.required), Samples(store, held_out, task.required)


def _spread(positions: np.ndarray, count: int) -> np.ndarray:
    """Return a few of the positions, evenly spread, always the same."""
    return positions[spread_positions(len(positions), count)]


def _subset(store: FrameStore, samples: Samples, options: Options) -> dict[str, Any]:
    """Return which samples are learned from: clip and frame of each target; nothing where all are."""
    if options.subset is None:
        return {}
    console.say(
        f"Learning from {options.subset:.3g} of the training samples: {len(samples)} (seed "
        f"{options.subset_seed}, see subset.json)."
    )
    places = [store.sample(int(number)) for number in samples.positions]
    return {
        "fraction": options.subset,
        "seed": options.subset_seed,
        "samples": [{"clip": store.clips[clip].name, "frame": frame} for clip, frame in places],
    }


def finish(training: Training, run: RunFolder) -> None:
    """Measure depth where the data know it, write results.json, and say what came out."""
    task, store = training.task, training.data
    depth = {}
    if isinstance(task, DepthTask) and isinstance(store, FrameStore):
        depth = check_depth(task, store)
    validation, logged = run.metrics("validation"), run.metrics("train")
    run.write_results(
        {
            "command": training.command,
            "method": task.name,
            "steps": training.settings.steps,
            "training_loss": logged[-1]["loss"] if logged else None,
            "validation": {
                "loss": validation[-1]["loss"] if validation else None,
                "samples": len(training.validation),
                "protocol": LossValidation.protocol,
            },
            "depth": depth,
            "findings": task.findings(),
        }
    )
    for sentence in sentences(depth):
        console.say(sentence)
    console.say(f"The backbone is in {run.path / 'backbone.safetensors'}, pictures are in {run.figures}.")
