"""Digests: of content, the same for a moved copy; and of inputs that nobody has read yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from geopretrain.data.dataset import SYNTHETIC
from geopretrain.data.file_names import without_clutter
from geopretrain.data.spec import options_of, place_of
from geopretrain.errors import DataError

MAX_WHOLE = 64 * 2**20
"""Bytes of a file that go in whole; of larger ones blocks spread over all of it."""
_BLOCK, _BLOCKS = 2**20, 64


def digest(values: Any, digits: int = 16, *, sort_keys: bool = True) -> str:
    """Return hexadecimal digits for what JSON can hold; paths and the like go in as text."""
    text = json.dumps(values, sort_keys=sort_keys, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def unread(paths: Sequence[str | Path]) -> list[Any]:
    """Return what tells apart files and folders that nobody has read yet, as JSON.

    Place, number, size and newest time of the files in each; of what is no path (``synthetic:...``) the text.

    Raises:
        DataError: one of them does not exist or cannot be read.
    """
    try:
        return [_unread(path) for path in paths]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}).") from error


def _unread(spec: str | Path) -> Any:
    if str(spec).startswith(SYNTHETIC):
        return str(spec)
    path, chosen = place_of(str(spec)).resolve(), options_of(str(spec))
    if not path.exists():
        raise DataError(f"{path if chosen else spec} does not exist.")
    inside = [path] if path.is_file() else sorted(without_clutter(path.rglob("*"), path))
    files = [file for file in inside if file.is_file()]
    stats = [file.stat() for file in files]
    newest = max((s.st_mtime_ns for s in stats), default=0)
    found = {"path": str(path), "files": len(files), "bytes": sum(s.st_size for s in stats), "newest": newest}
    if not chosen:
        return found
    named = [Path(value).expanduser() for value in chosen.values()]  # lists of frames
    return {**found, "options": chosen, "named": [_unread(file) for file in named if file.is_file()]}


class Digest:
    """Collects values and files; ``hex`` gives 16 hexadecimal digits for all of them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, values: Any) -> Self:
        """Add what JSON can hold."""
        self._hash.update(json.dumps(values, sort_keys=True).encode() + b"\n")
        return self

    def add_file(self, path: Path) -> Self:
        """Add the length and the content of a file, of a large one a part."""
        length = path.stat().st_size
        self.add(length)
        starts = [*range(0, length, _BLOCK)]
        if length > MAX_WHOLE:
            starts = np.linspace(0, length - _BLOCK, _BLOCKS).astype(np.int64).tolist()
        if not length:  # also a pipe or a device, where reading would wait for ever
            return self
        with path.open("rb") as file:
            for start in starts:
                file.seek(start)
                self._hash.update(file.read(_BLOCK))
        return self

    def hex(self) -> str:
        """Return the digest of everything added so far."""
        return self._hash.hexdigest()[:16]
