"""``fit``: a task, a stream of batches and Lightning's loop; stopped at any moment, resumed bit for bit."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from geopretrain.compute import resolve_device
from geopretrain.console import console
from geopretrain.errors import ConfigError
from geopretrain.evaluation.probe import LinearProbe
from geopretrain.files import write_picture
from geopretrain.interruption import Answer, Interrupted, finishing
from geopretrain.networks.memory_order import use_channels_last
from geopretrain.ranks import Ranks
from geopretrain.records import reason
from geopretrain.runs.folder import RunFolder
from geopretrain.seeding import seed_step
from geopretrain.tasks.base import Task
from geopretrain.training.activations import checkpoint_activations, keep_activations
from geopretrain.training.checkpoint import AtomicCheckpointIO, check_weights, read_checkpoint, unusable
from geopretrain.training.computing import precision_of
from geopretrain.training.distributed import Environment, Followed, strategy, synchronised, together
from geopretrain.training.loggers import open_loggers
from geopretrain.training.memory import keep_freed_memory
from geopretrain.training.module import TrainingModule
from geopretrain.training.monitoring import check_name
from geopretrain.training.precision import precision_options
from geopretrain.training.preserving import Anchor
from geopretrain.training.recorder import Recorder, Stopped
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import BatchStream, Samples
from geopretrain.training.validate import names_of_validation
from geopretrain.wording import counted

_RESTORING = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError)
"""What comes of a damaged state of the optimiser or of the loop while a checkpoint is restored."""
PREPARING_BATCH = 8
"""Samples at a time where a task looks at all of them before the first step."""


def fit(
    task: Task,
    samples: Samples,
    settings: LoopSettings,
    run: RunFolder,
    *,
    validation: Samples | None = None,
    shown: Any = None,
    probe: LinearProbe | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
) -> None:
    """Train ``task`` in place for ``settings.steps`` steps, recording into ``run``.

    Args:
        task: what is trained; afterwards it is on the CPU, in evaluation mode.
        samples: what is learned from.
        settings: settings of the loop.
        run: receives metrics.jsonl, figures, checkpoints, TensorBoard events.
        validation: held-out samples for ``task.validation``, after each validation interval.
        shown: fixed batch given to ``task.pictures`` at each validation.
        probe: what the frozen features are judged on at each validation.
        callbacks: Lightning's, called before ours, which then writes the checkpoint.
        resume: continue from ``checkpoints/last.ckpt`` where there is one. On a CPU the outcome is
            bit-identical to an uninterrupted run: order and random numbers depend on (seed, step) alone.

    Raises:
        TrainingDiverged: loss or weights stopped being numbers; the last good checkpoint is kept.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, after the step in progress was finished and a checkpoint
            written.
        RunFolderError: the checkpoint is damaged or the disk does not take what is written.
    """
    device = resolve_device(settings.device)
    with together(settings, device, run) as ranks, console.showing(ranks.first):
        _set_up_machine(settings, device)
        if not ranks.first:
            run, shown = Followed(run.path), None
        first_step, ended = _first_step(run, resume, task, settings)
        anchor = _prepare(task, samples, settings, device, first_step)
        run.cut_metrics(first_step if first_step else -1)
        if settings.monitor:
            check_name(settings.monitor, names_of_validation(task, validation, probe, settings.seed))
        if not ended:
            _say_start(task, samples, settings, device, first_step)
            task.train()
            if not first_step and ranks.first and task.augments:
                _draw_views(task, samples, settings, run, device)
            stream = _stream(samples, settings, first_step, ranks)
            recorder = Recorder(run, settings, stream, validation, shown, probe, ranks)
            _train(task, settings, device, recorder, len(samples), callbacks, anchor)
        if ended or settings.ema is not None or settings.keep == "best" or settings.strategy == "fsdp":
            _take_kept_weights(task, run, settings)
        ranks.wait()
    if settings.checkpoint_activations:
        keep_activations(task)
    task.to("cpu").eval()


def _set_up_machine(settings: LoopSettings, device: str) -> None:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    elif device == "cpu" and settings.devices > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // settings.devices))
    if device == "cpu":
        keep_freed_memory()


def _prepare(task: Task, samples: Samples, settings: LoopSettings, device: str, first_step: int) -> Anchor:
    """Make the task ready to be trained, and return what keeps its first weights."""
    if not first_step:
        task.to(device)
        task.prepare_training(batch.to(device) for batch in samples.batches(PREPARING_BATCH))
    anchor = Anchor(task.to(device), settings)
    if settings.checkpoint_activations:
        checkpoint_activations(task)
    if settings.channels_last and (kept := use_channels_last(task, device)):
        console.say(
            f"{kept[0]}{f' and {len(kept) - 1} more layers keep' if kept[1:] else ' keeps'} the usual memory "
            "order, because channels last would end the process there."
        )
    if settings.channels_last and anchor.first is not None:
        use_channels_last(anchor.first, device)
    return anchor


def _say_start(task: Task, samples: Samples, settings: LoopSettings, device: str, first_step: int) -> None:
    whole = f"for {counted(settings.steps, 'step')}"
    begin = f"from step {first_step} of {settings.steps}" if first_step else whole
    among = f", divided among {settings.processes} processes" if settings.processes > 1 else ""
    console.say(
        f"Training on {counted(len(samples), 'sample')} in batches of {settings.batch_size}{among} on "
        f"{device} in {precision_of(settings.precision, device, task)}, {begin}."
    )


def _draw_views(task: Task, samples: Samples, settings: LoopSettings, run: RunFolder, device: str) -> None:
    """Draw what the first part of the first step will learn from, exactly as it will."""
    part = np.split(samples.of_step(0, settings.batch_size, settings.seed), settings.parts)[0]
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        seed_step(settings.seed, 0)
        drawn = task.views(samples.read(part).to(device))
    for name, picture in drawn.items():
        write_picture(run.figures / f"{name}.png", picture)


def _stream(samples: Samples, settings: LoopSettings, first_step: int, ranks: Ranks) -> BatchStream:
    return BatchStream(
        samples,
        settings.batch_size,
        settings.seed,
        first_step,
        settings.parts,
        rank=ranks.rank,
        processes=ranks.size,
    )


def _train(
    task: Task,
    settings: LoopSettings,
    device: str,
    recorder: Recorder,
    num_samples: int,
    callbacks: Sequence[Callback],
    anchor: Anchor,
) -> None:
    """Take all steps that are left; a network that is divided among GPUs is a copy, read back afterwards."""
    trained = copy.deepcopy(task) if settings.strategy == "fsdp" else task
    if settings.sync_batchnorm:
        trained = synchronised(trained)
    with _quiet_lightning(), finishing() as interruption, anchor.holding(trained.backbone):
        recorder.interruption = interruption
        _run_trainer(
            _trainer(trained, settings, device, recorder, callbacks),
            TrainingModule(trained, settings, num_samples, recorder.ranks, anchor),
            recorder,
            recorder.run.checkpoint if recorder.stream.first_step else None,
            interruption,
        )


def _run_trainer(
    trainer: Trainer,
    module: TrainingModule,
    recorder: Recorder,
    checkpoint: Path | None,
    interruption: Answer,
) -> None:
    stream = recorder.stream
    try:
        trainer.fit(module, train_dataloaders=stream, ckpt_path=checkpoint, weights_only=True)
    except _RESTORING as error:
        if checkpoint is None or recorder.restored:
            raise
        raise unusable(checkpoint, reason(error)) from error
    except Stopped as stop:
        asked = interruption.asked
        raise (KeyboardInterrupt() if asked is None else Interrupted(asked)) from stop
    except SystemExit as stop:  # Lightning's answer to a second Ctrl-C in a program without our handlers
        raise KeyboardInterrupt from stop
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"The memory of the GPU is too small for batches of {stream.batch_size}. "
            "Use a smaller --batch-size, --precision bf16 or a smaller image size."
        ) from error
    else:
        if checkpoint is not None and not recorder.restored:  # Lightning has nothing left to do
            raise unusable(checkpoint, f"its loop is at step {trainer.global_step}, not {stream.first_step}")


def _first_step(run: RunFolder, resume: bool, task: Task, settings: LoopSettings) -> tuple[int, bool]:
    """Return the step to go on after, 0 to begin, and whether it was the last one.

    The checkpoint is made sure to be one of this run.
    """
    if not (resume and run.checkpoint.is_file()):
        return 0, False
    checkpoint = read_checkpoint(run.checkpoint)
    if (step := int(checkpoint["global_step"])) > settings.steps:
        raise unusable(run.checkpoint, f"it is of step {step}, and the run has {settings.steps}")
    own = {f"task.{name}": value for name, value in task.state_dict().items()}
    check_weights(run.checkpoint, checkpoint["state_dict"], own)
    judged = checkpoint.get("callbacks", {}).get("Recorder", {}).get("monitor", {})
    early = settings.patience is not None and judged.get("since", 0) >= settings.patience
    return step, early or step == settings.steps


def _take_kept_weights(task: Task, run: RunFolder, settings: LoopSettings) -> None:
    """Give the task the weights that the run hands on: the last ones, their average, or the best ones."""
    checkpoint = read_checkpoint(run.checkpoint)
    TrainingModule.restore(task, checkpoint)
    if settings.keep == "best" and run.best_checkpoint.is_file():
        best = read_checkpoint(run.best_checkpoint)
        own = {f"task.{name}": value for name, value in task.state_dict().items()}
        check_weights(run.best_checkpoint, best["state_dict"], own)
        TrainingModule.restore(task, best)
        step = int(best["global_step"])
        run.append_metrics({"kind": "kept", "step": step})
        console.say(f"The weights kept are those after step {step}, the best by {settings.monitor}.")
    elif settings.ema is not None:
        task.load_state_dict(checkpoint["callbacks"]["Recorder"]["average"]["weights"])


def _trainer(
    task: Task, settings: LoopSettings, device: str, recorder: Recorder, callbacks: Sequence[Callback]
) -> Trainer:
    run, ranks = recorder.run, recorder.ranks
    options, plugins = precision_options(task, settings, device)
    return Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=strategy(settings, task, ranks),
        **options,
        max_steps=settings.steps,
        accumulate_grad_batches=settings.accumulate,
        max_epochs=-1,
        logger=open_loggers(settings.loggers, run, recorder.stream.first_step) if ranks.first else False,
        callbacks=[*callbacks, recorder],
        plugins=[AtomicCheckpointIO(), Environment(ranks, settings.devices), *plugins],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_autolog_hparams=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=run.path,
    )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
