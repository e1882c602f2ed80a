"""Text files that people write on any system: lists of files and classes, calibrations."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from geopretrain.errors import DataError

_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Line(NamedTuple):
    """A line of a list: its number in the file (from 1) and its text, without blanks around it."""

    number: int
    text: str


def read_text(path: Path, errors: str = "strict") -> str:
    """Return a text file: UTF-8 with or without a byte order mark, or UTF-16 with one; line ends are ``\\n``.

    Args:
        path: of the file.
        errors: ``replace`` where bytes that are no UTF-8 do no harm, such as in comments of a calibration.

    Raises:
        DataError: missing, unreadable, or no text; the message names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    encoding = next((name for mark, name in _WIDE.items() if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        where = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {where}, is no UTF-8 text. Save it as UTF-8.") from error
    if "\0" in text:
        raise DataError(f"{path} is no text: it holds zero bytes. Save it as UTF-8 text.")
    return re.sub(r"\r\n?", "\n", text)


def read_lines(path: Path, errors: str = "strict") -> list[Line]:
    """Return the lines of a list (see `read_text`) without empty ones and comments (``#``); DataError."""
    lines = (Line(number, line.strip()) for number, line in enumerate(read_text(path, errors).split("\n"), 1))
    return [line for line in lines if line.text and not line.text.startswith("#")]


def listed_path(text: str) -> str:
    """Return a path as lists have it with ``/`` between its parts, also where Windows wrote the list."""
    return text.strip().strip("\"'").replace("\\", "/")
