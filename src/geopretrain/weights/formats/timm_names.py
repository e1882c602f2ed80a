"""Networks of timm and torchvision taken apart: the layers are the same, and their names tell the place."""

from __future__ import annotations

import re

from geopretrain.weights.formats.base import Format, Tensors

_CHILDREN = ("conv1", "bn1", None, None, "layer1", "layer2", "layer3", "layer4")
"""Children of a ResNet in their order; activation and pooling have no tensors."""
_FIRST_BLOCK = re.compile(r"(^|\.)4\.0\.conv1\.weight$")


def named_children(tensors: Tensors) -> Tensors:
    """Return a ResNet saved as ``nn.Sequential(*resnet.children())`` under its names, below any prefix.

    Lightly and fastai keep it so: ``backbone.0.weight`` is the first convolution, ``backbone.4.`` the first
    stage.
    """
    state = dict(tensors)
    for first in filter(_FIRST_BLOCK.search, tensors):
        prefix = first.removesuffix("4.0.conv1.weight")
        for name in [name for name in state if name.startswith(prefix)]:
            number, dot, rest = name[len(prefix) :].partition(".")
            child = _CHILDREN[int(number)] if number.isdigit() and int(number) < len(_CHILDREN) else None
            if child is not None and dot:
                state[f"{prefix}{child}.{rest}"] = state.pop(name)
    return {f"backbone.{name}": tensor for name, tensor in state.items()}


FORMATS = (
    Format(
        "a ResNet as the sequence of its children (lightly, fastai)",
        marks=(r"(^|\.)0\.weight$", r"(^|\.)1\.running_var$", _FIRST_BLOCK.pattern),
        whole=named_children,
    ),
    Format(
        "timm's names of features_only",
        marks=(r"(^|\.)(stages|layers|features)_[a-z]*\d+\.",),
        rules=((r"(^|\.)(stem|stages|layers|features)_([a-z]*\d+)\.", r"\1\2.\3."),),
    ),
)
