"""``fit``: a task, a stream of batches and Lightning's loop; stopped at any moment, resumed bit for bit."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment

from geopretrain.console import say
from geopretrain.errors import ConfigError
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import Task
from geopretrain.training.checkpoint import AtomicCheckpointIO, read_checkpoint
from geopretrain.training.memory import keep_freed_memory
from geopretrain.training.module import FittedTask
from geopretrain.training.options import TrainOptions, resolve_device, resolve_precision
from geopretrain.training.recorder import Interrupted, Recorder, Validate, interruptible
from geopretrain.training.stream import BatchStream, ReadBatch


def fit(
    task: Task,
    read_batch: ReadBatch,
    num_samples: int,
    options: TrainOptions,
    run: RunFolder,
    *,
    validate: Validate | None = None,
    picture_batch: Any = None,
    resume: bool = False,
) -> None:
    """Train ``task`` in place for ``options.steps`` steps, recording into ``run``.

    Args:
        task: what is trained; afterwards it is on the CPU, in evaluation mode.
        read_batch: returns the batch (``.to(device)``) of an array of positions in ``0 .. num_samples - 1``.
        num_samples: how many training samples there are.
        options: settings of the loop.
        run: receives metrics.jsonl, figures, checkpoints, TensorBoard events.
        validate: called with the step after each validation interval, in evaluation mode without gradients;
            returns what is to be recorded.
        picture_batch: fixed batch given to ``task.pictures`` at each validation.
        resume: continue from ``checkpoints/last.ckpt`` where there is one. On a CPU the outcome is
            bit-identical to an uninterrupted run: order and random numbers depend on (seed, step) alone.

    Raises:
        TrainingDiverged: loss or weights stopped being numbers; the last good checkpoint is kept.
        KeyboardInterrupt: after the step in progress was finished and a checkpoint written.
        RunFolderError: the checkpoint is damaged or the disk does not take what is written.
    """
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if device == "cpu":
        keep_freed_memory()
    if options.channels_last:
        task.to(memory_format=torch.channels_last)
    task.train()
    first_step = _first_step(run, resume)
    run.cut_metrics(first_step if first_step else -1)
    if first_step < options.steps:
        say(
            f"Training on {num_samples} samples in batches of {options.batch_size} on {device} in "
            f"{precision}, {f'from step {first_step} ' if first_step else ''}to step {options.steps}.",
            progress=options.progress,
        )
        stream = BatchStream(read_batch, num_samples, options.batch_size, options.seed, first_step)
        recorder = Recorder(run, options, stream, validate, picture_batch)
        with _quiet_lightning(), interruptible() as interruption:
            recorder.interruption = interruption
            _run_trainer(
                _trainer(options, device, precision, run, recorder),
                FittedTask(task, options, num_samples),
                stream,
                run.checkpoint if first_step else None,
            )
    else:
        _load_weights(task, run)
    task.to("cpu").eval()


def _run_trainer(trainer: Trainer, fitted: FittedTask, stream: BatchStream, checkpoint: Path | None) -> None:
    try:
        trainer.fit(fitted, train_dataloaders=stream, ckpt_path=checkpoint, weights_only=True)
    except (Interrupted, SystemExit) as stop:  # Lightning turns a second Ctrl-C into SystemExit
        raise KeyboardInterrupt from stop
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"The memory of the GPU is too small for batches of {stream.batch_size}. "
            "Use a smaller --batch-size, --precision bf16 or a smaller image size."
        ) from error


def _first_step(run: RunFolder, resume: bool) -> int:
    if not (resume and run.checkpoint.is_file()):
        return 0
    return int(read_checkpoint(run.checkpoint)["global_step"])


def _load_weights(task: Task, run: RunFolder) -> None:
    state = read_checkpoint(run.checkpoint)["state_dict"]
    task.load_state_dict({name.removeprefix("task."): value for name, value in state.items()})


def _trainer(
    options: TrainOptions, device: str, precision: str, run: RunFolder, recorder: Recorder
) -> Trainer:
    return Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_steps=options.steps,
        max_epochs=-1,
        logger=TensorBoardLogger(run.path, name=None, version="tensorboard", default_hp_metric=False),
        callbacks=[recorder],
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
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
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
