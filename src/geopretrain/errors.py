"""Errors a user can mend: one clear sentence, exit code 2 on the command line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any
from unicodedata import category

_LONG_ENOUGH = 5  # letters of a name that may be the beginning of another
MAX_WORD = 400
"""Characters of a name that are shown; of longer ones beginning and end."""
MAX_SHOWN = 100
"""Characters of a wrong value that are shown."""


def calm(text: str, *, lines: bool = False) -> str:
    """Return a text as a terminal can show it: what would move its cursor or colour it is written out.

    Args:
        text: with names of files, which may hold anything.
        lines: keep line feeds.
    """
    keep = "\n" if lines else ""
    shown = "".join(c if c in keep or c.isprintable() or category(c) == "Zs" else repr(c)[1:-1] for c in text)
    return re.sub(rf"\S{{{MAX_WORD},}}", _shortened, shown)


def _shortened(word: re.Match[str]) -> str:
    return f"{word[0][: MAX_WORD // 4]}...{word[0][-MAX_WORD // 8 :]}"


def short(value: Any) -> str:
    """Return a value as it is shown in a sentence: on one line, and not at any length."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def plain_text(description: str) -> str:
    """Return what stands below an option in the source, without the marks of code that docstrings have."""
    return description.replace("``", "")


class UserError(Exception):
    """Base of every error caused by input or options: what happened, what was expected, what to do."""

    def __init__(self, *values: object) -> None:
        super().__init__(*(calm(value) if isinstance(value, str) else value for value in values))


class ConfigError(UserError):
    """An option has an impossible value or an unknown name."""


class OptionError(ConfigError):
    """The value of one option is impossible; on the command line the option is named as it is typed there.

    Args:
        name: of the option in Python.
        problem: the rest of the sentence: ``must be ..., not ...``.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name, self.problem = name, calm(problem)


class DataError(UserError):
    """A video, image, label, intrinsics file or store cannot be used as it is."""


class Diverged(UserError):
    """A training ran away: its loss, its weights or what it predicts are no numbers any more."""


class DivergedPrediction(DataError, Diverged):
    """What a trained network predicts cannot be scored, because it is no number or not what it must be."""


class WeightsError(UserError):
    """Weights are unreadable, unsafe to read, or belong to another network."""


class RunFolderError(UserError):
    """An output folder is not empty, not writable, or does not hold what is asked of it."""


_OTHER_WORDS = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps", "processor": "cpu"}
"""What people call things whose names here look otherwise."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name closest to ``name``, or an empty string."""
    known = list(known)
    if (meant := _OTHER_WORDS.get(name.lower())) in known:
        return f" Did you mean '{meant}'?"
    best = max(known, key=lambda other: _likeness(name, other), default="")
    return f" Did you mean '{best}'?" if best and _likeness(name, best) >= 0.5 else ""


def _likeness(name: str, other: str) -> float:
    """Return 0 to 1: of the whole names, or nearly so much of the beginning of a longer one."""
    name, other = name.lower(), other.lower()
    whole = difflib.SequenceMatcher(None, name, other).ratio()
    if len(name) < _LONG_ENOUGH or len(other) <= len(name) + 1:
        return whole
    return max(whole, 0.95 * difflib.SequenceMatcher(None, name, other[: len(name) + 1]).ratio())


def unknown_init(text: str) -> WeightsError:
    """Return the error for what is given as ``init`` and is nothing that is known or there."""
    return WeightsError(
        f"Unknown initialisation '{text}'.{nearest_name(text, ['random', 'imagenet'])} It is neither "
        "'random' nor 'imagenet', and there is no such run folder or weights file."
    )


def unknown_backbone(name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a backbone that timm does not have."""
    return ConfigError(
        f"Unknown backbone '{name}'.{nearest_name(name, known)} Any model of timm.list_models() can be used."
    )


def one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raise ConfigError naming the nearest where ``value`` is not among ``known``."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ConfigError(
            f"Unknown {name} '{value}'.{nearest_name(str(value), known)} Known: {', '.join(known)}."
        )


def require(condition: bool, option: str, expected: str, value: object) -> None:
    """Raise ConfigError unless the condition holds: ``option must be expected, not value.``"""
    if not condition:
        raise OptionError(
            option, f"must be {expected}, not {value if isinstance(value, float) else short(value)}."
        )
