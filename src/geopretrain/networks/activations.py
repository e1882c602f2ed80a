"""What the layers of a backbone compute for an image, by name: for comparing layers (CKA), for looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError, nearest_name
from geopretrain.networks.backbone import Backbone

STEPS = 6
"""MeSa looks at five blocks of the third stage, a sixth of its depth apart."""


def layer_names(backbone: Backbone) -> dict[str, str]:
    """Return the layers that are looked at, in their order: a name for each, and its module in timm's model.

    Of Swin-v2 the nine of MeSa (Khan et al. 2023, Table 4), ``layer_0`` to ``layer_8``. The paper has them
    by the names of the released Swin-v2, which merges patches at the end of a stage, timm at the beginning of
    the next: ``layers.0.downsample.norm`` is timm's ``layers.1.downsample.norm``, and ``norm3`` is timm's
    ``norm``. The blocks of the third stage are 3, 6, 9, 12 and 15 of the large network's 18; of another depth
    those at the same sixths. Of other families the layers of timm's ``feature_info``: stages, or the blocks
    of a plain transformer.
    """
    if (depth := _depth_of_swin(backbone)) is not None:
        blocks = [f"layers.2.blocks.{step * depth // STEPS}.norm1" for step in range(1, STEPS)]
        merged = [f"layers.{stage}.downsample.norm" for stage in (1, 2, 3)]
        nine = [*merged[:2], *blocks, merged[2], "norm"]
        return {f"layer_{number}": module for number, module in enumerate(nine)}
    info = backbone.model.feature_info
    modules = dict.fromkeys(str(row["module"]) for row in getattr(info, "info", info))
    return {f"layer_{number}": module for number, module in enumerate(modules)}


def _depth_of_swin(backbone: Backbone) -> int | None:
    """Return the number of blocks in the third stage of a Swin-v2, None of other models."""
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    model = backbone.model
    if not isinstance(model, SwinTransformerV2):
        return None
    return sum(1 for _ in model.get_submodule("layers.2.blocks").children())


def activations(
    backbone: Backbone,
    images: Tensor,
    layers: Mapping[str, str] | None = None,
    *,
    required: bool = True,
) -> dict[str, Tensor]:
    """Return what layers compute for images, ``B N C`` each: N places row by row, class tokens before them.

    The places are those of the images as the model sees them (`Backbone.as_seen`), which may be padded.

    Args:
        backbone: in the mode (training or evaluation) it is in.
        images: ``B 3*in_images H W`` in [0, 1] of any size.
        layers: names and modules of timm's model; None: `layer_names`.
        required: whether each must compute something for images; else those that do not are left out.

    Raises:
        ConfigError: the model has no such module, or it computes nothing for images.
    """
    wanted = layer_names(backbone) if layers is None else layers
    modules = dict(backbone.model.named_modules())
    for module in wanted.values():
        if module not in modules:
            hint = nearest_name(module, modules)
            raise ConfigError(f"{backbone.name} has no layer '{module}'.{hint}")
    seen = backbone.as_seen(images)
    with watched({module: modules[module] for module in wanted.values()}) as kept:
        backbone.model.forward_features(seen)
    missing = [module for module in wanted.values() if module not in kept]
    if missing and required:
        raise ConfigError(f"The layer '{missing[0]}' of {backbone.name} computes nothing for an image.")
    found = {name: module for name, module in wanted.items() if module in kept}
    return {name: as_places(backbone, module, kept[module]) for name, module in found.items()}


@contextmanager
def watched(modules: Mapping[str, nn.Module], *, graph: bool = False) -> Iterator[dict[str, Tensor]]:
    """Keep what modules return while inside, of each call the first.

    Args:
        modules: by name.
        graph: keep the very tensors, for gradients with respect to them; else copies, as what follows a
            module may write into its output.
    """
    kept: dict[str, Tensor] = {}

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if graph and not torch.is_grad_enabled():  # the backbone trying whether a size fits
                return
            found = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(found, Tensor) and found.ndim in (2, 3, 4):
                kept.setdefault(name, found if graph else found.clone())

        return keep

    handles = [module.register_forward_hook(keeper(name)) for name, module in modules.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def as_places(backbone: Backbone, layer: str, features: Tensor) -> Tensor:
    """Return what a layer computes, ``B C h w``, ``B h w C``, ``B N C`` or ``B C``, as ``B N C``.

    Args:
        backbone: that it is of.
        layer: name of the module in timm's model.
        features: that it returned.
    """
    if features.ndim == 4:
        rows = getattr(backbone.model, "output_fmt", "NCHW") == "NHWC"
        convolved = isinstance(backbone.model.get_submodule(layer), nn.Conv2d)
        return features.flatten(1, 2) if rows and not convolved else features.flatten(2).transpose(1, 2)
    return features[:, None] if features.ndim == 2 else features
