"""Reading PyTorch's files without running anything that is stored in them.

``torch.load(weights_only=True)`` builds tensors and plain values only. Many a released checkpoint also holds
the options of its training, as objects of classes that it refuses (``argparse.Namespace``). Those of the list
below are replaced by stand-ins that keep nothing; no class of the list is imported. What else a file wants to
call makes it unreadable, and is named.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from geopretrain.errors import WeightsError
from geopretrain.records import reason
from geopretrain.weights.sniffing import damaged


class Ignored:
    """Stands for an object that is not read."""

    def __new__(cls, *_: Any, **__: Any) -> Ignored:
        """Accept any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        """Keep nothing."""


def _empty(*_: Any) -> OrderedDict[Any, Any]:
    """Stand for a function that makes a dictionary."""
    return OrderedDict()


#: Classes whose objects hold plain values, and functions that make such: none of them is ever called.
_PLAIN = (
    *("argparse.Namespace", "types.SimpleNamespace", "pathlib.PosixPath", "pathlib.WindowsPath"),
    *("pathlib.Path", "pathlib._local.PosixPath", "pathlib._local.WindowsPath", "datetime.timedelta"),
    *(f"numpy.{core}.multiarray.{made}" for core in ("core", "_core") for made in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray", "typing.Any"),
    *(f"builtins.{kind}" for kind in ("list", "dict", "int", "float", "str", "bool", "tuple")),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.base.Metadata"),
    *("omegaconf.base.ContainerMetadata", "omegaconf.nodes.AnyNode", "omegaconf.nodes.ValueNode"),
    *("torch.torch_version.TorchVersion", "torch.distributed.fsdp.sharded_grad_scaler.ShardedGradScaler"),
)
_DICTIONARIES = (
    *("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "detectron2.config.config.CfgNode"),
    *(
        "easydict.EasyDict",
        "addict.addict.Dict",
        "mmcv.utils.config.ConfigDict",
        "mmengine.config.config.ConfigDict",
    ),
    *(f"{name}.utilities.data.AttributeDict" for name in ("lightning.fabric", "lightning_fabric")),
    *(f"{name}.utilities.parsing.AttributeDict" for name in ("pytorch_lightning", "lightning.pytorch")),
)
_STAND_INS: list[Any] = [
    *((Ignored, name) for name in _PLAIN),
    *((OrderedDict, name) for name in _DICTIONARIES),
    (_empty, "collections.defaultdict"),
]


def read_pickled(path: Path) -> Any:
    """Return what a file of PyTorch holds: tensors on the CPU, plain values, and stand-ins.

    Raises:
        WeightsError: it is damaged, or would have to run code to be read. Nothing was run.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS), path.open("rb") as file:
            warnings.simplefilter("ignore")  # about pickle protocols and storages; nothing a user can act on
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        calls = f", which asks for {wanted[1]}," if wanted else ""
        raise WeightsError(
            f"{path} is not a plain file of tensors: reading it{calls} could run code stored in it, or it is "
            "damaged. Nothing was run. Ask its author for a safetensors file, or convert it yourself."
        ) from error
    except Exception as error:
        raise damaged(path, reason(error)) from error
