"""What the training commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from geopretrain.config.options import TrainCommandOptions
from geopretrain.errors import ConfigError
from geopretrain.runs.folder import RunFolder


def destination(options: TrainCommandOptions) -> Path:
    """Return the folder of the run, refusing early what could not be written, before time is spent on data.

    Raises:
        RunFolderError: the folder cannot receive a run.
    """
    assert options.out is not None  # the options require it
    out = Path(options.out)
    RunFolder(out).check_free(overwrite=options.overwrite, resume=bool(options.resume), init=options.init)
    return out


def absolute(value: Any) -> Any:
    """Return a value with paths that exist made absolute."""
    if isinstance(value, (list, tuple)):
        return [absolute(item) for item in value]
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        return str(Path(text).resolve()) if text and Path(text).exists() else text
    return value


def required(value: Any, name: str, meaning: str) -> Any:
    """Return ``value``; raises ConfigError where it was not given."""
    if value is None or value == [] or value == "":
        raise ConfigError(f"--{name} is missing: {meaning}.")
    return value
