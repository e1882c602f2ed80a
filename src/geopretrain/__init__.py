"""Turn unlabelled video into a pre-trained backbone, and see with honest numbers whether it helped."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geopretrain.errors import ConfigError, DataError, RunFolderError, UserError, WeightsError

if TYPE_CHECKING:
    from geopretrain.data.inspect import inspect
    from geopretrain.data.prepare import prepare
    from geopretrain.engine.evaluate import evaluate
    from geopretrain.engine.finetune import finetune
    from geopretrain.engine.finetune_depth import finetune_depth
    from geopretrain.engine.predict import predict
    from geopretrain.engine.pretrain import pretrain
    from geopretrain.engine.pseudo_depth import pseudo_depth
    from geopretrain.engine.run_folder import RunFolder
    from geopretrain.study.compare import compare

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataError",
    "RunFolder",
    "RunFolderError",
    "UserError",
    "WeightsError",
    "__version__",
    "compare",
    "evaluate",
    "finetune",
    "finetune_depth",
    "inspect",
    "predict",
    "prepare",
    "pretrain",
    "pseudo_depth",
]

_HOMES = {
    "inspect": "geopretrain.data.inspect",
    "prepare": "geopretrain.data.prepare",
    "pretrain": "geopretrain.engine.pretrain",
    "evaluate": "geopretrain.engine.evaluate",
    "finetune": "geopretrain.engine.finetune",
    "finetune_depth": "geopretrain.engine.finetune_depth",
    "predict": "geopretrain.engine.predict",
    "pseudo_depth": "geopretrain.engine.pseudo_depth",
    "compare": "geopretrain.study.compare",
    "RunFolder": "geopretrain.engine.run_folder",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for on first use, so that ``import geopretrain`` is quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'geopretrain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
