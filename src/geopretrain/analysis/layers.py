"""Which layers are compared, and what of their maps is a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.errors import ConfigError, nearest_name
from geopretrain.networks.activations import activations, layer_names
from geopretrain.networks.backbone import Backbone
from geopretrain.wording import sides

Size = tuple[int, int]
AT_ONCE = 8
"""Images that are looked at together before only their samples are kept."""


@torch.no_grad()
def chosen_layers(backbone: Backbone, patterns: Sequence[str] | None, images: Tensor) -> dict[str, str]:
    """Return the layers to compare, in the model's order: a name for each, and its module in timm's model.

    Layers are those that compute a map of the image, tokens of one, or one vector for it.

    Args:
        backbone: in evaluation mode.
        patterns: of the names of modules; None: `layer_names`.
        images: ``B 3 H W`` in [0, 1], at least two, to find out which modules compute something for each.

    Raises:
        ConfigError: a pattern fits no module that does.
    """
    if patterns is None:
        return layer_names(backbone)
    names = [name for name, _ in backbone.model.named_modules() if name]
    fitting = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    found = activations(backbone, images, {name: name for name in fitting}, required=False)
    size, tokens = seen_as(backbone, images)
    computed = {
        name
        for name, places in found.items()
        if len(places) == len(images) and grid_of(places.shape[1], size, tokens) is not None
    }  # and not windows of images, or heads of attention
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in computed):
            hint = nearest_name(pattern, names)
            raise ConfigError(f"No layer of {backbone.name} that computes a map is '{pattern}'.{hint}")
    return {name: name for name in fitting if name in computed}


@torch.no_grad()
def samples_of(
    backbone: Backbone, images: Tensor, layers: Mapping[str, str], how: str, cells: int
) -> list[Tensor]:
    """Return what each layer makes of images, ``N P`` with a sample in each row.

    Args:
        backbone: in evaluation mode, on the device of the images.
        images: ``B 3 H W`` in [0, 1].
        layers: see `chosen_layers`.
        how: ``pooled`` (``B C``, the mean over positions), ``flattened`` (``B N*C``), or ``positions``
            (``B*n*n C``, the mean of each cell).
        cells: ``n``, rows and columns of cells.
    """
    size, tokens = seen_as(backbone, images)
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    for some in images.split(AT_ONCE):
        for name, places in activations(backbone, some, layers).items():
            parts[name].append(_samples(places.float(), size, tokens, how, cells))
    return [torch.cat(part) for part in parts.values()]


def _samples(places: Tensor, size: Size, tokens: int, how: str, cells: int) -> Tensor:
    if how == "flattened":
        return places.flatten(1)
    maps = as_maps(places, size, tokens)
    if how == "pooled":
        return maps.mean((2, 3))
    pooled = functional.adaptive_avg_pool2d(maps, cells)
    return pooled.flatten(2).transpose(1, 2).reshape(-1, maps.shape[1])


def as_maps(places: Tensor, size: Size, tokens: int) -> Tensor:
    """Return places ``B N C`` as maps ``B C h w``, without class tokens.

    Args:
        places: see `activations`.
        size: (height, width) px of the image as the model sees it.
        tokens: of the model beside the map.

    Raises:
        ConfigError: they are no map.
    """
    grid = grid_of(places.shape[1], size, tokens)
    if grid is None:
        raise ConfigError(
            f"A layer with {places.shape[1]} places for {sides(size)} px is no map of an image. Name another."
        )
    rows, columns = grid
    maps = places[:, places.shape[1] - rows * columns :].transpose(1, 2)
    return maps.reshape(len(places), -1, rows, columns)


def grid_of(places: int, size: Size, tokens: int) -> Size | None:
    """Return rows and columns of a map with so many places, None where it is none of an image of ``size``.

    Args:
        places: with class tokens or without.
        size: (height, width) px of the image as the model sees it.
        tokens: of the model beside the map.
    """
    for count in dict.fromkeys((places, places - tokens)):
        if count < 1:
            continue
        stride = (size[0] * size[1] / count) ** 0.5
        rows, columns = (max(1, round(side / stride)) for side in size)
        if rows * columns == count or count == 1:
            return (rows, columns) if count > 1 else (1, 1)
    return None


@torch.no_grad()
def fewest_cells(backbone: Backbone, images: Tensor, layers: Mapping[str, str]) -> int:
    """Return the rows or columns of the smallest map among layers."""
    found = activations(backbone, images[:1], layers).values()
    grids = [grid_of(places.shape[1], *seen_as(backbone, images)) for places in found]
    return min((min(grid) for grid in grids if grid is not None), default=1)


def seen_as(backbone: Backbone, images: Tensor) -> tuple[Size, int]:
    """Return (height, width) px of images as the model sees them, and its number of tokens beside the map."""
    seen = backbone.as_seen(images[:1]).shape
    return (seen[-2], seen[-1]), int(getattr(backbone.model, "num_prefix_tokens", 0))


def names_shown(layers: Mapping[str, str]) -> Iterator[str]:
    """Give the names of layers as tables have them: the module, behind the paper's name where it has one."""
    for name, module in layers.items():
        yield module if name == module else f"{name} ({module})"
