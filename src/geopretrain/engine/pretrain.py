"""``pretrain``: unlabelled video in, a run folder with a pre-trained backbone out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.engine.common import (
    Preset,
    already_finished,
    as_text,
    choose_preset,
    lineage,
    method_settings,
    parse_size,
    plain,
    required,
    seed_start,
    spread_positions,
    train_options,
)
from geopretrain.engine.options import resolve_device, resolve_precision
from geopretrain.engine.run_folder import RunFolder
from geopretrain.engine.screen import say
from geopretrain.errors import ConfigError, nearest_name

if TYPE_CHECKING:
    from geopretrain.data.batches import ClipBatch
    from geopretrain.data.store import FrameStore
    from geopretrain.engine.options import TrainOptions
    from geopretrain.engine.recorder import Validate
    from geopretrain.task import Task

PAPER_SIZE = (192, 640)
PAPER_EPOCHS = 20
MOST_VALIDATION_SAMPLES = 32
PICTURES = 3


def pretrain(
    method: str = "monodepth",
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    out: str | Path | None = None,
    backbone: str = "resnet18",
    init: str | Path = "random",
    preset: str = "auto",
    size: str | Sequence[int] | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    schedule: str | None = None,
    warmup_steps: int | None = None,
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
        method: pre-training method, e.g. monodepth.
        data: prepared store, or a video, folder of images or data set, which is prepared first.
        out: folder to write the run into.
        backbone: any timm model.
        init: weights to start from: random, imagenet, a run folder or a weights file; starts a NEW run.
        preset: short, paper, or auto: paper on a GPU, short elsewhere.
        size: HEIGHTxWIDTH in px to prepare raw data at, e.g. 96x320 (height first).
        steps: optimisation steps.
        batch_size: samples per step.
        lr: highest learning rate of Adam.
        schedule: constant, step, cosine or warm_cosine.
        warmup_steps: steps over which the rate rises.
        settings: settings of the method as name=value, e.g. smoothness=0.002.
        precision: fp32, bf16, or auto: bf16 where the machine computes in it.
        channels_last: keep images and filters in the memory order that makes convolutions faster.
        compile_loss: compile the loss with torch.compile.
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
    store = _open_store(data, parse_size(size), preset, progress)
    chosen = _preset(preset, len(store.train_samples), batch_size, steps)
    config: dict[str, Any] = {
        "command": "pretrain",
        "method": method,
        "data": plain(list(data) if isinstance(data, (list, tuple)) else data),
        "out": str(out.absolute()),
        "backbone": backbone,
        "init": plain(init),
        "preset": preset,
        "size": as_text(store.size),
        "steps": chosen.steps,
        "batch_size": chosen.batch_size,
        "lr": chosen.lr if lr is None else lr,
        "schedule": schedule or chosen.schedule,
        "warmup_steps": chosen.warmup_steps if warmup_steps is None else warmup_steps,
        "settings": _settings(method, settings),
        "precision": resolve_precision(precision, device),
        "channels_last": channels_last,
        "compile_loss": compile_loss,
        "seed": seed,
        "validate_every": _validation_interval(validate_every, preset, chosen.steps),
        "checkpoint_every": checkpoint_every,
        "log_every": log_every,
        "device": device,
        "threads": threads,
    }
    return _run(store, config, resume=resume, overwrite=overwrite, progress=progress)


def _run(
    store: FrameStore, config: dict[str, Any], *, resume: bool, overwrite: bool, progress: bool
) -> RunFolder:
    from geopretrain.weights import parse_init, save_weights

    options = train_options(
        config, config["steps"], validate_every=config["validate_every"], progress=progress
    )
    init = parse_init(config["init"])
    seed_start(config["seed"])
    task, report = create_pretext(config, init)
    say(report.summary(), progress=progress)
    run = RunFolder.create(config["out"], config=config, overwrite=overwrite, resume=resume)
    if already_finished(run, resume, progress=progress):
        return run
    run.write_lineage({"command": "pretrain", **lineage(config["method"], task, init, config)})
    from geopretrain.engine.training import fit

    held_out = _some(store.val_samples, MOST_VALIDATION_SAMPLES)
    shown = _some(held_out if len(held_out) else store.train_samples, PICTURES)
    fit(
        task,
        lambda positions: store.read(store.train_samples[positions], task.offsets),
        len(store.train_samples),
        options,
        run,
        validate=_validation(task, store, held_out, options),
        picture_batch=store.read(shown, task.offsets),
        resume=resume,
    )
    save_weights(task, run.path)
    _finish(run, task, store, len(held_out), progress)
    return run


def _method(name: str) -> Any:
    from geopretrain.pretext import PRETEXTS

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


def _open_store(data: Any, size: tuple[int, int] | None, preset: str, progress: bool) -> FrameStore:
    from geopretrain.data.resolve import resolve_store

    wanted = size or (PAPER_SIZE if preset == "paper" else None)
    store = resolve_store(data, size=wanted, progress=progress)
    if size is not None and tuple(store.size) != size:
        raise ConfigError(
            f"The store holds frames of {as_text(store.size)} px (height x width), not {as_text(size)}. "
            f"Leave --size away, or prepare the video again with --size {as_text(size)}."
        )
    return store


def _preset(name: str, samples: int, batch_size: int | None, steps: int | None) -> Preset:
    """Return the preset with the user's own numbers; a step is one batch, an epoch is ``samples``."""
    batch = batch_size or (12 if name == "paper" else 8)
    if name == "paper":
        return Preset(steps or max(1, PAPER_EPOCHS * samples // batch), batch, 1e-4, "step")
    steps = steps or 1500
    return Preset(steps, batch, 3e-4, "warm_cosine", min(100, steps // 5))


def _validation_interval(validate_every: int | None, preset: str, steps: int) -> int:
    if validate_every is not None:
        return validate_every
    return max(1, steps // (PAPER_EPOCHS if preset == "paper" else 5))


def create_pretext(config: Mapping[str, Any], init: Any) -> Any:
    """Return the task of a run's configuration and the report of what was loaded."""
    method_config = _config_class(config["method"])(
        backbone=config["backbone"], compile_loss=config["compile_loss"], **config["settings"]
    )
    return _method(config["method"]).create(method_config, init)


def _some(samples: Any, count: int) -> Any:
    """Return a few of an array of samples, evenly spread, always the same."""
    return samples[spread_positions(len(samples), count)]


def _validation(task: Task, store: FrameStore, samples: Any, options: TrainOptions) -> Validate | None:
    """Return the function that measures the loss on held-out samples, without augmentation."""
    if not len(samples):
        return None
    import torch

    from geopretrain.engine.stream import seed_step

    def loss_of(batch: ClipBatch) -> float:
        seed_step(options.seed, 0)  # tie-breaking noise is the same at every validation
        clean = task.clean(batch.to(str(next(task.parameters()).device)))
        return task.training_loss(clean)[0].item() * len(batch.index)

    def validate(step: int) -> dict[str, Any]:
        parts = torch.from_numpy(samples).split(options.batch_size)
        total = sum(loss_of(store.read(part.numpy(), task.offsets)) for part in parts)
        return {"loss": total / len(samples), "samples": len(samples)}

    return validate


def _finish(run: RunFolder, task: Task, store: FrameStore, held_out: int, progress: bool) -> None:
    """Measure depth where the source knows it, write results.json, say what came out and what to do next."""
    from geopretrain.engine.depth_check import check_depth, sentences

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
    }
    run.write_results(results)
    for sentence in sentences(depth):
        say(sentence, progress=progress)
    say(
        f"The backbone is in {run.path / 'backbone.safetensors'}, pictures are in {run.figures}.",
        progress=progress,
    )
    say(
        "Next: geopretrain finetune segmentation --data LABELLED_FOLDER "
        f"--init {run.path} --labels 16 --out {run.path.parent / 'seg'}",
        progress=progress,
    )
