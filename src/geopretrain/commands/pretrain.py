"""``pretrain``: unlabelled video in, a run folder with a pre-trained backbone out.

Nothing here knows a method: what a sample needs (`Task.offsets`, `Task.needs`) and the settings of the paper
(`Task.paper`) are said by the task, which is therefore built before the data are opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.commands.common import (
    already_finished,
    as_text,
    choose_backbone,
    choose_preset,
    lineage,
    lineage_sentence,
    method_settings,
    parse_share,
    parse_size,
    plain,
    required,
    seed_start,
    spread_positions,
    train_options,
)
from geopretrain.console import say
from geopretrain.errors import ConfigError, nearest_name
from geopretrain.files import write_json
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.presets import Recipe
from geopretrain.training.options import resolve_device, resolve_precision

if TYPE_CHECKING:
    import numpy as np

    from geopretrain.data.batches import ClipBatch
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.tasks.base import Task
    from geopretrain.training.options import TrainOptions
    from geopretrain.training.recorder import Validate
    from geopretrain.weights import LoadReport

SHORT = Recipe(batch_size=8, lr=3e-4, schedule="warm_cosine", steps=1500, warmup_steps=100)
"""Preset ``short`` of every method: what a CPU does in less than an hour at the size data are prepared at."""
MOST_VALIDATION_SAMPLES = 32
PICTURES = 3


def pretrain(
    method: str = "monodepth",
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    out: str | Path | None = None,
    backbone: str | None = None,
    init: str | Path = "random",
    preset: str = "auto",
    size: str | Sequence[int] | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    schedule: str | None = None,
    warmup_steps: int | None = None,
    subset: str | float | None = None,
    subset_seed: int = 0,
    settings: Mapping[str, Any] | Sequence[str] | None = None,
    precision: str = "auto",
    channels_last: bool = True,
    compile_loss: bool = False,
    seed: int = 0,
    validate_every: int | None = None,
    checkpoint_every: int = 100,
    log_every: int = 10,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> RunFolder:
    """Pre-train a backbone on unlabelled video and return its run folder.

    Args:
        method: pre-training method: monodepth, scdepth, geometric_flow, optical_flow or depth_supervised.
        data: prepared store, or a video, folder of images or data set, which is prepared first.
        out: folder to write the run into.
        backbone: any timm model; left away: that of init, resnet18 for random and imagenet.
        init: weights to start from: random, imagenet, a run folder or a weights file; starts a NEW run.
        preset: short, paper, or auto: paper on a GPU, short elsewhere.
        size: HEIGHTxWIDTH in px to prepare raw data at, e.g. 96x320 (height first).
        steps: optimisation steps.
        batch_size: samples per step.
        lr: highest learning rate of Adam.
        schedule: constant, step, halve, tenth, cosine or warm_cosine.
        warmup_steps: steps over which the rate rises.
        subset: share of the training samples to learn from, e.g. 5%; left away: all. Kept in subset.json.
        subset_seed: fixes which samples these are; smaller subsets lie inside larger ones.
        settings: settings of the method as name=value, e.g. smoothness=0.002.
        precision: fp32, bf16, or auto: bf16 where the machine computes in it.
        channels_last: keep images and filters in the memory order that makes convolutions faster.
        compile_loss: compile the loss with torch.compile; on a CPU what runs otherwise is faster.
        seed: fixes everything random in the run.
        validate_every: steps between validations.
        checkpoint_every: steps between writings of the checkpoint that --resume needs.
        log_every: steps averaged into one line of the log.
        device: cpu, cuda, mps or auto.
        threads: threads of the processor to compute with.
        resume: continue the interrupted run in out; the outcome is the same as without interruption.
        overwrite: start again from nothing where out holds a run.
        progress: show progress.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    _method(method)
    out = Path(required(out, "out", "the folder to write the run into"))
    data = required(data, "data", "a prepared store, or a video, folder of images or data set")
    RunFolder(out).check_free(overwrite=overwrite, resume=resume, init=init)
    device = resolve_device(device)
    preset = choose_preset(preset, device, progress=progress)
    share = parse_share(subset, "subset")
    config: dict[str, Any] = {
        "command": "pretrain",
        "method": method,
        "data": plain(list(data) if isinstance(data, (list, tuple)) else data),
        "out": str(out.absolute()),
        "backbone": choose_backbone(backbone, init),
        "init": plain(init),
        "preset": preset,
        "size": None,
        "steps": steps,
        "batch_size": batch_size,
        "lr": lr,
        "schedule": schedule,
        "warmup_steps": warmup_steps,
        "subset": None if share is None else str(subset),
        "subset_seed": subset_seed,
        "settings": _settings(method, settings),
        "precision": resolve_precision(precision, device),
        "channels_last": channels_last,
        "compile_loss": compile_loss,
        "seed": seed,
        "validate_every": validate_every,
        "checkpoint_every": checkpoint_every,
        "log_every": log_every,
        "device": device,
        "threads": threads,
    }
    task, report = _build(config)
    recipe = task.paper if preset == "paper" else SHORT
    store = _open_store(data, parse_size(size), recipe, task, progress)
    samples, held_out = _samples(store, task, config)
    task.check_data(store)
    config |= {"size": as_text(store.size), **_numbers(recipe, len(samples), config)}
    say(report.summary(), progress=progress)
    return _run(task, store, samples, held_out, config, resume=resume, overwrite=overwrite, progress=progress)


def _build(config: Mapping[str, Any]) -> tuple[Task, LoadReport]:
    """Return the task with its first weights, a function of the configuration and its seed alone."""
    from geopretrain.weights import parse_init

    init = parse_init(config["init"])
    seed_start(config["seed"])
    return create_pretext(config, init)


def _run(
    task: Task,
    store: FrameStore,
    samples: np.ndarray,
    held_out: np.ndarray,
    config: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    progress: bool,
) -> RunFolder:
    from geopretrain.training.fit import fit
    from geopretrain.weights import parse_init, save_weights

    options = train_options(
        config, config["steps"], validate_every=config["validate_every"], progress=progress
    )
    run = RunFolder.create(config["out"], config=config, overwrite=overwrite, resume=resume)
    if already_finished(run, resume, progress=progress):
        return run
    origin = lineage(config["method"], task, parse_init(config["init"]), config)
    run.write_lineage({"command": "pretrain", **origin, "store": str(store.path.absolute())})
    say(lineage_sentence(origin), progress=progress)
    if config["subset"] is not None:
        _write_subset(run, store, samples, config, progress)
    shown = _some(held_out if len(held_out) else samples, PICTURES)
    fit(
        task,
        lambda positions: store.read(samples[positions], task.offsets, task.needs),
        len(samples),
        options,
        run,
        validate=_validation(task, store, held_out, options),
        picture_batch=store.read(shown, task.offsets, task.needs),
        resume=resume,
    )
    save_weights(task, run.path)
    _finish(run, task, store, len(held_out), progress)
    return run


def _method(name: str) -> Any:
    from geopretrain.tasks.registry import PRETEXTS

    if name not in list(PRETEXTS):
        raise ConfigError(
            f"Unknown method '{name}'.{nearest_name(name, PRETEXTS)} Known: {', '.join(PRETEXTS)}."
        )
    return PRETEXTS[name]


def _config_class(method: str) -> type:
    import sys

    task_class = _method(method)
    return getattr(sys.modules[task_class.__module__], f"{task_class.__name__}Config")


_OWN_OPTIONS = ("backbone", "compile_loss")


def _settings(method: str, settings: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    return method_settings(_config_class(method), settings, _OWN_OPTIONS)


def create_pretext(config: Mapping[str, Any], init: Any) -> Any:
    """Return the task of a run's configuration and the report of what was loaded."""
    method, config_class = config["method"], _config_class(config["method"])
    own = {name: config[name] for name in _OWN_OPTIONS if name in config}
    known = {field.name for field in fields(config_class)}
    if own.get("compile_loss") and "compile_loss" not in known:
        raise ConfigError(f"The loss of {method} cannot be compiled. Leave --compile-loss away.")
    own = {name: value for name, value in own.items() if name in known}
    return _method(method).create(config_class(**own, **config["settings"]), init)


def _open_store(
    data: Any, size: tuple[int, int] | None, recipe: Recipe, task: Task, progress: bool
) -> FrameStore:
    from geopretrain.data.prepare.resolve import resolve_store

    # a method that looks at single frames can learn from every frame, also where the camera stands still
    more: dict[str, Any] = {"still_images": True} if tuple(task.offsets) == (0,) else {}
    store = resolve_store(data, size=size or recipe.size, progress=progress, **more)
    if size is not None and tuple(store.size) != size:
        raise ConfigError(
            f"The store holds frames of {as_text(store.size)} px (height x width), not {as_text(size)}. "
            f"Leave --size away, or prepare the video again with --size {as_text(size)}."
        )
    return store


def _samples(store: FrameStore, task: Task, config: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the training samples (of the subset, ascending) and of some held out."""
    from geopretrain.data.labelled.labelled_set import nested_subset

    train, val = store.samples(task.offsets, task.needs)
    share = parse_share(config["subset"], "subset")
    if share is not None:
        count = max(1, round(share * len(train)))
        train = train[sorted(nested_subset(len(train), count, config["subset_seed"]))]
    return train, _some(val, MOST_VALIDATION_SAMPLES)


def _write_subset(
    run: RunFolder, store: FrameStore, samples: np.ndarray, config: Mapping[str, Any], progress: bool
) -> None:
    """Keep which samples are learned from: clip and frame of each target."""
    places = [store.sample(int(number)) for number in samples]
    chosen = {
        "share": config["subset"],
        "seed": config["subset_seed"],
        "samples": [{"clip": store.clips[clip].name, "frame": frame} for clip, frame in places],
    }
    write_json(run.path / "subset.json", chosen)
    say(
        f"Learning from {config['subset']} of the training samples: {len(samples)} (seed "
        f"{config['subset_seed']}, see subset.json).",
        progress=progress,
    )


def _numbers(recipe: Recipe, samples: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the loop: what the user gave, else the recipe's; an epoch is ``samples``."""
    batch = config["batch_size"] or recipe.batch_size
    steps = config["steps"] or recipe.total_steps(samples, batch)
    values = {
        "steps": steps,
        "batch_size": batch,
        "lr": recipe.lr,
        "schedule": recipe.schedule,
        "warmup_steps": min(recipe.warmup_steps, steps // 5),
        "validate_every": max(1, steps // (recipe.epochs or 5)),
    }
    return {name: value if config[name] is None else config[name] for name, value in values.items()}


def _some(samples: Any, count: int) -> Any:
    """Return a few of an array of samples, evenly spread, always the same."""
    return samples[spread_positions(len(samples), count)]


def _validation(task: Task, store: FrameStore, samples: Any, options: TrainOptions) -> Validate | None:
    """Return the function that measures the loss on held-out samples, without augmentation."""
    if not len(samples):
        return None
    import torch

    from geopretrain.training.stream import seed_step

    def loss_of(batch: ClipBatch) -> float:
        seed_step(options.seed, 0)  # tie-breaking noise is the same at every validation
        clean = task.clean(batch.to(str(next(task.parameters()).device)))
        return task.training_loss(clean)[0].item() * len(batch.index)

    def validate(step: int) -> dict[str, Any]:
        parts = torch.from_numpy(samples).split(options.batch_size)
        total = sum(loss_of(store.read(part.numpy(), task.offsets, task.needs)) for part in parts)
        return {"loss": total / len(samples), "samples": len(samples)}

    return validate


def _finish(run: RunFolder, task: Task, store: FrameStore, held_out: int, progress: bool) -> None:
    """Measure depth where the source knows it, write results.json, say what came out and what to do next."""
    from geopretrain.evaluation.depth import check_depth, sentences

    depth = check_depth(task, store) if hasattr(task, "predict") else {}
    validation = run.metrics("validation")
    training = run.metrics("train")
    results = {
        "command": "pretrain",
        "method": run.config["method"],
        "steps": run.config["steps"],
        "training_loss": training[-1]["loss"] if training else None,
        "validation": {
            "loss": validation[-1]["loss"] if validation else None,
            "samples": held_out,
            "protocol": "training loss on held-out samples without augmentation, evaluation mode",
        },
        "depth": depth,
        "findings": task.findings(),
    }
    run.write_results(results)
    for sentence in sentences(depth):
        say(sentence, progress=progress)
    say(
        f"The backbone is in {run.path / 'backbone.safetensors'}, pictures are in {run.figures}.",
        progress=progress,
    )
    if hasattr(task, "predict_flow"):
        say(
            f"Next: geopretrain finetune depth --data {store.path} --init {run.path} "
            f"--out {run.path.parent / 'depth'}",
            progress=progress,
        )
        return
    say(
        "Next: geopretrain finetune segmentation --data LABELLED_FOLDER "
        f"--init {run.path} --labels 16 --out {run.path.parent / 'seg'}",
        progress=progress,
    )
