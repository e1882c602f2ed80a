"""From what the user gave and a preset to every setting of the loop."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from geopretrain.config.describe import dashed
from geopretrain.config.groups import PreservingOptions, require
from geopretrain.config.options import TrainCommandOptions
from geopretrain.console import console
from geopretrain.errors import DataError, WeightsError, one_of
from geopretrain.networks import Backbone
from geopretrain.ranks import follows
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import Device
from geopretrain.seeding import seed_start
from geopretrain.tasks.base import Task
from geopretrain.tasks.building import build_task
from geopretrain.tasks.presets import Preset
from geopretrain.training.checkpoint import read_checkpoint
from geopretrain.training.computing import precision_of
from geopretrain.training.distributed import check_devices
from geopretrain.training.loggers import check_loggers
from geopretrain.training.settings import LoopSettings
from geopretrain.weights import Init, LoadReport, backbone_of, init_backbone, parse_init, read_init

FROM_PRESET = (
    "schedule",
    "lr_floor",
    "optimizer",
    "momentum",
    "beta2",
    "weight_decay",
    "layer_decay",
    *(one.name for one in fields(PreservingOptions)),
    "clip_norm",
    "accumulate",
)
DEFAULT_BACKBONE = "resnet18"


def destination(options: TrainCommandOptions) -> Path:
    """Return the folder of the run, refusing early what could not be written, before time is spent on data.

    Raises:
        RunFolderError: the folder cannot receive a run.
    """
    require(options, "out")
    out = Path(options.out or "")
    if follows(options.devices, options.num_nodes):
        return out  # which the first process holds
    RunFolder(out).check_free(overwrite=options.overwrite, resume=bool(options.resume), init=options.init)
    return out


def choose_preset(name: str, device: str, presets: Iterable[str], *, too_large: str | None = None) -> str:
    """Return one of the presets; ``auto`` is ``paper`` on a GPU and ``short`` elsewhere, and says so.

    Args:
        name: as given.
        device: that will compute.
        presets: names that there are.
        too_large: why ``paper`` does not go with these data, if it does not; ``auto`` is ``short`` then.
    """
    if name != "auto":
        one_of("preset", name, ("auto", *presets))
        return name
    if device == "cuda" and too_large is not None:
        console.say(f"Preset 'short': {too_large}")
        return "short"
    if device == "cuda":
        console.say("Preset 'paper' (there is a GPU): the settings of the paper. --preset short is quicker.")
        return "paper"
    console.say(
        "Preset 'short' (there is no GPU): fewer steps than the paper's. --preset paper trains as long."
    )
    return "short"


def choose_backbone(name: str | None, init: str | os.PathLike[str]) -> str:
    """Return the backbone asked for, that of the weights ``init`` (of a file it is said), or resnet18.

    Raises:
        WeightsError: the weights cannot be read, or several backbones have the same tensors.
    """
    if name is not None:
        return name
    parsed = parse_init(init)
    found = backbone_of(parsed)
    if found is not None and parsed.kind == "file":
        console.say(f"The weights in {parsed} look like {found}: --backbone {found}.")
    return found or DEFAULT_BACKBONE


def choose_backbones(name: str | None, inits: Sequence[str]) -> list[str]:
    """Return the backbone of each initialisation: its own, else the one asked for, else that of another one.

    Raises:
        WeightsError: see `choose_backbone`.
    """
    told = [backbone_of(parse_init(init)) for init in inits]
    usual = name or next((one for one in told if one is not None), None)
    return [one or choose_backbone(usual, init) for one, init in zip(told, inits, strict=True)]


def initialised(name: str, init: str | os.PathLike[str], device: str, seed: int = 0) -> Backbone:
    """Return a backbone with the weights of ``init`` on a device, in evaluation mode, to be looked at.

    Args:
        name: of a timm model.
        init: random, imagenet, a run folder or a weights file.
        device: resolved.
        seed: of random numbers.

    Raises:
        WeightsError: the weights cannot be had, or are of another model.
    """
    parsed = parse_init(init)
    seed_start(seed)
    backbone, report = init_backbone(name, parsed, read_init(parsed, name))
    if report.incomplete:
        console.warn(f"WARNING: {report.incomplete}")
    return backbone.to(device).eval()


def with_first_weights(
    cls: type[Task], config: Any, options: TrainCommandOptions, *, backbone_only: bool = False
) -> tuple[Task, LoadReport, Init]:
    """Return the task with its first weights, what was loaded, and where they come from.

    A run that is continued has all of its weights in its checkpoint: it needs no more what it began with.

    Args:
        cls: the task.
        config: its options.
        options: of the command.
        backbone_only: nothing is taken over but the backbone.

    Raises:
        WeightsError: the weights cannot be had, and no checkpoint holds them.
    """
    try:
        init = replace(parse_init(options.init), backbone_only=backbone_only)
        return *build_task(cls, config, init, options.seed), init
    except WeightsError as error:
        if not _weights_are_in_a_checkpoint(options):
            raise
        console.say(f"What this run began with is not needed, its checkpoint holds all weights: {error}")
        init = Init("random", os.fspath(options.init), shape_only=True)
        return *build_task(cls, config, init, options.seed), init


def _weights_are_in_a_checkpoint(options: TrainCommandOptions) -> bool:
    run = RunFolder(Path(options.out or ""))
    there = bool(options.resume) and run.is_ours() and run.has_lineage and run.checkpoint.is_file()
    return there and int(read_checkpoint(run.checkpoint)["global_step"]) > 0


def loop_settings(
    options: TrainCommandOptions,
    preset: Preset,
    device: Device,
    samples: int,
    *,
    task: nn.Module,
    validate_every: int | None = None,
    validate_at: tuple[int, ...] = (),
) -> LoopSettings:
    """Return the settings of the loop: what the user gave, else the preset's; an epoch is ``samples``.

    Args:
        options: of the command.
        preset: of the task.
        device: resolved.
        samples: to learn from.
        task: what is trained.
        validate_every: steps between validations where the user gave none; None: one for each epoch of the
            preset, or five.
        validate_at: further steps to validate after.
    """
    given = options.batch_size
    batch_size = preset.batch_size if given is None or given == "auto" else given
    steps = preset.total_steps(samples, batch_size) if options.steps is None else options.steps
    warmup = preset.warmup(steps) if options.warmup_steps is None else options.warmup_steps
    regular = max(1, steps // (preset.epochs or 5)) if validate_every is None else validate_every
    loop = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        lr=preset.rate(batch_size) if options.lr is None else options.lr,
        warmup_steps=warmup,
        **{name: _given_or(options, preset, name) for name in FROM_PRESET},
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=options.strategy,
        checkpoint_activations=options.checkpoint_activations,
        sync_batchnorm=options.sync_batchnorm,
        loggers=options.loggers,
        ema=options.ema,
        monitor=options.monitor,
        monitor_best=options.monitor_best,
        patience=options.patience,
        keep=options.keep,
        precision=precision_of(options.precision, device, task),
        channels_last=options.channels_last,
        seed=options.seed,
        validate_every=regular if options.validate_every is None else options.validate_every,
        validate_at=validate_at,
        checkpoint_every=options.checkpoint_every,
        log_every=options.log_every,
        device=device,
        threads=options.threads,
    )
    check_devices(loop, device)
    check_loggers(loop.loggers)
    _say_without_effect(options, preset, loop)
    return loop


def _say_without_effect(options: TrainCommandOptions, preset: Preset, loop: LoopSettings) -> None:
    """Warn of settings that do nothing beside others, or not what they say."""
    if options.warmup_steps is not None and loop.warmup_steps > loop.steps:
        console.warn(
            f"The learning rate rises for {loop.warmup_steps} steps, but there are {loop.steps}: it ends "
            f"below {loop.lr:g}, which it never reaches. Fewer --warmup-steps or more --steps would do."
        )
    for name, belongs_to in (("momentum", ("sgd",)), ("beta2", ("adam", "adamw"))):
        given = getattr(options, name)  # a saved configuration has the value of the preset
        if loop.optimizer not in belongs_to and given not in (None, getattr(preset, name)):
            console.warn(f"--{name} does nothing with {loop.optimizer}: it is of {' and '.join(belongs_to)}.")


def _given_or(options: TrainCommandOptions, preset: Preset, name: str) -> Any:
    given = getattr(options, name)
    return getattr(preset, name) if given is None else given


def resolved(loop: LoopSettings, **more: Any) -> dict[str, Any]:
    """Return what the settings of the loop say of the options they were made from, and ``more``."""
    names = (
        "steps",
        "batch_size",
        "lr",
        "warmup_steps",
        "precision",
        "validate_every",
        "device",
        *FROM_PRESET,
    )
    return {**{name: getattr(loop, name) for name in names}, **more}


@contextmanager
def data_of_resumed_run(data: Any, resume: bool, option: str = "data") -> Iterator[None]:
    """Say what to do where the data of a resumed run are not where they were.

    Args:
        data: what the user, or the run, has named.
        resume: whether a run is continued.
        option: that names them.

    Raises:
        DataError: as inside, with the way out.
    """
    try:
        yield
    except DataError as error:
        if not resume or Path(str(data)).exists():
            raise
        raise DataError(
            f"{error} If the data of the run have moved, give them anew: --{dashed(option)}, wherever they "
            "are now."
        ) from error
