"""A finished run as the task it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.errors import RunFolderError, UserError, WeightsError
from geopretrain.lineage_shape import LineageShape
from geopretrain.records import as_type, reason
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import as_path, parse_size
from geopretrain.tasks.base import Task
from geopretrain.tasks.registry import PRETEXTS, TRANSFERS, segmentation_class, task_class
from geopretrain.weights import (
    Init,
    load_state,
    load_weights,
    read_metadata,
    read_normalisation,
    read_tensors,
    set_normalisation,
)
from geopretrain.weights.checkpoint import CONFIG, checkpoint_files, refuse_own
from geopretrain.weights.runs import no_network

LINEAGE = "lineage"
"""Metadata of a file of a whole network: where it comes from, as in lineage.json."""


def load_task(run: RunFolder) -> Task:
    """Rebuild the network of a run with its weights.

    Raises:
        RunFolderError: the run has no weights yet.
        WeightsError: its weights are damaged.
    """
    if not (run.path / "model.safetensors").is_file():
        raise RunFolderError(no_network(run.path))
    task = begun_task(run)
    load_weights(task, run.path)
    return task


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        task: with its weights.
        size: (height, width) px that it was trained at, None where that is not known.
    """

    task: Task
    size: tuple[int, int] | None


def load_trained(source: str | os.PathLike[str]) -> Trained:
    """Read a network from a run folder, or from a file that ``export --format safetensors`` wrote.

    Raises:
        RunFolderError: there is no run, or it has no weights yet.
        WeightsError: the weights are damaged, or the file is of no network of ours.
    """
    path = as_path(source, "run")
    if path.is_file():
        refuse_own(path, ())
        task, lineage = load_file(path)
        return Trained(task, parse_size(lineage.get("size")))
    if path.is_dir() and (path / CONFIG).is_file() and checkpoint_files(path):
        raise WeightsError(
            f"'{path}' holds a backbone, as timm and model hubs keep it, and no network that predicts. "
            f"geopretrain.backbone('{path}') gives the backbone; whole networks are exported with --format "
            "safetensors."
        )
    run = RunFolder.open(path)
    return Trained(load_task(run), run.size)


def load_file(path: Path) -> tuple[Task, dict[str, Any]]:
    """Return the network of a file that ``export --format safetensors`` wrote, and its lineage.

    Raises:
        WeightsError: the file is damaged, or of no network of ours.
    """
    told = read_metadata(path).get(LINEAGE)
    advice = "Export the run again: geopretrain export RUN --format safetensors."
    if told is None:
        raise WeightsError(
            f"'{path}' does not say which network of geopretrain it holds. {advice} A backbone alone is had "
            "with geopretrain.backbone(file, name='resnet18')."
        )
    try:
        lineage = json.loads(told)
        as_type(LineageShape, lineage, path, error=WeightsError, advice=advice)
        task = _built(lineage, lineage["task"])
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else reason(error)
        raise WeightsError(f"'{path}' does not describe a network: {why}. {advice}") from error
    tensors = read_tensors(path, strip=False)
    set_normalisation(task, read_normalisation(path))  # first: parts that are stored with one keep it
    load_state(task, tensors, source=str(path))
    return task, lineage


def _built(lineage: Mapping[str, Any], config: Mapping[str, Any]) -> Task:
    """Return a task with random weights from its lineage and options."""
    cls = _class(lineage, config)
    return cls.create(cls.Config(**_of_today(cls, config)), Init("random", "random", shape_only=True))[0]


def _of_today(cls: type[Task], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a task without those that it had before 0.2 was released."""
    found = {name: value for name, value in config.items() if name != "backbone_lr"}
    if cls.name == "depth" and "decoder" in config:  # before there was a mode
        found["mode"] = "encoder" if found.pop("decoder") == "fresh" else "full"
    return found


def begun_task(run: RunFolder) -> Task:
    """Return the task of a run as it began, without its weights.

    Raises:
        RunFolderError: lineage.json (of version 0.1: config.yaml, too) is damaged.
    """
    lineage = run.lineage
    try:
        config = lineage["task"] if "task" in lineage else _config_of_first_edition(run.config, lineage)
        return _built(lineage, config)
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise RunFolderError(
            f"'{run.path / 'lineage.json'}' does not describe a network: {reason}. Its weights are unharmed: "
            "start another run from them with --init."
        ) from error


def _class(lineage: Mapping[str, Any], config: Mapping[str, Any]) -> type[Task]:
    method = str(lineage["method"])
    if lineage.get("command") != "finetune segmentation" and method in PRETEXTS:
        return task_class(method)
    if method == "segmentation" or method not in TRANSFERS:
        return segmentation_class(bool(config.get("as_released")))
    return task_class(method, TRANSFERS)


def _config_of_first_edition(config: Mapping[str, Any], lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the task of a run that version 0.1 wrote, which kept them in config.yaml only."""
    options = {"backbone": config["backbone"], **config["settings"]}
    if config["command"] == "finetune segmentation":
        classes = lineage["classes"]
        options |= {name: config[name] for name in ("mode", "as_released")}
        options |= {"num_classes": len(classes["colours"]), "class_names": tuple(classes["names"])}
        options |= {"class_colours": tuple(tuple(colour) for colour in classes["colours"])}
    return options
