"""Backbones for anybody's own code: plain timm models with the weights of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from geopretrain.console import console
from geopretrain.errors import ConfigError, WeightsError
from geopretrain.networks import Backbone
from geopretrain.weights.init import backbone_of, init_backbone, parse_init


def backbone(
    source: str | os.PathLike[str], name: str | None = None, *, features_only: bool = False
) -> nn.Module:
    """Return the timm model of a run, or of any weights that ``--init`` takes, with these weights.

    It is timm's own class. Images in [0, 1] are normalised before they go in, by
    ``model.pretrained_cfg["mean"]`` and ``["std"]``, which are those of the weights (timm's data
    configuration takes them from there, too).

    Args:
        source: run folder, weights file, ``imagenet`` or ``random``.
        name: of the timm model; None = the one that is stored with the weights, or that they are recognised
            to belong to.
        features_only: return timm's wrapper for pyramids: called with ``B 3 H W`` it returns one map
            ``B C_i H/s_i W/s_i`` per stride, and ``feature_info`` tells channels and strides.

    Raises:
        ConfigError: unknown model, or it is not known which one.
        WeightsError: the weights cannot be read, or belong to another model.
    """
    init = parse_init(source)
    name = name or backbone_of(init)
    if name is None:
        raise ConfigError(f"'{init.source}' does not say of which timm model it is. Give name='resnet18'.")
    found, report = init_backbone(name, init)
    for warning in filter(None, [*report.warnings, report.incomplete]):
        console.warn(f"{source}: {warning}")
    model = with_normalisation(found)
    return features(found) if features_only else model


def features(found: Backbone) -> nn.Module:
    """Return a backbone's model as timm's pyramid of features, one level for each stride."""
    from timm.models._features import FeatureGetterNet  # what create_model(features_only=True) gives

    return FeatureGetterNet(found.model, out_indices=found.levels)


def with_normalisation(found: Backbone) -> nn.Module:
    """Return a backbone's timm model, its ``pretrained_cfg`` telling how images are to be normalised."""
    model: nn.Module = found.model
    told = {key: tuple(values) for key, values in found.normalisation.items()}
    model.pretrained_cfg = {**found.model.pretrained_cfg, **told}  # type: ignore[assignment]
    return model


def plain_model(name: str, **more: Any) -> Any:
    """Return a model of timm as anybody builds it: no classifier, nothing of ours."""
    import timm

    return timm.create_model(name, num_classes=0, **more)


def check_plain(name: str) -> None:
    """Refuse a model that somebody else has registered with timm, which plain timm does not know.

    Raises:
        ConfigError: it is one.
    """
    from timm.models import model_entrypoint

    home = model_entrypoint(name.partition(".")[0]).__module__
    if home.partition(".")[0] != "timm":
        raise ConfigError(
            f"Plain timm does not know {name}: it is registered by {home}. Use --format safetensors or onnx."
        )


def check_loads(found: Backbone, file: Path) -> None:
    """Load a file in plain timm, strictly.

    Raises:
        WeightsError: names or shapes differ, or a tensor is another one.
    """
    from timm.models import load_state_dict  # by the ending of the file

    state, model = found.model.state_dict(), plain_model(found.name)
    try:
        model.load_state_dict(load_state_dict(str(file), use_ema=False, weights_only=True), strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"Plain timm does not load this backbone as {found.name}: {str(error).splitlines()[-1].strip()}"
        ) from error
    different = [name for name, tensor in model.state_dict().items() if not tensor.equal(state[name])]
    if different:
        raise WeightsError(f"{len(different)} tensors came back changed, e.g. {different[0]}.")
