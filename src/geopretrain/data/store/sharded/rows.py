"""Rows of a file that lies in shards: each shard is fetched when a row of it is first read, and mapped."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from geopretrain.data.mapped import MappedRows
from geopretrain.data.store.sharded.cache import ShardCache
from geopretrain.data.store.sharded.index import Shard

MAX_OPEN = 32
"""Shards that stay open after a reading: what is open takes room on the disk also where it was removed."""
MAX_FETCHED = 8
"""Shards of one reading that are fetched at once."""


class ShardedRows:
    """Equally large rows in shards; may travel to another process."""

    def __init__(
        self, cache: ShardCache, shards: list[Shard], dtype: DTypeLike, shape: tuple[int, ...]
    ) -> None:
        self._cache, self._shards, self._dtype, self._row = cache, shards, np.dtype(dtype), shape[1:]
        self._ends = np.cumsum([shard.rows for shard in shards])
        self._opened: OrderedDict[int, MappedRows] = OrderedDict()

    def open(self) -> None:
        """Do nothing: shards are known by their content, so that another store cannot take their place."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of some rows, in the shape of ``rows`` with that of a row behind it.

        Raises:
            UserError: a shard cannot be fetched, see `ShardCache.opened`.
        """
        rows = np.asarray(rows, dtype=np.int64)
        flat = rows.reshape(-1)
        of_shard = np.searchsorted(self._ends, flat, side="right")
        values = np.empty((len(flat), *self._row), self._dtype)

        def fill(number: int) -> None:
            places = np.flatnonzero(of_shard == number)
            first = self._ends[number] - self._shards[number].rows
            values[places] = self._shard(number).read(flat[places] - first)

        numbers = np.unique(of_shard).tolist()
        missing = [n for n in numbers if n not in self._opened and not self._cache.has(self._shards[n])]
        if len(missing) > 1:
            with ThreadPoolExecutor(min(MAX_FETCHED, len(missing))) as pool:
                list(pool.map(fill, missing))
        for number in numbers if len(missing) <= 1 else sorted(set(numbers) - set(missing)):
            fill(number)
        self._close_some()
        return values.reshape(*rows.shape, *self._row)

    def _shard(self, number: int) -> MappedRows:
        """Return a shard as rows that are open, fetched where it is not here."""
        shard = self._shards[number]
        rows = self._opened.pop(number, None)
        if rows is None:
            rows = self._cache.opened(shard, lambda path: self._mapped(path, shard.rows))
            self._opened[number] = rows
        elif self._cache.touch(shard):
            self._opened[number] = rows
        return rows  # one that was removed is read to the end, and then closed

    def _mapped(self, path: Path, count: int) -> MappedRows:
        rows = MappedRows(path, self._dtype, (count, *self._row))
        rows.open()
        return rows

    def _close_some(self) -> None:
        while len(self._opened) > MAX_OPEN:
            self._opened.popitem(last=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": OrderedDict()}


class ShardedBytes:
    """Pieces of any length, one after the other in shards; may travel to another process."""

    def __init__(self, cache: ShardCache, shards: list[Shard], lengths: np.ndarray) -> None:
        self._cache, self._shards = cache, shards
        self._ends = np.cumsum([shard.rows for shard in shards])
        self._starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def read(self, number: int) -> bytes:
        """Return one of them (UserError as `ShardedRows.read`)."""
        place = int(np.searchsorted(self._ends, number, side="right"))
        shard = self._shards[place]
        start, end = self._starts[number : number + 2] - self._starts[self._ends[place] - shard.rows]

        def part(path: Path) -> bytes:
            with path.open("rb") as file:
                file.seek(int(start))
                return file.read(int(end - start))

        return self._cache.opened(shard, part)
