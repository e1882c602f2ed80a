"""The methods by name; a class is imported when it is first asked for. A new method is one line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geopretrain.errors import ConfigError, nearest_name

if TYPE_CHECKING:
    from geopretrain.tasks.base import Task

PRETEXTS = {
    "monodepth": "geopretrain.tasks.pretext.monodepth:Monodepth",
    "scdepth": "geopretrain.tasks.pretext.scdepth:SCDepth",
    "geometric_flow": "geopretrain.tasks.pretext.geometric_flow:GeometricFlow",
    "optical_flow": "geopretrain.tasks.pretext.optical_flow:OpticalFlow",
    "depth_supervised": "geopretrain.tasks.pretext.depth_supervised:DepthSupervised",
    "simmim": "geopretrain.tasks.pretext.simmim:SimMIM",
    "mae": "geopretrain.tasks.pretext.mae:MAE",
    "cross_view": "geopretrain.tasks.pretext.cross_view:CrossView",
    "moco": "geopretrain.tasks.pretext.moco:MoCo",
    "dino": "geopretrain.tasks.pretext.dino:DINO",
    "inpainting": "geopretrain.tasks.pretext.inpainting:Inpainting",
    "classification": "geopretrain.tasks.pretext.classification:Classification",
    "segmentation": "geopretrain.tasks.pretext.segmentation:SupervisedSegmentation",
}
"""Pre-training methods: ``module:class``."""
TRANSFERS = {
    "segmentation": "geopretrain.tasks.transfer.segmentation:Segmentation",
    "depth": "geopretrain.tasks.transfer.depth:DepthTransfer",
    "detection": "geopretrain.tasks.transfer.detection:Detection",
}
"""Transfers with labels."""

OWN_OPTIONS = ("backbone", "mode", "num_classes", "class_names", "class_colours")
"""Fields of a task that have an option of their own, or that the data decide: never settings."""
OWN_OF_METHOD = {"segmentation": ("as_released", "depth_backbone", "depth_upsampling", "depth_range")}
"""Fields of one task only that have an option of their own; elsewhere a field of this name is a setting."""


def own_options(method: str) -> tuple[str, ...]:
    """Return the fields of a task that are never settings, by its name."""
    return (*OWN_OPTIONS, *OWN_OF_METHOD.get(method, ()))


def task_class(name: str, among: Mapping[str, str] = PRETEXTS) -> type[Task]:
    """Return the class of a method.

    Raises:
        ConfigError: unknown; the nearest is named.
    """
    if name not in among:
        raise ConfigError(f"Unknown method '{name}'.{nearest_name(name, among)} Known: {', '.join(among)}.")
    module, attribute = among[name].split(":")
    found: type[Task] = getattr(importlib.import_module(module), attribute)
    return found


def segmentation_class(as_released: bool) -> type[Any]:
    """Return the segmentation transfer, or the one with everything that the released script does."""
    from geopretrain.tasks.transfer.released import ReleasedSegmentation
    from geopretrain.tasks.transfer.segmentation import Segmentation

    return ReleasedSegmentation if as_released else Segmentation
