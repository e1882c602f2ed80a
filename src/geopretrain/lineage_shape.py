"""What is read back of a run's ``lineage.json``, by whoever starts from its weights; there is more in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from geopretrain.records import Colour, Finite, Object, Positive, Text
from geopretrain.schema import AnySize

Three = tuple[Finite, Finite, Finite]


@dataclass(frozen=True)
class StoredNormalisation:
    """Mean and standard deviation of each channel, of images in [0, 1]."""

    mean: Three
    std: tuple[Positive, Positive, Positive]


@dataclass(frozen=True)
class _Step:
    init: Text
    kind: Text
    method: Text | None = None


@dataclass(frozen=True)
class _Classes:
    names: list[Text]
    colours: list[tuple[Colour, Colour, Colour]]


@dataclass(frozen=True)
class _Beside:
    data: Text
    fingerprint: Text


@dataclass(frozen=True)
class LineageShape:
    """The parts of the file that are relied on."""

    backbone: Text | None = None
    method: Text | None = None
    normalisation: StoredNormalisation | None = None
    chain: list[_Step] = field(default_factory=list)
    size: AnySize = None
    data_fingerprint: Text | None = None
    classes: _Classes | None = None
    task: Object = field(default_factory=dict)
    beside: dict[str, _Beside] = field(default_factory=dict)
