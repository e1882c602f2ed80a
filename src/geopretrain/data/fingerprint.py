"""Digests: of content, the same for a moved copy; and of inputs that nobody has read yet."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import numpy as np

MAX_WHOLE = 64 * 2**20
"""Bytes of a file that go in whole; of larger ones blocks spread over all of it."""
_BLOCK, _BLOCKS = 2**20, 64


def digest(values: Any, digits: int = 16) -> str:
    """Return hexadecimal digits for what JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:digits]


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
        with path.open("rb") as file:
            for start in starts:
                file.seek(start)
                self._hash.update(file.read(_BLOCK))
        return self

    def hex(self) -> str:
        """Return the digest of everything added so far."""
        return self._hash.hexdigest()[:16]
