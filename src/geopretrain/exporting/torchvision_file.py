"""``torchvision``: the backbone under torchvision's names, where both libraries have the very same layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError, WeightsError
from geopretrain.exporting.formats import PATH, TORCH, Request, Written
from geopretrain.exporting.metadata import about, save_weights
from geopretrain.exporting.subject import Subject
from geopretrain.networks import Backbone

SAME_NAMES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
    *("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4"),
)
TWINS = {**{name: name for name in SAME_NAMES}, "mobilenetv2_100": "mobilenet_v2"}
"""Models of timm, without tag, and the model of torchvision with the same layers in the same order."""
TOLERANCE = 1e-4
"""Largest difference allowed between the features of both, relative to the largest feature."""
LOADS = """\
import torch, torchvision
{reads}
model = torchvision.models.{name}()
model.{classifier} = torch.nn.Identity()
model.load_state_dict({read}, strict=True)
# images in [0, 1] are normalised first: mean {mean}, std {std}"""
_SAFETENSORS = "from safetensors.torch import load_file\n", f'load_file("{PATH}")'
_PICKLED = "", f'torch.load("{PATH}", weights_only=True)'


def write(subject: Subject, request: Request) -> Written:
    """Write the backbone for torchvision, and compare the features of both libraries before that counts.

    Raises:
        ConfigError: torchvision has no model with the same layers.
        WeightsError: the features differ.
    """
    backbone = subject.backbone
    name = twin_of(backbone.name)
    model, classifier = torchvision_model(name)
    tensors = in_order(dict(backbone.model.state_dict()), model.state_dict())
    model.load_state_dict(tensors)
    difference = _difference(backbone, model)
    save_weights(request.target, tensors, about(subject))
    pickled = request.target.suffix.lower() in TORCH
    reads, read = _PICKLED if pickled else _SAFETENSORS
    named = {"name": name, "classifier": _as_code(classifier), "reads": reads, "read": read}
    return Written(
        (request.target,),
        LOADS.format(**named, **backbone.normalisation),
        f"torchvision's {name} gives the same features as timm's; the largest difference is "
        f"{difference:.2g}.",
    )


def twin_of(backbone: str) -> str:
    """Return the name of torchvision's model with the same layers (ConfigError where there is none)."""
    architecture = backbone.partition(".")[0]
    if architecture not in TWINS:
        raise ConfigError(
            f"torchvision has no model with the very layers of {backbone}. It has those of "
            f"{', '.join(TWINS)}. Use --format timm."
        )
    return TWINS[architecture]


def torchvision_model(name: str) -> tuple[nn.Module, str]:
    """Return a model of torchvision without its classifier, and what that is called."""
    from torchvision import models

    model = models.get_model(name, weights=None).eval()
    classifier = [path for path, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]
    parent, _, own = classifier.rpartition(".")
    setattr(model.get_submodule(parent), own, nn.Identity())
    return model, classifier


def in_order(tensors: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under other names: the same names where they are the same, else one after the other.

    Raises:
        WeightsError: they differ in number or in shape.
    """
    if tensors.keys() == named.keys():
        return {name: tensors[name] for name in named}
    fits = len(tensors) == len(named) and all(
        _sides(one) == _sides(other) for one, other in zip(tensors.values(), named.values(), strict=True)
    )
    if not fits:
        raise WeightsError("This backbone has not the layers of torchvision's model. Use --format timm.")
    return {
        new: one.reshape(like.shape) for one, (new, like) in zip(tensors.values(), named.items(), strict=True)
    }


def _sides(tensor: Tensor) -> list[int]:
    """Return a shape without sides of 1, by which libraries differ where they scale channels."""
    return [side for side in tensor.shape if side != 1]


@torch.no_grad()
def _difference(backbone: Backbone, model: nn.Module) -> float:
    """Return the largest difference between the features of both (WeightsError where they differ)."""
    worst, generator = 0.0, torch.Generator().manual_seed(0)
    for size in ((224, 224), (96, 160)):
        images = backbone.normalise(torch.rand(2, 3, *size, generator=generator))
        ours: Any = backbone.model(images)
        theirs = model(images)
        worst = max(worst, (ours - theirs).abs().max().item())
        if not worst <= TOLERANCE * ours.abs().max().item():  # also where it is not a number
            raise WeightsError(
                f"torchvision's features of this backbone differ by {worst:.3g} from timm's, so nothing was "
                "written. Use --format timm."
            )
    return worst


def _as_code(name: str) -> str:
    """Return a module's name as it is written in Python: ``classifier.2`` is ``classifier[2]``."""
    first, *rest = name.split(".")
    return first + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)
