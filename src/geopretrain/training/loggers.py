"""Where else the numbers of a training are written, by Lightning's loggers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from geopretrain.errors import ConfigError
from geopretrain.extras import require_extra
from geopretrain.runs.folder import RunFolder

PROJECT = "geopretrain"
"""Name that runs of ours have at W&B and MLflow, unless their own variables say another."""
OF_SERVICES = ("wandb", "mlflow")


def check_loggers(names: Sequence[str]) -> None:
    """Raise ConfigError where a package is missing that a logger needs."""
    for name in OF_SERVICES:
        if name in names:
            require_extra(name, "loggers", f"Numbers for {name} (--loggers)")


def open_loggers(names: Sequence[str], run: RunFolder, first_step: int) -> list[Logger]:
    """Return the loggers of a training, with its options where they keep such.

    Args:
        names: ``tensorboard``, ``csv``, ``wandb``, ``mlflow``.
        run: in whose folder the first two write.
        first_step: that it begins after.

    Raises:
        ConfigError: a service cannot be reached.
    """
    names = [name for name in names if name != "none"]
    loggers = [_opened(name, run, first_step) for name in names]
    for name, logger in zip(names, loggers, strict=True):
        if name in OF_SERVICES:
            _greet(name, logger, run)
    return loggers


def _opened(name: str, run: RunFolder, first_step: int) -> Logger:
    if name == "csv":  # Lightning begins a file anew, so a resumed run has one of its own
        version = f"csv/from_step_{first_step:06d}" if first_step else "csv"
        return CSVLogger(run.path, name="", version=version, flush_logs_every_n_steps=1)
    if name == "wandb":
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        return WandbLogger(name=run.path.name, project=project, offline=_is_offline())
    if name == "mlflow":
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        return MLFlowLogger(experiment_name=experiment, run_name=run.path.name)
    return TensorBoardLogger(run.path, name=None, version="tensorboard", default_hp_metric=False)


def _is_offline() -> bool:
    return os.environ.get("WANDB_MODE", "") in ("offline", "dryrun")


def _greet(name: str, logger: Any, run: RunFolder) -> None:
    """Reach a service before the first step, and tell it the options of the run."""
    try:
        logger.log_hyperparams(run.config)
    except Exception as error:  # whatever the service's own client makes of a net that is not there
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        way_out = (
            "Log in with `wandb login`, or write beside the run with WANDB_MODE=offline."
            if name == "wandb"
            else "Set MLFLOW_TRACKING_URI to a server that can be reached, or to a folder."
        )
        raise ConfigError(f"{name} takes no numbers: {reason.rstrip('.')}. {way_out} --loggers tensorboard "
                          "needs neither.") from error  # fmt: skip
