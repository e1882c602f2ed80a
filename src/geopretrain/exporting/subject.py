"""What is exported: a finished run, read whole."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from geopretrain.data.dataset import SYNTHETIC
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.networks import Backbone
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.schema import as_path, plain
from geopretrain.tasks.base import Task

_INSIDE = re.compile(r"(?<![\w./~-])(?:[A-Za-z]:)?[/\\](?:[^\s'\",;:/\\]+[/\\])+([^\s'\",;:/\\]+)")
"""An absolute path within a text, and its last name."""


@dataclass(frozen=True)
class Subject:
    """A finished run.

    Attributes:
        run: its folder.
        task: with the weights, on the CPU and in evaluation mode.
        lineage: where the weights come from, with all options of the task; of paths the last name.
        results: the final numbers and their protocols.
    """

    run: RunFolder
    task: Task
    lineage: Mapping[str, Any]
    results: Mapping[str, Any]

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.task.name

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px that the network was trained at.

        Raises:
            RunFolderError: the run does not say.
        """
        if self.run.size is None:
            raise RunFolderError(f"'{self.run.path}' does not say at which size it was trained. Give --size.")
        return self.run.size

    @cached_property
    def backbone(self) -> Backbone:
        """The backbone of the run, as its name has it: without the dilation that a head wanted.

        Raises:
            ConfigError: it has none.
        """
        if self.task.backbone is None:
            raise ConfigError(
                f"The run '{self.run.path}' ({self.method}) has no backbone to export. Use a format of whole "
                "networks: safetensors."
            )
        return self.task.backbone.undilated()


def open_subject(run: str | Path) -> Subject:
    """Read a run that is to be exported.

    Raises:
        RunFolderError: it is no run, or not finished.
        WeightsError: its weights are damaged.
    """
    folder = RunFolder.open(as_path(run, "run"))
    if not folder.finished:
        raise RunFolderError(
            f"The run in '{folder.path}' is not finished (it has no results.json), so its weights are not "
            f"those it will end with. Continue it with --resume {folder.path}, then export it."
        )
    task = load_task(folder).eval().requires_grad_(False)
    lineage = {**folder.lineage, "task": plain(asdict(task.config))}  # version 0.1 kept no options in it
    return Subject(folder, task, without_folders(lineage), nameless(folder.results))


def without_folders(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lineage whose paths are their last names: what is handed on tells nothing of this machine."""
    chain = [_last_name(step, "init") for step in lineage.get("chain", [])]
    beside = {name: _last_name(one, "data") for name, one in lineage.get("beside", {}).items()}
    shown: dict[str, Any] = nameless(
        _last_name({**lineage, "chain": chain, "beside": beside}, "data", "init")
    )
    return shown


def nameless(value: Any) -> Any:
    """Return a JSON value in which every absolute path, also within a sentence, is its last name."""
    if isinstance(value, Mapping):
        return {nameless(name): nameless(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [nameless(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if os.path.isabs(value):
        return os.path.basename(value.rstrip(os.sep)) or value
    return _INSIDE.sub(r"\1", value)


def _last_name(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    paths = {name: str(values[name]) for name in names if name in values}
    short = {name: path if path.startswith(SYNTHETIC) else Path(path).name for name, path in paths.items()}
    return {**values, **short}
