"""The commands that a recipe may be made of: calls of the public Python API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import geopretrain as gp
from geopretrain.commands.early_names import check_names, method_of
from geopretrain.config.analysis_options import (
    ACTIVATIONS,
    ANALYSES,
    CKA,
    FEATURES,
    ActivationsOptions,
    CkaOptions,
    FeaturesOptions,
)
from geopretrain.config.data_options import (
    PrepareOptions,
    PropagateOptions,
    PseudoDepthOptions,
    SelectOptions,
)
from geopretrain.config.options import (
    CompareOptions,
    EvaluateOptions,
    FinetuneDepthOptions,
    FinetuneDetectionOptions,
    FinetuneSegmentationOptions,
    PretrainOptions,
)
from geopretrain.schema import defaults

COMMANDS: dict[str, tuple[str, type[Any]]] = {
    "data prepare": ("prepare", PrepareOptions),
    "data pseudo-depth": ("pseudo_depth", PseudoDepthOptions),
    "data select": ("select", SelectOptions),
    "data propagate": ("propagate", PropagateOptions),
    "pretrain": ("pretrain", PretrainOptions),
    "finetune segmentation": ("finetune_segmentation", FinetuneSegmentationOptions),
    "finetune depth": ("finetune_depth", FinetuneDepthOptions),
    "finetune detection": ("finetune_detection", FinetuneDetectionOptions),
    "evaluate": ("evaluate", EvaluateOptions),
    "compare": ("compare", CompareOptions),
    CKA: ("analyse_cka", CkaOptions),
    ACTIVATIONS: ("analyse_activations", ActivationsOptions),
    FEATURES: ("analyse_features", FeaturesOptions),
}
"""Name in ``geopretrain``, and class of options, of each command."""
REDONE = ("data select", "data propagate", *ANALYSES)
"""Commands that are whole or not there: one that was killed is done again, whatever it has left."""
INSIDE = {"data pseudo-depth": "store"}
"""Commands that write into what is there, and the option that names it."""


def function(command: str) -> Callable[..., Any]:
    """Return what a command calls."""
    found: Callable[..., Any] = getattr(gp, COMMANDS[command][0])
    return found


def options_class(command: str) -> type[Any]:
    """Return the class of the options of a command."""
    return COMMANDS[command][1]


def options_of_command(command: str) -> list[str]:
    """Return the names of the options of a command."""
    return [one.name for one in fields(options_class(command))]


def is_launched(command: str) -> bool:
    """Return whether a command may be run in a process of its own, here or on another machine.

    Preparing data keeps the disk busy, and a comparison launches its own trainings.
    """
    known = options_of_command(command)
    return "device" in known and "launcher" not in known


def options_of_call(command: str, values: Mapping[str, Any]) -> Any:
    """Return the options of a call, checked with the settings of what it trains: no later stage is to find
    out, after hours, what can be known before.

    Raises:
        ConfigError: the sentence that the command itself would say.
    """
    options = options_class(command)(**values)
    check_names(options)
    _check_settings(options)
    return options


def _check_settings(options: Any) -> None:
    """Refuse impossible values of the settings of a method."""
    from geopretrain.tasks.building import task_config
    from geopretrain.tasks.registry import PRETEXTS, TRANSFERS, task_class

    kind, method = method_of(options)
    if not method or not (settings := getattr(options, "settings", None)):
        return
    cls = task_class(method, PRETEXTS if kind == "pretext" else TRANSFERS)
    counts = defaults(cls.Config).get("num_classes") is MISSING  # the data will say it
    task_config(cls, settings, **({"num_classes": 2} if counts else {}))
