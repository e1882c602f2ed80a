"""Checked dataclasses: options of commands and methods, and records in files, have one mechanism.

A class under :func:`checked` is a frozen dataclass whose fields are written once: name, type with its range,
default, and the sentence below it. Pydantic checks the values wherever they come from (Python, command line,
a file), and what is wrong is said in one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import wraps
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from geopretrain.errors import ConfigError, OptionError, nearest_name

T = TypeVar("T")

MIN_SIDE = 32
"""Smallest side of a working size, px."""


def plain(value: Any) -> Any:
    """Return a value as configurations keep it: NumPy's numbers as Python's, paths and devices as text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value).__module__ == "torch" and type(value).__name__ == "device":
        return str(value)
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value.tolist() if hasattr(value, "tolist") else value


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    return value


def parse_size(size: Any) -> Any:
    """Return (height, width) in px of ``'96x320'`` or ``(96, 320)``, None of ``'auto'``.

    Raises:
        ConfigError: it is not HEIGHTxWIDTH, or a side is below 32 px.
    """
    if size is None or size in ("auto", ""):
        return None
    try:
        parts = size.lower().replace("×", "x").split("x") if isinstance(size, str) else list(size)
        height, width = (int(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"size must be HEIGHTxWIDTH in pixels such as 96x320 (height first), not {size!r}."
        ) from error
    if min(height, width) < MIN_SIDE:
        raise ConfigError(f"size must be at least 32x32 pixels (height x width), not {height}x{width}.")
    return height, width


_number = BeforeValidator(_no_truth_value)
Count = Annotated[int, _number, Field(ge=1), "a whole number of at least 1"]
Natural = Annotated[int, _number, Field(ge=0), "a whole number of at least 0"]
Positive = Annotated[float, _number, Field(gt=0, allow_inf_nan=False), "a positive number"]
NonNegative = Annotated[float, _number, Field(ge=0, allow_inf_nan=False), "0 or more"]
Unit = Annotated[float, _number, Field(ge=0, le=1, allow_inf_nan=False), "between 0 and 1"]
Size = Annotated[tuple[int, int], BeforeValidator(parse_size), "HEIGHTxWIDTH in pixels"]

_SETTINGS = ConfigDict(
    extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False
)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def checked(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass whose values are checked at construction.

    ``__post_init__`` may check what fields mean together. A wrong value raises ConfigError in words.
    """
    made = pydantic_dataclass(cls, frozen=True, kw_only=True, config=_SETTINGS)
    made.__init__ = _in_words(made.__init__)  # type: ignore[method-assign]
    return cast(type[T], made)


def _in_words(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def checked_init(self: Any, *values: Any, **named: Any) -> None:
        try:
            init(self, *(plain(value) for value in values), **{name: plain(v) for name, v in named.items()})
        except ValidationError as error:
            raise sentence(error, type(self)) from None

    return checked_init


def sentence(error: ValidationError, cls: type) -> ConfigError:
    """Return the first thing that is wrong as an error in words."""
    first = error.errors(include_url=False)[0]
    name, value = str(first["loc"][0]) if first["loc"] else "", first.get("input")
    known = [field.name for field in fields(cls)]
    if first["type"] in ("unexpected_keyword_argument", "unexpected_positional_argument"):
        return ConfigError(f"Unknown setting '{name}'.{nearest_name(name, known)} Known: {', '.join(known)}.")
    if first["type"] in ("missing", "missing_argument"):
        return OptionError(name, f"is missing: {descriptions(cls).get(name, '')}")
    hint = _hints(cls).get(name)
    choices = _choices(hint)
    if choices and not isinstance(value, (dict, list)):
        return OptionError(
            name, f"must be one of {', '.join(choices)}, not {value!r}.{nearest_name(str(value), choices)}"
        )
    return OptionError(name, f"must be {_expected(hint) or first['msg']}, not {value!r}.")


def descriptions(cls: type) -> dict[str, str]:
    """Return what stands below each field of a checked dataclass, as one line each."""
    infos = cls.__pydantic_fields__  # type: ignore[attr-defined]
    return {name: " ".join((info.description or "").split()) for name, info in infos.items()}


def defaults(cls: type) -> dict[str, Any]:
    """Return the default of each field of a checked dataclass, ``MISSING`` where there is none."""
    found = {}
    for field in fields(cls):
        factory = field.default_factory
        found[field.name] = factory() if factory is not MISSING else field.default
    return {name: _default(value) for name, value in found.items()}


def _default(value: Any) -> Any:
    return value.default if type(value).__name__ == "FieldInfo" else value


def _hints(cls: type) -> dict[str, Any]:
    from typing import get_type_hints

    return get_type_hints(cls, include_extras=True)


def _choices(hint: Any) -> list[str]:
    """Return the values of a ``Literal`` inside a type."""
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    return next((found for part in get_args(hint) if (found := _choices(part))), [])


def _expected(hint: Any) -> str:
    """Return what a type stands for, in words."""
    words = [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, str)]
    if words:
        return words[0]
    inside = [_expected(part) for part in get_args(hint) if part is not type(None)]
    if any(inside):
        return " or ".join(dict.fromkeys(word for word in inside if word))
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(hint, "")
