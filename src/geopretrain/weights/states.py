"""The weights in a file of PyTorch: others put them below keys of their own, and sometimes several beside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geopretrain.errors import WeightsError

#: Keys under which others put their state dict, in the order in which they are preferred.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "teacher",
    "network",
    "net",
    "module",
    "params",
    "weights",
    "student",
)
_AVERAGE = re.compile(r"(^|_)ema(_|$)")
"""Keys of moving averages, which libraries load in place of the weights that they are the average of."""
_OF_TRAINING = re.compile(r"optim|sched|scaler|callback|hyper_?param|^loops$|rng_state")
"""Keys below which no weights lie."""
_PAIR = ("encoder", "decoder")
"""Two state dicts beside each other, as DepthToSemantic saves its networks."""
_DEEPEST = 8
MIN_PART = 0.5
"""Least number of tensors, relative to the largest set in a file, of what is taken for a network."""


@dataclass(frozen=True)
class State:
    """The weights that were chosen.

    Attributes:
        tensors: by their names.
        left_out: names of other weights in the file, each with the reason.
    """

    tensors: dict[str, Tensor]
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A dictionary of tensors, and the keys that lead to it."""

    keys: tuple[str, ...]
    tensors: dict[str, Tensor]

    @property
    def name(self) -> str:
        return ".".join(self.keys) or "the file itself"

    @property
    def is_average(self) -> bool:
        return any(_AVERAGE.search(key) for key in self.keys)

    @property
    def rank(self) -> tuple[bool, int]:
        """Averages first, then by the innermost key."""
        known = [WRAPPERS.index(key) for key in self.keys if key in WRAPPERS]
        usual = known[-1] if known else len(WRAPPERS)
        return not self.is_average, usual if self.keys else -1


def choose_state(content: Any, path: Path) -> State:
    """Return the weights in what a file of PyTorch holds.

    A moving average is taken in place of the weights it was made of, as timm and torchvision do.

    Raises:
        WeightsError: there are none, or several sets of them and nothing tells which is meant.
    """
    found = list(_states(content, (), set()))
    largest = max((len(one.tensors) for one in found), default=0)
    networks = sorted(
        (one for one in found if len(one.tensors) >= MIN_PART * largest), key=lambda one: one.rank
    )
    if not networks:
        raise without_tensors(path)
    chosen = networks[0]
    alike = [one.name for one in networks if one.rank == chosen.rank]
    if len(alike) > 1:
        raise WeightsError(
            f"{path} holds several sets of weights ({', '.join(alike)}), and nothing tells which is meant. "
            "Save the one that is meant in a file of its own."
        )
    left_out = [
        (".".join((*one.keys, name)), f"beside the weights that are taken, {chosen.name}")
        for one in found
        if one is not chosen and one.keys
        for name in one.tensors
    ]
    return State(chosen.tensors, left_out)


def without_tensors(path: Path) -> WeightsError:
    """Return the error about a file without weights."""
    return WeightsError(
        f"{path} holds no dictionary of tensors. Expected a state dict as PyTorch or safetensors save it."
    )


def _states(content: Any, keys: tuple[str, ...], seen: set[int]) -> Iterator[_Found]:
    """Yield all dictionaries of tensors in nested ones, each once, those outside first."""
    if id(content) in seen:  # a file may hold itself
        return
    seen.add(id(content))
    if isinstance(content, (list, tuple)):
        content = {str(number): value for number, value in enumerate(content) if isinstance(value, dict)}
    if not isinstance(content, dict) or len(keys) > _DEEPEST:
        return
    if all(isinstance(content.get(part), dict) for part in _PAIR):
        content = {f"{part}.{name}": value for part in _PAIR for name, value in content[part].items()}
    if tensors := {str(name): value for name, value in content.items() if _is_plain(value)}:
        yield _Found(keys, tensors)
    for key, value in content.items():
        if isinstance(key, str) and not _OF_TRAINING.search(key):
            yield from _states(value, (*keys, key), seen)


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor with numbers, neither sparse nor quantised, nor one without memory."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_quantized or value.is_meta)
    )
