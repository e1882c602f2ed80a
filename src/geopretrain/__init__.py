"""Turn unlabelled video into a pre-trained backbone, and see with honest numbers whether it helped."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geopretrain.errors import ConfigError, DataError, RunFolderError, UserError, WeightsError
from geopretrain.version import __version__

if TYPE_CHECKING:
    from geopretrain.commands.advise import advise
    from geopretrain.commands.analyse_activations import analyse_activations
    from geopretrain.commands.analyse_cka import analyse_cka
    from geopretrain.commands.analyse_features import analyse_features
    from geopretrain.commands.compare import compare
    from geopretrain.commands.data_sets import data_check, data_list
    from geopretrain.commands.evaluate import evaluate
    from geopretrain.commands.export import export
    from geopretrain.commands.finetune import finetune
    from geopretrain.commands.finetune_depth import finetune_depth
    from geopretrain.commands.finetune_detection import finetune_detection
    from geopretrain.commands.finetune_segmentation import finetune_segmentation
    from geopretrain.commands.inspect import inspect
    from geopretrain.commands.predict import predict
    from geopretrain.commands.prepare import prepare
    from geopretrain.commands.pretrain import pretrain
    from geopretrain.commands.propagate import propagate
    from geopretrain.commands.pseudo_depth import pseudo_depth
    from geopretrain.commands.replay import replay
    from geopretrain.commands.report import make_report
    from geopretrain.commands.select import select
    from geopretrain.commands.upload import upload
    from geopretrain.prediction.predictor import load
    from geopretrain.runs.folder import RunFolder
    from geopretrain.weights.timm_model import backbone

__all__ = [
    "ConfigError",
    "DataError",
    "RunFolder",
    "RunFolderError",
    "UserError",
    "WeightsError",
    "__version__",
    "advise",
    "analyse_activations",
    "analyse_cka",
    "analyse_features",
    "backbone",
    "compare",
    "data_check",
    "data_list",
    "evaluate",
    "export",
    "finetune",
    "finetune_depth",
    "finetune_detection",
    "finetune_segmentation",
    "inspect",
    "load",
    "make_report",
    "predict",
    "prepare",
    "pretrain",
    "propagate",
    "pseudo_depth",
    "replay",
    "select",
    "upload",
]

_HOMES = {
    "inspect": "geopretrain.commands.inspect",
    "data_check": "geopretrain.commands.data_sets",
    "data_list": "geopretrain.commands.data_sets",
    "prepare": "geopretrain.commands.prepare",
    "pretrain": "geopretrain.commands.pretrain",
    "evaluate": "geopretrain.commands.evaluate",
    "finetune": "geopretrain.commands.finetune",
    "finetune_segmentation": "geopretrain.commands.finetune_segmentation",
    "finetune_depth": "geopretrain.commands.finetune_depth",
    "finetune_detection": "geopretrain.commands.finetune_detection",
    "predict": "geopretrain.commands.predict",
    "propagate": "geopretrain.commands.propagate",
    "pseudo_depth": "geopretrain.commands.pseudo_depth",
    "replay": "geopretrain.commands.replay",
    "select": "geopretrain.commands.select",
    "upload": "geopretrain.commands.upload",
    "advise": "geopretrain.commands.advise",
    "analyse_activations": "geopretrain.commands.analyse_activations",
    "analyse_cka": "geopretrain.commands.analyse_cka",
    "analyse_features": "geopretrain.commands.analyse_features",
    "compare": "geopretrain.commands.compare",
    "make_report": "geopretrain.commands.report",
    "export": "geopretrain.commands.export",
    "load": "geopretrain.prediction.predictor",
    "backbone": "geopretrain.weights.timm_model",
    "RunFolder": "geopretrain.runs.folder",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for on first use, so that ``import geopretrain`` is quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'geopretrain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
