"""What files of ours hold, checked on reading: others may have damaged them, or written them by hand.

The shape of a file is a type (a dataclass, a dictionary of fields); what does not fit is said in one sentence
that names file and field and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, Strict, TypeAdapter, ValidationError

from geopretrain.errors import UserError, short

Whole = Annotated[int, Strict()]
"""A whole number; text and truth values are none."""
Index = Annotated[int, Strict(), Field(ge=0, le=2**62)]
Length = Annotated[int, Strict(), Field(ge=1, le=2**31)]
Real = Annotated[float, Strict()]
"""A number, also NaN and infinity."""
Finite = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Colour = Annotated[int, Strict(), Field(ge=0, le=255)]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
Object = dict[str, Any]

MAX_REASON = 120
MAX_PARTS = 10**6
"""Values in a YAML file; one that refers to itself has more than any number."""
MAX_DEPTH = 100
"""Of lists and mappings in each other."""


def read_json(path: Path, hint: Any, *, error: type[UserError], advice: str) -> Any:
    """Return the content of a JSON file as a type.

    Args:
        path: of the file, which is there.
        hint: type of the content.
        error: raised where it does not fit.
        advice: what to do then, a sentence.
    """
    return as_type(hint, read_json_text(path, error=error, advice=advice), path, error=error, advice=advice)


def read_json_text(path: Path, *, error: type[UserError], advice: str) -> Any:
    """Return the content of a JSON file, unchecked."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"'{path}' cannot be read ({problem.strerror or problem}). {advice}") from problem
    except (ValueError, RecursionError) as problem:  # text that is no UTF-8 is a ValueError, too
        what = "it is empty" if not path.stat().st_size else "it is no JSON, perhaps cut off"
        raise error(f"'{path}' cannot be read: {what}. {advice}") from problem


def read_yaml(path: Path, *, error: type[UserError], advice: str) -> Any:
    """Return the content of a YAML file, unchecked; it can hold plain values only.

    Args:
        path: of the file.
        error: raised where it cannot be read.
        advice: what to do then, a sentence.
    """
    try:
        return plain_yaml(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"'{path}' cannot be read ({problem.strerror or problem}). {advice}") from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        reason = " ".join(str(problem).split())[:MAX_REASON] or type(problem).__name__
        raise error(f"'{path}' cannot be read as YAML ({reason}). {advice}") from problem


def plain_yaml(text: str) -> Any:
    """Return the plain values that YAML text holds.

    Raises:
        yaml.YAMLError: it is none, or a name stands twice in one place, so that the first would be lost.
        ValueError: its parts refer to each other without end, or are too many.
        RecursionError: they lie too deep in each other.
    """
    value = yaml.load(text, Loader=_Loader)
    waiting, seen = [(value, 0)], 0
    while waiting:
        (one, depth), seen = waiting.pop(), seen + 1
        if seen > MAX_PARTS or depth > MAX_DEPTH:
            raise ValueError("its parts refer to each other without end, or are too many")
        inside = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        waiting += [(part, depth + 1) for part in inside]
    return value


class _Loader(yaml.SafeLoader):
    """Of plain values, in which no name stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; before merging, in which names of its own stand above others."""
        before = set[str]()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                continue
            if key.value in before:
                again = f"in line {key.start_mark.line + 1} again"
                raise yaml.YAMLError(f"{short(key.value)} stands twice, {again}")
            before.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def as_type(hint: Any, value: Any, path: Path, *, error: type[UserError], advice: str) -> Any:
    """Return a value that was read from a file as a type, see `read_json`."""
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as problem:
        raise error(f"'{path}' is damaged: {_in_words(problem)}. {advice}") from problem
    except RecursionError as problem:
        raise error(f"'{path}' is damaged: its parts lie too deep in each other. {advice}") from problem


def damaged(path: Path, field: str, expected: str, *, error: type[UserError], advice: str) -> UserError:
    """Return the error about a field that has the right type and an impossible value."""
    return error(f"'{path}' is damaged: {field} must be {expected}. {advice}")


def reason(problem: BaseException) -> str:
    """Return the first line of an error of a library; not where it advises to read a file unsafely."""
    whole = str(problem).strip()
    if "allow_pickle" in whole:
        return "it holds Python objects, which could run code, or is no file of NumPy"
    text = " ".join((whole.splitlines() or [""])[0].split())[:MAX_REASON]
    unsafe = any(word in whole.lower() for word in ("weights_only", "weights only", "fully trust"))
    return type(problem).__name__ if unsafe or not text else text.rstrip(".:")


def mapping(value: Any) -> dict[str, Any]:
    """Return a dictionary with text for names; an empty one where the value is none."""
    return {str(name): one for name, one in value.items()} if isinstance(value, Mapping) else {}


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _in_words(problem: ValidationError) -> str:
    """Return what is wrong first, e.g. ``clips[0].stride must be greater than 0, not -1``."""
    first = problem.errors(include_url=False)[0]
    place = _place(first["loc"]) or "the content"
    if first["type"] == "missing":
        return f"{place} is missing"
    expected = first["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
    return f"{place} {expected}, not {short(first.get('input'))}"


def _place(parts: tuple[int | str, ...]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
