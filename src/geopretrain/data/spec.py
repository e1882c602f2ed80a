"""What a user names: a place on disk, perhaps with options behind it (``PATH?classes=13``)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl

from geopretrain.errors import ConfigError, nearest_name


def place_of(spec: str) -> Path:
    """Return the path without the options behind it; a ``?`` in a name that exists is part of it."""
    return _split(spec)[0]


def options_of(spec: str) -> dict[str, str]:
    """Return the options behind a path, none where there are none."""
    return dict(parse_qsl(_split(spec)[1], keep_blank_values=True))


def refuse_unknown(spec: str, known: Iterable[str]) -> None:
    """Raise the ConfigError for an option that a layout does not have."""
    known = tuple(known)
    for name in options_of(spec):
        if name not in known:
            has = f"known are {', '.join(known)}" if known else "data of this layout have no options"
            raise ConfigError(f"'{spec}': unknown option '{name}'; {has}.{nearest_name(name, known)}")


def whole_number(spec: str, name: str) -> int | None:
    """Return an option that is a whole number above 0, None where it was not given (ConfigError)."""
    value = options_of(spec).get(name)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"'{spec}': {name} must be a whole number above 0, not '{value}'.")
    return int(value)


def one_of_these(spec: str, name: str, choices: Iterable[str]) -> str | None:
    """Return an option that has one of some values, None where it was not given (ConfigError)."""
    value, choices = options_of(spec).get(name), tuple(choices)
    if value is not None and value not in choices:
        raise ConfigError(f"'{spec}': {name} must be one of {', '.join(choices)}, not '{value}'.")
    return value


def _split(spec: str) -> tuple[Path, str]:
    path, mark, query = spec.rpartition("?")
    if not mark or _exists(spec):
        return Path(spec).expanduser(), ""
    return Path(path).expanduser(), query


def _exists(spec: str) -> bool:
    try:
        return Path(spec).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # what no system takes for a path
        return False
