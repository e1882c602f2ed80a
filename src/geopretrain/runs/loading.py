"""A finished run as the task it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geopretrain.errors import RunFolderError, UserError
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import Task
from geopretrain.tasks.registry import PRETEXTS, segmentation_class, task_class
from geopretrain.weights import Init, load_weights


def load_task(run: RunFolder) -> Task:
    """Rebuild the network of a run with its weights.

    Raises:
        RunFolderError: the run has no weights yet.
        WeightsError: its weights are damaged.
    """
    if not (run.path / "model.safetensors").is_file():
        raise RunFolderError(
            f"The run in '{run.path}' is not finished: it has no model.safetensors. "
            f"Continue it with --resume {run.path}."
        )
    task = begun_task(run)
    load_weights(task, run.path)
    return task


def begun_task(run: RunFolder) -> Task:
    """Return the task of a run as it began, without its weights.

    Raises:
        RunFolderError: lineage.json (of version 0.1: config.yaml, too) is damaged.
    """
    lineage = run.lineage
    try:
        config = lineage["task"] if "task" in lineage else _config_of_first_edition(run.config, lineage)
        cls = _class(lineage, config)
        return cls.create(cls.Config(**config), Init("random", "random"))[0]
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise RunFolderError(
            f"'{run.path / 'lineage.json'}' does not describe a network: {reason}. Its weights are unharmed: "
            "start another run from them with --init."
        ) from error


def _class(lineage: Mapping[str, Any], config: Mapping[str, Any]) -> type[Task]:
    method = str(lineage["method"])
    if lineage.get("command") == "finetune segmentation" or method not in PRETEXTS:
        return segmentation_class(bool(config.get("as_released")))
    return task_class(method)


def _config_of_first_edition(config: Mapping[str, Any], lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the task of a run that version 0.1 wrote, which kept them in config.yaml only."""
    options = {"backbone": config["backbone"], **config["settings"]}
    if config["command"] == "finetune segmentation":
        classes = lineage["classes"]
        options |= {name: config[name] for name in ("mode", "as_released")}
        options |= {"num_classes": len(classes["colours"]), "class_names": tuple(classes["names"])}
        options |= {"class_colours": tuple(tuple(colour) for colour in classes["colours"])}
    return options
