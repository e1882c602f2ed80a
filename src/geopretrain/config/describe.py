"""What is known of each option of a class: for the command line, its help, docstrings and documentation."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args

from geopretrain.schema import Words, choices_of, defaults, descriptions, hints, words_of

BY_NAME = {"by_name": True}
"""Metadata of a field that Python takes by position and the command line as ``--name`` only."""
OWN = "Of this command"
"""Title of the options that only one command has."""


@dataclass(frozen=True)
class Option:
    """One option as users see it."""

    name: str
    """As in Python."""
    description: str
    """What stands below the field, with ``code`` marked."""
    default: Any
    """``MISSING`` where it must be given."""
    group: str
    """Title of the class it is written in."""
    positional: bool
    """Whether it needs no ``--name``."""
    flag: bool
    """Whether it is true when given without a value."""
    words: bool
    """Whether a flag may also have another value, such as a folder."""
    many: bool
    """Whether it takes several values."""
    choices: tuple[str, ...]
    """The values possible, empty where there are too many to list."""
    metavar: str
    """What stands for a value."""

    @property
    def typed(self) -> str:
        """As on the command line."""
        return self.name.upper() if self.positional else f"--{dashed(self.name)}"

    @property
    def has_default(self) -> bool:
        """Whether leaving it away means a value that can be shown."""
        return self.default is not MISSING and self.default not in (None, (), {}, [])

    @property
    def default_text(self) -> str:
        """The default as it is typed."""
        value = self.default
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, Sequence) and not isinstance(value, str):
            return ",".join(str(part) for part in value)
        return str(value)


def dashed(name: str) -> str:
    """Return an option's name as it is written on the command line."""
    return name.replace("_", "-")


def options_of(cls: type) -> list[Option]:
    """Return the options of a class: positional ones, those of the command, then the shared ones."""
    words, types, values = descriptions(cls), hints(cls), defaults(cls)
    found = [
        _option(
            one.name,
            words[one.name],
            types[one.name],
            values[one.name],
            _group(cls, one.name),
            not one.kw_only and not one.metadata.get("by_name"),
        )
        for one in fields(cls)
    ]
    return sorted(found, key=lambda option: (not option.positional, option.group != OWN))


def _option(name: str, description: str, hint: Any, default: Any, group: str, positional: bool) -> Option:
    named = words_of(hint)
    choices = (named.choices if named else ()) or tuple(choices_of(hint))
    is_flag = _is_flag(hint)
    return Option(
        name=name,
        description=description,
        default=default,
        group=group,
        positional=positional,
        flag=is_flag,
        words=is_flag and named is not None,
        many=named is not None and named.many,
        choices=choices,
        metavar=_metavar(named, choices, is_flag),
    )


def _metavar(named: Words | None, choices: Sequence[str], is_flag: bool) -> str:
    if named is not None and not named.choices:
        return named.metavar
    return "|".join(choices) or ("true|false" if is_flag else "TEXT")


def _is_flag(hint: Any) -> bool:
    return hint is bool or any(_is_flag(part) for part in get_args(hint))


def _group(cls: type, name: str) -> str:
    """Return the title of the class that a field is written in."""
    home = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
    return OWN if home is cls else (home.__doc__ or "").split("\n\n")[0].rstrip(".")
