"""Stochastic depth for models that were built without it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from geopretrain.errors import ConfigError
from geopretrain.networks.backbone import Backbone

_PLACES = ("drop_path", "drop_path1", "drop_path2", "drop_path3")


def set_drop_path(backbone: Backbone, rate: float) -> None:
    """Let residual branches be left out at random while training (Huang et al., ECCV 2016).

    The chance rises linearly over the blocks, from 0 for the first to ``rate`` for the last, as where timm
    builds a model with ``drop_path_rate``.

    Raises:
        ConfigError: the model has no such branches.
    """
    from timm.layers import DropPath

    blocks = [module for module in backbone.model.modules() if any(_places(module))]
    if rate and not blocks:
        raise ConfigError(
            f"{backbone.name} has no residual branches that can be left out: leave drop_path at 0."
        )
    for position, block in enumerate(blocks):
        chance = rate * position / max(1, len(blocks) - 1)
        for name in list(_places(block)):
            setattr(block, name, DropPath(chance) if chance > 0 else nn.Identity())


def _places(block: nn.Module) -> Iterator[str]:
    """Yield the names under which a block calls what leaves a branch out (None where nothing does)."""
    from timm.layers import DropPath

    for name in _PLACES:
        if isinstance(getattr(block, name, 0), (DropPath, nn.Identity, type(None))):
            yield name
