"""How sizes and numbers of things are written in sentences: one way everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def sides(size: Sequence[int]) -> str:
    """Return a (height, width) as options take it: ``64x96``."""
    return f"{size[0]}x{size[1]}"


def in_px(size: Sequence[int]) -> str:
    """Return a (height, width) px where it is first said in a sentence: ``64x96 px (height x width)``."""
    return f"{sides(size)} px (height x width)"


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 step``, ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def those(number: int, noun: str, one: str = "is", more: str = "are") -> str:
    """Return a number of things with what they do: ``1 file is``, ``2 files are``."""
    return f"{counted(number, noun)} {one if number == 1 else more}"


def as_sentence(text: str) -> str:
    """Return text with the end of a sentence, so that another one can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


MINUS = "\N{MINUS SIGN}"


def number(value: float, form: str) -> str:
    """Return a number as sentences, tables and figures show it, with a real minus sign: ``−0.695``.

    Not for files that programs read (CSV, JSON): they know the hyphen alone.

    Args:
        value: the number.
        form: as Python formats it, e.g. ``z.3f`` or ``+z.1f``; ``z`` is no minus before what rounds to 0.
    """
    return format(float(value), form).replace("-", MINUS)


def in_megabytes(megabytes: float) -> str:
    """Return a size of files or memory (MB, 10^6 bytes): ``0.4 MB``, ``250 MB``, ``2.5 GB``."""
    if megabytes >= 1000:
        return f"{megabytes / 1000:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


def in_versions(versions: Mapping[str, Any]) -> str:
    """Return versions of libraries as one text: ``torch 2.9.0, timm 1.0.20``."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


_FORMULA = re.compile(r"\s*[=+\-@]|[\t\r\n]")


def csv_cell(value: Any) -> Any:
    """Return text as a cell of a CSV that no spreadsheet takes for a formula; numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


_NUMBERS = {
    "rank_me": "RankMe",
    "miou": "mIoU",
    "epe": "EPE",
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "a1": "d<1.25",
    "a2": "d<1.25^2",
    "a3": "d<1.25^3",
    "fl_all": "Fl-all",
    "top1": "top-1",
    "top5": "top-5",
    "iou": "IoU",
    "ap": "AP",
}
"""What the field calls numbers that files name in one word."""


def metric(name: str) -> str:
    """Return a number as sentences call it: ``RankMe`` of ``rank_me``, ``probe mIoU`` of ``probe_miou``."""
    if name in _NUMBERS:
        return _NUMBERS[name]
    found = next((key for key in _NUMBERS if name.endswith(f"_{key}")), None)
    if found is None:
        return name.replace("_", " ")
    return f"{name.removesuffix(found).replace('_', ' ')}{_NUMBERS[found]}"
