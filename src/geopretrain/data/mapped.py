"""Rows of a file that is mapped into memory, without all of it staying there."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

MAX_MAPPED = 64 * 2**20
"""Bytes read before a file is mapped anew: pages that were looked at count as memory of the process."""


class MappedRows:
    """Rows of a file, read by their positions; may travel to another process.

    From the first reading on it is the file that was opened, also where another has taken its name since.

    Attributes:
        path: of the file.
        shape: of all rows together, the number of rows first.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self._dtype = path, shape, np.dtype(dtype)
        self._mapped: np.ndarray | None = None
        self._read_bytes = 0
        self._descriptor: int | None = None

    def open(self) -> None:
        """Open the file."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self._descriptor)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of some rows, in the shape of ``rows`` with that of a row behind it."""
        if self._mapped is None or self._read_bytes > MAX_MAPPED:
            self._mapped, self._read_bytes = self._map(), 0
        values = np.array(self._mapped[rows])
        self._read_bytes += values.nbytes
        return values

    def _map(self) -> np.ndarray:
        self.open()
        assert self._descriptor is not None
        with open(self._descriptor, "rb", closefd=False) as file:
            return np.asarray(np.memmap(file, self._dtype, "r", shape=self.shape))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": None, "_descriptor": None}
