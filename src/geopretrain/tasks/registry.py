"""Pre-training methods, one self-contained file each; ``PRETEXTS`` names them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

_CLASSES = {
    "monodepth": "geopretrain.tasks.pretext.monodepth:Monodepth",
    "depth_supervised": "geopretrain.tasks.pretext.depth_supervised:DepthSupervised",
    "scdepth": "geopretrain.tasks.pretext.scdepth:SCDepth",
    "geometric_flow": "geopretrain.tasks.pretext.geometric_flow:GeometricFlow",
    "optical_flow": "geopretrain.tasks.pretext.optical_flow:OpticalFlow",
}


class _LazyClasses(Mapping[str, Any]):
    """Names to classes; a class is imported when it is first asked for."""

    def __getitem__(self, name: str) -> Any:
        module, attribute = _CLASSES[name].split(":")
        return getattr(importlib.import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


PRETEXTS: Mapping[str, Any] = _LazyClasses()

__all__ = ["PRETEXTS"]
