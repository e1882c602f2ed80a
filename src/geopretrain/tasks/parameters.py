"""Parameters in groups for the optimiser: who decays, and how fast each layer learns."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn import Parameter

from geopretrain.networks import Backbone


def parameter_groups(
    module: nn.Module,
    backbone: Backbone | None,
    lr: float,
    weight_decay: float,
    layer_decay: float,
    *,
    as_mim: bool = False,
) -> list[dict[str, Any]]:
    """Return optimiser groups of the trained parameters of ``module``.

    Biases and parameters of normalisation layers (all vectors) do not decay, nor does what timm's model names
    in ``no_weight_decay`` (position embeddings, for instance). With ``layer_decay`` below 1 the rate of a
    layer of the backbone is ``layer_decay`` times that of the layer above it; everything on top of the
    backbone has the full rate. Layers are timm's own (``group_matcher``). ``as_mim`` counts them as
    MIM-Depth-Estimation does: what merges patches is a layer, and the final norm belongs to the head.
    """
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if weight_decay == 0 and layer_decay == 1:
        return [{"params": [p for _, p in trained], "lr": lr}]
    depth_of, layers = _layers(backbone, as_mim)
    spared = _spared(backbone)
    groups: dict[tuple[int, bool], list[Parameter]] = {}
    for _, parameter in trained:
        layer = depth_of.get(id(parameter), layers)
        decays = parameter.ndim > 1 and id(parameter) not in spared
        groups.setdefault((layer, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * layer_decay ** (layers - layer),
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (layer, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _layers(backbone: Backbone | None, as_mim: bool) -> tuple[dict[int, int], int]:
    """Return the layer of each of the backbone's parameters, counted from the image, and their number."""
    if backbone is None:
        return {}, 0
    from timm.models import group_parameters

    model = backbone.model
    matcher = model.group_matcher(coarse=False)
    by_name = group_parameters(model, _merging_alone(matcher) if as_mim else matcher, reverse=True)
    if as_mim:
        by_name = {name: layer for name, layer in by_name.items() if not name.startswith("norm.")}
    layer_of = {id(p): by_name[name] for name, p in model.named_parameters() if name in by_name}
    return layer_of, max(by_name.values()) + 1


def _merging_alone(matcher: Any) -> Any:
    """Return timm's rules with what leads to a stage before its first block, where timm puts it into that."""
    blocks = matcher.get("blocks")
    if not isinstance(blocks, (list, tuple)):
        return matcher
    rows = [(rule, (-1,) if place == (0,) and "downsample" in rule else place) for rule, place in blocks]
    return {**matcher, "blocks": rows}


def _spared(backbone: Backbone | None) -> set[int]:
    """Return the identities of the backbone's parameters that its authors do not let decay."""
    named = getattr(backbone.model, "no_weight_decay", set) if backbone is not None else set
    names = set(named())
    return {id(p) for name, p in backbone.model.named_parameters() if name in names} if backbone else set()
