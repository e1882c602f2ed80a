"""A finished run as the task it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geopretrain.errors import RunFolderError
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import Task
from geopretrain.tasks.registry import PRETEXTS, TRANSFERS, segmentation_class, task_class
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
    lineage = run.lineage
    config = lineage["task"] if "task" in lineage else _config_of_first_edition(run.config, lineage)
    cls = _class(str(lineage["method"]), config)
    task, _ = cls.create(cls.Config(**config), Init("random", "random"))
    load_weights(task, run.path)
    return task


def _class(method: str, config: Mapping[str, Any]) -> type[Task]:
    if method == "segmentation":
        return segmentation_class(bool(config.get("as_released")))
    return task_class(method, {**PRETEXTS, **TRANSFERS})


def _config_of_first_edition(config: Mapping[str, Any], lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the task of a run that version 0.1 wrote, which kept them in config.yaml only."""
    options = {"backbone": config["backbone"], **config["settings"]}
    if config["command"] == "finetune segmentation":
        classes = lineage["classes"]
        options |= {name: config[name] for name in ("mode", "as_released")}
        options |= {"num_classes": len(classes["colours"]), "class_names": tuple(classes["names"])}
        options |= {"class_colours": tuple(tuple(colour) for colour in classes["colours"])}
    return options
