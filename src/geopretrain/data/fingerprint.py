"""Digests of content: the same for a moved copy, another one for other content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import numpy as np

MAX_WHOLE = 64 * 2**20  # bytes of a file that go in whole; of larger ones blocks spread over all of it
_BLOCK, _BLOCKS = 2**20, 64


class Digest:
    """Collects values and files; ``hex`` gives 16 hexadecimal digits for all of them."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=8)

    def add(self, values: Any) -> Self:
        """Add what JSON can hold."""
        self._hash.update(json.dumps(values, sort_keys=True).encode() + b"\n")
        return self

    def add_file(self, path: Path) -> Self:
        """Add the length and the content of a file, of a large one a part."""
        length = path.stat().st_size
        self.add(length)
        with path.open("rb") as file:
            if length <= MAX_WHOLE:
                while block := file.read(_BLOCK):
                    self._hash.update(block)
                return self
            for start in np.linspace(0, length - _BLOCK, _BLOCKS).astype(np.int64):
                file.seek(int(start))
                self._hash.update(file.read(_BLOCK))
        return self

    def hex(self) -> str:
        """Return the digest of everything added so far."""
        return self._hash.hexdigest()
