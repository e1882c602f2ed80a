"""The table of formats that weights of others come in: one row each, the first that recognises a file counts.

A package of yours adds a row of its own when it is imported as a plugin: ``FORMATS.insert(0, Format(...))``.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from geopretrain.weights.formats import (
    depth,
    self_supervised,
    timm_names,
    torchvision_names,
    transformers_names,
)
from geopretrain.weights.formats.base import (
    BACKBONE,
    HALF,
    IMAGENET,
    Converted,
    Format,
    Normalisation,
    Tensors,
)

#: Names of timm's model below any prefix, or those of a release that timm itself knows (see ``fitting``).
TIMM = Format("timm's names")

FORMATS: list[Format] = [
    *depth.FORMATS,
    *self_supervised.FORMATS,
    *torchvision_names.FORMATS,
    *transformers_names.FORMATS,
    *timm_names.FORMATS,
]


def recognise(tensors: Mapping[str, Tensor]) -> Format:
    """Return the format of these tensors; that of timm where no other fits."""
    return next((one for one in FORMATS if one.recognises(tensors)), TIMM)


__all__ = [
    "BACKBONE",
    "FORMATS",
    "HALF",
    "IMAGENET",
    "TIMM",
    "Converted",
    "Format",
    "Normalisation",
    "Tensors",
    "recognise",
]
