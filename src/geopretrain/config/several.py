"""How users write what is several: initialisations, modes, seeds, learning rates."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from geopretrain.schema import Count, Positive, Words, has_plain_digits, path_text, reads

MAX_SEEDS = 1000
MAX_LABELS = 10**9
MAX_RATE = 10**9
ALL_LABELS = "all"


def parts_of(value: Any) -> Any:
    """Return the parts of ``'a,b'``, of a list, or of one value."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    split = [words for part in parts for words in (part.split(",") if isinstance(part, str) else [part])]
    return [words for part in split if (words := part.strip() if isinstance(part, str) else part) != ""]


def whole(part: Any) -> int:
    """Return a whole number of any of its forms (ValueError for what is none)."""
    if isinstance(part, bool) or not isinstance(part, (int, str)) or not has_plain_digits(str(part)):
        raise ValueError("no whole number")
    return int(part)


def inits_of(value: Any) -> Any:
    """Return words and paths; a comma is part of a path that exists."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    several = [[part] if isinstance(part, str) and _exists(part) else parts_of(part) for part in parts]
    return [path_text(one) if isinstance(one, str) else one for part in several for one in part]


def _exists(text: str) -> bool:
    try:
        return os.path.exists(text)
    except ValueError:  # a zero byte
        return False


def different(value: Any) -> Any:
    """Return a list without what is in it twice."""
    if not (parts := parts_of(value)):
        raise ValueError("at least one")
    return list(dict.fromkeys(str(part) for part in parts))


def _seeds(value: Any) -> Any:
    """Return the seeds of ``5`` (0 to 4), ``'3,4,5'`` or a list, ascending."""
    several = isinstance(value, (list, tuple)) or (isinstance(value, str) and "," in value)
    try:
        chosen = [whole(part) for part in parts_of(value)]
    except (TypeError, ValueError, OverflowError):
        chosen = []
    if not several and len(chosen) == 1 and 0 <= chosen[0] <= MAX_SEEDS:
        chosen = list(range(chosen[0]))
    if len(chosen) < 2 or len(set(chosen)) < len(chosen) or min(chosen) < 0 or max(chosen) >= 2**63:
        raise ValueError(
            "at least 2, to tell a difference from chance (5 are better): a number, or different whole "
            "numbers with commas"
        )
    return sorted(chosen)


def _label_counts(value: Any) -> Any:
    """Return a number of labels, several ascending, or ``all``, which may be the last of several."""
    parts = parts_of(value)
    numbers = [part for part in parts if part != ALL_LABELS]
    every: list[Any] = [ALL_LABELS] * (len(parts) - len(numbers))
    try:
        chosen = [whole(part) for part in numbers]
    except (TypeError, ValueError, OverflowError):
        chosen, every = [], []
    found = [*sorted(chosen), *every]
    too_far = chosen and not 1 <= min(chosen) <= max(chosen) <= MAX_LABELS
    if not found or too_far or len(set(found)) < len(found):
        raise ValueError(
            "a whole number of at least 1, all, or different ones with commas such as 4,16,64 or 4,16,all"
        )
    return tuple(found) if len(found) > 1 else found[0]


def _rates(value: Any) -> Any:
    if value == "auto":
        return value
    parts = parts_of(value)
    try:
        rates = [float(rate) if has_plain_digits(str(rate)) else 0.0 for rate in parts]
    except (TypeError, ValueError, OverflowError):
        rates = []
    if not rates or not all(0 < rate <= MAX_RATE for rate in rates) or len(set(rates)) < len(rates):
        raise ValueError(
            f"auto, a positive number up to {MAX_RATE:,}, or different ones with commas such as 1e-4,1e-3"
        )
    return sorted(rates)


def _scales(value: Any) -> Any:
    parts = parts_of(value)
    try:
        scales = [float(part) if has_plain_digits(str(part)) else 0.0 for part in parts]
    except (TypeError, ValueError, OverflowError):
        scales = []
    if not scales or not all(0.1 <= scale <= 10 for scale in scales) or len(set(scales)) < len(scales):
        raise ValueError("a number from 0.1 to 10, or different ones with commas such as 0.5,1,2")
    return tuple(sorted(scales))


Mode = Literal["full", "encoder", "frozen"]
Modes = Annotated[tuple[Mode, ...], reads(different), Words("full, encoder or frozen", "MODE", many=True)]
Seeds = Annotated[tuple[int, ...], reads(_seeds), Words("a number, or numbers with commas", "N", many=True)]
LabelCounts = Annotated[
    Literal["all"] | int | tuple[int | Literal["all"], ...],
    reads(_label_counts),
    Words("a number, all, or several with commas", "N|all", many=True),
]
Inits = Annotated[tuple[str, ...], reads(inits_of), Words("initialisations", "INIT", many=True)]
CompareRates = Annotated[
    Literal["auto"] | tuple[Positive, ...],
    reads(_rates),
    Words("auto or positive numbers", "auto|X", many=True),
]
Scales = Annotated[tuple[float, ...], reads(_scales), Words("numbers from 0.1 to 10", "X", many=True)]
Jobs = Annotated[Literal["auto"] | Count, Words("auto or a whole number of at least 1", "auto|N")]
