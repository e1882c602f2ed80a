"""What files of a run folder hold, as far as others read it; they are checked against it on reading."""

from __future__ import annotations

from dataclasses import dataclass, field

from geopretrain.records import Index, Real, Text


@dataclass(frozen=True)
class Errors:
    """Depth errors of a baseline."""

    abs_rel: Real
    rmse: Real
    a1: Real


@dataclass(frozen=True)
class NetworkErrors(Errors):
    """Depth errors of a network, and of the baselines; version 0.1 called these guesses."""

    images: Index
    protocol: Text
    baselines: dict[str, Errors] = field(default_factory=dict)
    guesses: dict[str, Errors] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """``results.json``; version 0.1 had iterations for steps."""

    command: Text = ""
    steps: Index = 0
    iterations: Index = 0
    training_loss: Real | None = None
    depth: dict[str, NetworkErrors] | None = None


@dataclass(frozen=True)
class Record:
    """A line of ``metrics.jsonl``."""

    kind: Text
    step: Index
