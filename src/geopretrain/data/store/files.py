"""Where the files of a store are: in a folder, or in shards elsewhere; a store reads both in the same way."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import DTypeLike

from geopretrain.data.mapped import MappedRows
from geopretrain.data.store.index import FRAMES_FILE, INDEX_FILE, store_file
from geopretrain.errors import DataError


class Rows(Protocol):
    """Equally large rows, read by their positions; may travel to another process."""

    def open(self) -> None:
        """Hold on to what is there now, also where another store takes its place."""
        ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of some rows, in the shape of ``rows`` with that of a row behind it."""
        ...


class StoreFiles(Protocol):
    """The files of one store.

    Attributes:
        folder: where its small files are (index, summary, contact sheet).
        place: what the user knows it by: the folder, or an address.
        again: what to do where a file is damaged, as a sentence.
        can_grow: whether something can be written beside the frames.
    """

    folder: Path
    place: str
    again: str
    can_grow: bool

    def length(self, name: str) -> int | None:
        """Return the bytes of a file of rows, None where it is missing."""
        ...

    def rows(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> Rows:
        """Return the rows of a file, of which there are ``shape[0]``; nothing is read yet."""
        ...

    def depth_map(self, name: str, row: int) -> Path | IO[bytes]:
        """Return the depth map ``name``, the ``row``-th of the store, at the source's resolution (PNG)."""
        ...

    def fingerprint(self, names: Iterable[str]) -> str | None:
        """Return the fingerprint of frames and these fields where it is known without reading them."""
        ...

    def doubts(self) -> list[str]:
        """Return what is odd about the place, a sentence each."""
        ...


class FolderFiles:
    """The files of a store in a folder (`StoreFiles`)."""

    again = "Prepare the store again."
    can_grow = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, str(folder)

    def version(self) -> tuple[int, ...]:
        """Return what changes when another store takes the place of this one."""
        try:
            index = store_file(self.folder, INDEX_FILE).stat()
        except OSError:
            return ()
        return index.st_ino, index.st_size, index.st_mtime_ns

    def length(self, name: str) -> int | None:
        """Return the bytes of a file of rows, None where it is missing."""
        file = store_file(self.folder, name)
        return file.stat().st_size if file.is_file() else None

    def rows(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> MappedRows:
        """Return the rows of a file, of which there are ``shape[0]``; nothing is read yet."""
        return MappedRows(store_file(self.folder, name), dtype, shape)

    def depth_map(self, name: str, row: int) -> Path:
        """Return the depth map ``name`` at the source's resolution (PNG)."""
        return store_file(self.folder, name)

    def fingerprint(self, names: Iterable[str]) -> str | None:
        """Return None: it is computed of the files."""
        return None

    def doubts(self) -> list[str]:
        """Return nothing."""
        return []


def check_length(files: StoreFiles, name: str, count: int, row_bytes: int) -> bool:
    """Return whether a store has a file of rows, which is of the length it must have.

    Raises:
        DataError: it is of another length, or missing.
    """
    expected, length = count * row_bytes, files.length(name)
    if (expected or name == FRAMES_FILE) and length != expected:
        found = "missing" if length is None else f"{length} bytes"
        raise DataError(
            f"{files.place}/{name} is damaged: {found} where {expected} bytes were expected. {files.again}"
        )
    return bool(expected)
