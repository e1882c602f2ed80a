"""Checked dataclasses: options of commands and methods, and records in files, have one mechanism.

A class under `checked` is a frozen dataclass whose fields are written once: name, type with its range,
default, and the sentence below it. Pydantic checks the values wherever they come from (Python, command line,
a file), and what is wrong is said in one sentence.
"""

from __future__ import annotations

import errno
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import PydanticCustomError

from geopretrain.errors import ConfigError, OptionError, nearest_name, plain_text, short

RENAMED = {"iterations": "steps", "curve": "curve_points"}
"""Options that had another name in earlier versions; files of theirs are still read."""

T = TypeVar("T")

MIN_SIDE = 32
"""Smallest side of a working size, px."""
MAX_NAME = 255
"""Longest name of a file or folder."""
MAX_SIDE = 16_384
"""Largest side of a working size, px."""

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Schedule = Literal[
    "constant", "step", "late_step", "halve", "tenth", "poly", "linear", "triangle", "cosine", "warm_cosine"
]
OptimizerName = Literal["adam", "adamw", "sgd"]
Strategy = Literal["ddp", "fsdp"]
Best = Literal["auto", "lowest", "highest"]
Keep = Literal["last", "best"]
Crop = Literal["bottom"]
# (words that presets of tasks, options and the loop share)


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


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def reads(parse: Callable[[Any], Any]) -> BeforeValidator:
    """Return the part of a type that brings what users write into its plain form.

    ``parse`` raises ValueError with what is expected, as the rest of ``must be ...``.
    """

    def read(value: Any) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError("words", "{words}", {"words": str(error)}) from error

    return BeforeValidator(read)


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    return value


def _size(size: Any) -> Any:
    if size is None or size == "auto":
        return None
    try:
        parts = size.lower().replace("×", "x").split("x") if isinstance(size, str) else list(size)
        height, width = (int(part) for part in parts if isinstance(part, (int, str)))
    except (TypeError, ValueError):
        raise ValueError("HEIGHTxWIDTH in pixels such as 96x320 (height first)") from None
    if not MIN_SIDE <= min(height, width) <= max(height, width) <= MAX_SIDE:
        raise ValueError(f"at least {MIN_SIDE}x{MIN_SIDE} and at most {MAX_SIDE}x{MAX_SIDE} pixels")
    return height, width


def parse_size(size: str | Sequence[int] | None) -> tuple[int, int] | None:
    """Return (height, width) in px of ``'96x320'`` or ``(96, 320)``, None of ``'auto'``.

    Raises:
        ConfigError: it is not HEIGHTxWIDTH, or a side is below 32 px.
    """
    try:
        return cast("tuple[int, int] | None", _size(plain(size)))
    except ValueError as error:
        raise OptionError("size", f"must be {error}, not {size!r}.") from error


def path_text(text: str) -> str:
    """Return a path with ``~`` as the home folder.

    Raises:
        ValueError: no system takes it for a path; the rest of ``must be ...``.
    """
    try:
        if "\0" in text or max(len(os.fsencode(name)) for name in re.split(r"[/\\]", text)) > MAX_NAME:
            raise ValueError
        if text.startswith("~") and not os.path.lexists(text):
            text = os.path.expanduser(text)
        os.stat(text)
    except ValueError:  # text that is none is one, too
        raise ValueError(f"a path, without names of more than {MAX_NAME} bytes") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("a path that leads somewhere; it is a link that leads back to itself") from None
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError("a shorter path; no system takes one as long as this") from None
    return text


def as_path(value: Any, name: str = "path") -> Path:
    """Return what a caller named as a path.

    Raises:
        OptionError: it is no path.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    try:
        if not isinstance(text, str):
            raise ValueError("a path")
        return Path(path_text(text))
    except ValueError as error:
        raise OptionError(name, f"must be {error}, not {short(value)}.") from None


def _path(value: Any) -> Any:
    """Refuse what no system takes for a path."""
    if isinstance(value, list):
        return [_path(one) for one in value]
    return path_text(value) if isinstance(value, str) else value


def _fraction(value: Any) -> Any:
    words = str(value).strip()
    try:
        fraction = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        fraction = float("nan")
    if isinstance(value, bool) or not 0 < fraction <= 1:
        raise ValueError("a fraction such as 5% or 0.05, above 0 and at most 100%")
    return fraction


@dataclass(frozen=True)
class Words:
    """What a type is called: in errors, and on the command line."""

    expected: str
    """The rest of ``must be ...``."""
    metavar: str = "VALUE"
    """What stands for a value in ``--help``."""
    many: bool = False
    """Whether the command line takes several words."""
    choices: tuple[str, ...] = ()
    """The values possible, where they are known elsewhere than in a ``Literal``."""


_number = BeforeValidator(_no_truth_value)
_HUGE, _BATCH = 10**9, 65_536
Count = Annotated[int, _number, Field(ge=1, le=_HUGE), Words("a whole number of at least 1", "N")]
Natural = Annotated[int, _number, Field(ge=0, le=_HUGE), Words("a whole number of at least 0", "N")]
Seed = Annotated[int, _number, Field(ge=0, lt=2**63), Words("a whole number from 0 to 2**63 - 1", "N")]
BatchSize = Annotated[int, _number, Field(ge=1, le=_BATCH), Words("a whole number of at least 1", "N")]
Few = Annotated[int, _number, Field(ge=1, le=1000), Words("a whole number from 1 to 1000", "N")]
Threads = Annotated[int, _number, Field(ge=1, le=1024), Words("a whole number from 1 to 1024", "N")]
Positive = Annotated[
    float,
    _number,
    Field(gt=0, le=_HUGE, allow_inf_nan=False),
    Words("a positive number", "X"),
]
NonNegative = Annotated[
    float,
    _number,
    Field(ge=0, le=_HUGE, allow_inf_nan=False),
    Words("a number of at least 0", "X"),
]
Unit = Annotated[float, _number, Field(ge=0, le=1), Words("a number from 0 to 1", "X")]
Decay = Annotated[float, _number, Field(gt=0, lt=1), Words("a number above 0 and below 1", "X")]
Fraction = Annotated[float, reads(_fraction), Words("a fraction such as 5% or 0.05", "5%")]
"""A part of the data: ``0.05`` or ``'5%'``."""
Size = Annotated[tuple[int, int], reads(_size), Words("HEIGHTxWIDTH in pixels", "HEIGHTxWIDTH")]
"""(height, width) in px, from ``'96x320'`` or a pair."""
AnySize = Annotated[tuple[int, int] | None, reads(_size), Words("HEIGHTxWIDTH in pixels", "HEIGHTxWIDTH")]
"""A size, or None for the one that suits the data (``auto``)."""
FilePath = Annotated[str | os.PathLike[str], reads(_path), Words("a path", "PATH")]
"""Text or a path; kept as text."""
FilePaths = Annotated[
    str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    reads(_path),
    Words("a path or several", "PATH", many=True),
]
"""One path or several."""
_SETTINGS = ConfigDict(
    extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False
)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
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
        given_values = {name: plain(value) for name, value in named.items()}
        positions = [one.name for one in fields(self) if not one.kw_only]
        values = tuple(plain(value) for value in values)
        _refuse_other_kinds(type(self), {**dict(zip(positions, values, strict=False)), **given_values})
        try:
            init(self, *values, **given_values)
        except ValidationError as error:
            raise sentence(error, type(self)) from None
        object.__setattr__(self, "_given", (*positions[: len(values)], *named))

    return checked_init


def _refuse_other_kinds(cls: type, values: Mapping[str, Any]) -> None:
    """Raise OptionError for what would be taken for something else.

    True and false would be 1 and 0 where a number is wanted, bytes text or a number, 2.0 a whole number,
    ``1_000`` and digits of other scripts a number, and no text at all a value.
    """
    types = _hints(cls)
    for name, value in values.items():
        hint = types.get(name)
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, str) and not part.strip() for part in parts):
            raise OptionError(name, f"must be {expected(hint) or 'a value'}, not empty; or leave it away.")
        for part in parts:
            if _is_of_another_kind(part, hint):
                raise OptionError(name, f"must be {expected(hint) or 'text'}, not {short(value)}.")


def _is_of_another_kind(value: Any, hint: Any) -> bool:
    if isinstance(value, (bytes, bytearray)):
        return True
    if not _takes(hint, int, float) or _takes(hint, Any):
        return False
    if isinstance(value, bool):
        return not _takes(hint, bool)
    whole = not _takes(hint, float)
    if isinstance(value, float):
        return whole
    if isinstance(value, str) and not _takes(hint, str):
        return not has_plain_digits(value) or (whole and "." in value)
    return False


def has_plain_digits(text: str) -> bool:
    """Return whether what is a number in a text is written as people and other programs write it.

    Python reads ``1_000`` and digits of any script, too.
    """
    return "_" not in text and text.replace("×", "x").isascii()


def _takes(hint: Any, *kinds: Any) -> bool:
    """Return whether a type is, or holds, one of some kinds."""
    if get_origin(hint) is Literal:
        return any(type(value) in kinds for value in get_args(hint))
    return hint in kinds or any(_takes(part, *kinds) for part in get_args(hint) if not isinstance(part, str))


def given(options: Any) -> dict[str, Any]:
    """Return the values that a checked dataclass was constructed with, without those left to defaults."""
    names = getattr(options, "_given", ())
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def sentence(error: ValidationError, cls: type) -> ConfigError:
    """Return the first thing that is wrong as an error in words."""
    first = error.errors(include_url=False)[0]
    name, value = _name_of(first["loc"], cls), first.get("input")
    if first["type"] in ("unexpected_keyword_argument", "unexpected_positional_argument"):
        known = [one.name for one in fields(cls)]
        near = nearest_name(RENAMED.get(name, name), known)
        return ConfigError(f"Unknown setting '{name}'.{near} Known: {', '.join(known)}.")
    if first["type"] in ("missing", "missing_argument") or (value is None and name in descriptions(cls)):
        return OptionError(name, f"is missing: {plain_text(descriptions(cls).get(name, ''))}")
    hint = _hints(cls).get(name)
    choices = choices_of(hint)
    if choices and first["type"] != "words" and not isinstance(value, (dict, list)):
        near = nearest_name(str(value), choices)
        return OptionError(name, f"must be one of {', '.join(choices)}, not {short(value)}.{near}")
    return OptionError(name, f"must be {_problem(dict(first), hint)}, not {short(value)}.")


def _name_of(place: tuple[int | str, ...], cls: type) -> str:
    """Return the field that an error is about; arguments without a keyword are known by their number."""
    if not place:
        return ""
    at, positional = place[0], [one.name for one in fields(cls) if not one.kw_only]
    return positional[at] if isinstance(at, int) and at < len(positional) else str(at)


def _problem(first: Mapping[str, Any], hint: Any) -> str:
    """Return what was expected, in words."""
    context = first.get("ctx") or {}
    if first["type"] == "words":
        return str(context["words"])
    if first["type"] == "less_than_equal" and context["le"] in (_HUGE, _BATCH):
        return f"at most {int(context['le']):,}"
    if choices := choices_of(hint):
        return f"one of {', '.join(choices)}"
    return expected(hint) or str(first["msg"]).removeprefix("Input should be ")


def descriptions(cls: type) -> dict[str, str]:
    """Return what stands below each field of a checked dataclass or its bases, as one line each."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        infos = base.__dict__.get("__pydantic_fields__", {})
        found |= {n: " ".join(info.description.split()) for n, info in infos.items() if info.description}
    return {one.name: found.get(one.name, "") for one in fields(cls)}


def defaults(cls: type) -> dict[str, Any]:
    """Return the default of each field of a checked dataclass, ``MISSING`` where there is none."""
    made = {one.name: one.default_factory for one in fields(cls)}
    found = {one.name: one.default for one in fields(cls)}
    found |= {name: factory() for name, factory in made.items() if factory is not MISSING}
    return {name: _default(value) for name, value in found.items()}


def _default(value: Any) -> Any:
    return value.default if type(value).__name__ == "FieldInfo" else value


def hints(cls: type) -> dict[str, Any]:
    """Return the type of each field of a checked dataclass, with what is annotated."""
    return {one.name: _hints(cls)[one.name] for one in fields(cls)}


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def choices_of(hint: Any) -> list[str]:
    """Return the values of a ``Literal`` inside a type; none where it takes numbers, too."""
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    if _takes(hint, int, float):
        return []
    return next((found for part in get_args(hint) if (found := choices_of(part))), [])


def words_of(hint: Any) -> Words | None:
    """Return what a type or a part of it is called, None where nobody has said it."""
    named = [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Words)]
    inside = (found for part in get_args(hint) if isinstance(found := words_of(part), Words))
    return named[0] if named else next(inside, None)


def expected(hint: Any) -> str:
    """Return what a type stands for, in words."""
    named = words_of(hint)
    if named is not None:
        return named.expected
    inside = [expected(part) for part in get_args(hint) if part is not type(None)]
    if any(inside):
        return " or ".join(dict.fromkeys(word for word in inside if word))
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(hint, "")
