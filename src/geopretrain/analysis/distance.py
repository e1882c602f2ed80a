"""How far weights have moved, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from geopretrain.errors import WeightsError


def distances_moved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far the tensors of each layer have moved, relative to how large they were.

    ``|after - before| / |before|`` over all floating-point tensors of a layer together (Frobenius norms),
    under the layer's name: that of its tensors without the last part (``blocks.0.0.conv_pw`` of
    ``blocks.0.0.conv_pw.weight``). ``""`` is all of them. Infinite where a layer was 0 and is not any more.

    Args:
        before: tensors by name, as timm calls them.
        after: likewise.

    Raises:
        WeightsError: they are of two models.
    """
    if {name: each.shape for name, each in before.items()} != {n: each.shape for n, each in after.items()}:
        raise WeightsError("Weights of two models, whose tensors differ in name or shape, have no distance.")
    moved, size = dict[str, float](), dict[str, float]()
    for name, first in before.items():
        if not first.is_floating_point():
            continue
        square = float((after[name].double() - first.double()).square().sum())
        for layer in ("", name.rpartition(".")[0] or name):
            moved[layer] = moved.get(layer, 0.0) + square
            size[layer] = size.get(layer, 0.0) + float(first.double().square().sum())
    return {layer: _ratio(moved[layer], size[layer]) for layer in moved}


def _ratio(moved: float, size: float) -> float:
    if size == 0:
        return 0.0 if moved == 0 else float(torch.inf)
    return float((moved / size) ** 0.5)


def grouped(distances: Mapping[str, float], depth: int = 2) -> dict[str, float]:
    """Return the largest distance of each group of layers: those whose names begin with the same parts.

    Args:
        distances: see `distances_moved`.
        depth: number of parts, ``blocks.3`` of ``blocks.3.0.conv_pw`` for 2.
    """
    found: dict[str, float] = {}
    for layer, distance in distances.items():
        if layer:
            group = ".".join(layer.split(".")[:depth])
            found[group] = max(found.get(group, 0.0), distance)
    return found
