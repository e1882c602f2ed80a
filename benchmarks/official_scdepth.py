"""Drives an unchanged checkout of the released SC-Depth (V1, V2, V3) on a current torch.

Nothing of it is copied: its modules are imported from the checkout, their own ``training_step`` and
``configure_optimizers`` run, and what they expect of other libraries is put in their place at run time.
Weights start from random numbers instead of a download.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopretrain.geometry import backproject

MODULES = ("SC_Depth", "SC_DepthV2", "SC_DepthV3", "config", "losses", "models", "visualization")
SYSTEMS = {"v1": "SC_Depth", "v2": "SC_DepthV2", "v3": "SC_DepthV3"}
#: The released code normalises images so before the step.
MEAN, STD = 0.45, 0.225


class OfficialStep:
    """The released system of one version with its own optimiser, without its trainer, data and logs.

    Args:
        checkout: folder of the released code.
        version: ``v1``, ``v2`` or ``v3``.
    """

    def __init__(self, checkout: Path, version: str) -> None:
        modules = import_official(checkout)
        with mock.patch.object(sys, "argv", ["train.py", "--model_version", version]):
            options = modules["config"].get_opts()
        self.version = version
        self.system = getattr(modules[SYSTEMS[version]], SYSTEMS[version])(options)
        self.system.train()
        (self.optimizer,) = self.system.configure_optimizers()

    def loss(self, inputs: list[Any]) -> Tensor:
        """Return the loss of one batch."""
        return self.system.training_step(inputs, 0)

    def step(self, inputs: list[Any]) -> None:
        """Do one optimisation step, in the order of Lightning's automatic optimisation."""
        loss = self.loss(inputs)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def official_inputs(
    images: Tensor, intrinsics: Tensor, pseudo_depth: Tensor | None = None
) -> list[Tensor | list[Tensor]]:
    """Turn frames ``B F 3 H W`` in [0, 1] (target first) and ``B 3 3`` into what the released step reads.

    Args:
        images: frames.
        intrinsics: px.
        pseudo_depth: ``B 1 H W``; given for V3.
    """
    target, *others = ((image.contiguous() - MEAN) / STD for image in images.unbind(1))
    return [target, *([] if pseudo_depth is None else [pseudo_depth]), others, intrinsics]


def import_official(checkout: Path) -> dict[str, types.ModuleType]:
    """Import the checkout's modules with stand-ins for what is not installed or gone.

    Raises:
        FileNotFoundError: the folder is no checkout of SC-Depth.
    """
    if not (checkout / "SC_Depth.py").is_file():
        raise FileNotFoundError(f"{checkout} holds no SC_Depth.py: give a checkout of sc_depth_pl.")
    stand_ins = _stand_ins()
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.path.insert(0, str(checkout))
    sys.modules.update(stand_ins)
    try:
        for name in (*SYSTEMS.values(), "config"):
            importlib.import_module(name)
    finally:
        sys.path.remove(str(checkout))
        # only these are taken back: extensions that were imported on the way cannot be loaded twice
        modules = {n: sys.modules.pop(n) for n in list(sys.modules) if n.split(".")[0] in MODULES}
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
    for name in ("DepthNet", "PoseNet", "RectifyNet"):
        networks: Any = modules[f"models.{name}"]
        networks.ResnetEncoder = _without_download(networks.ResnetEncoder)
    return modules


def _without_download(encoder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return lambda pretrained=False, **options: encoder(pretrained=False, **options)


def _stand_ins() -> dict[str, types.ModuleType]:
    contents: dict[str, dict[str, Any]] = {
        "pytorch_lightning": {"LightningModule": _System},
        "configargparse": {"ArgumentParser": _Parser},
        "visualization": {"visualize_image": None, "visualize_depth": None, "__all__": []},
        "kornia": {},
        "kornia.geometry": {},
        "kornia.geometry.depth": {"depth_to_3d": backproject, "depth_to_normals": depth_to_normals},
    }
    stand_ins = {}
    for name, attributes in contents.items():
        stand_ins[name] = types.ModuleType(name)
        vars(stand_ins[name]).update(attributes)
    return stand_ins


class _System(nn.Module):
    """As much of a LightningModule as the training step needs."""

    global_step = 1  # V2 draws pictures at every hundredth step, step 0 included

    def save_hyperparameters(self) -> None:
        caller = inspect.currentframe().f_back  # type: ignore[union-attr]
        self.hparams = types.SimpleNamespace(hparams=caller.f_locals["hparams"])  # type: ignore[union-attr]

    def log(self, name: str, value: Tensor) -> None:
        """Nothing is logged."""


class _Parser(argparse.ArgumentParser):
    """ConfigArgParse without its files."""

    def add_argument(self, *names: Any, is_config_file: bool = False, **options: Any) -> Any:
        return super().add_argument(*names, **options)


def depth_to_normals(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Return unit normals ``B 3 H W``, the cross product of the points' Sobel gradients.

    In place of kornia's function of this name, which need not be installed; not slower than it.

    Args:
        depth: ``B 1 H W``.
        intrinsics: ``B 3 3`` px.
    """
    points = F.pad(backproject(depth, intrinsics), (1, 1, 1, 1), mode="replicate")
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=depth.dtype) / 8
    slope = partial(F.conv2d, points, groups=3)
    along_x, along_y = (slope(k.expand(3, 1, 3, 3).contiguous()) for k in (kernel, kernel.mT))
    return F.normalize(torch.linalg.cross(along_x, along_y, dim=1), dim=1)
