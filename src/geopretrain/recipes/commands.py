"""The commands that a recipe may be made of: calls of the public Python API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import geopretrain as gp
from geopretrain.config.analysis_options import ActivationsOptions, CkaOptions, FeaturesOptions
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
    "analyse cka": ("analyse_cka", CkaOptions),
    "analyse activations": ("analyse_activations", ActivationsOptions),
    "analyse features": ("analyse_features", FeaturesOptions),
}
"""Name in ``geopretrain``, and class of options, of each command."""
REDONE = ("data select", "data propagate", "analyse cka", "analyse activations", "analyse features")
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
