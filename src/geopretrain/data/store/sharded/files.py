"""The files of a store that was uploaded: small ones in a folder of the cache, rows in shards."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from geopretrain.data.cache import VARIABLE, cache_folder, disk_errors
from geopretrain.data.store.sharded.cache import BOUND, ShardCache
from geopretrain.data.store.sharded.index import (
    AGAIN,
    LENGTHS_FILE,
    SHARDED_INDEX,
    SHARDS,
    SOURCE_DEPTH,
    Shard,
    ShardedIndex,
    fields_key,
    key_of,
)
from geopretrain.data.store.sharded.rows import ShardedBytes, ShardedRows
from geopretrain.data.store.sharded.storage import Storage
from geopretrain.errors import DataError
from geopretrain.files import replacing

SMALL = "sharded"
"""Folder of the cache with the small files of each store."""


class DepthMap(io.BytesIO):
    """A depth map at the source's resolution, as a file; as text it is its name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name

    def __str__(self) -> str:
        return self.name


class ShardedFiles:
    """The files of a store in shards (`geopretrain.data.store.files.StoreFiles`).

    Attributes:
        index: what there is.
    """

    again = AGAIN
    can_grow = False

    def __init__(self, storage: Storage, index: ShardedIndex, folder: Path) -> None:
        self.index, self.folder, self.place = index, folder, storage.url
        self._cache = ShardCache(storage)

    @classmethod
    def open(cls, place: str) -> ShardedFiles:
        """Read the index and the small files; rows are fetched when they are read.

        Raises:
            DataError: nothing was uploaded there, it is damaged or of a newer version, or cannot be reached.
            ConfigError: a library that reads such addresses is not installed.
            RunFolderError: the cache cannot be written.
        """
        storage = Storage(place)
        try:
            text = storage.read(SHARDED_INDEX)
        except FileNotFoundError as error:
            raise DataError(
                f"{storage.url} holds no store: there is no {SHARDED_INDEX}. It is written last: an upload "
                "that was interrupted goes on with the same command. Only stores are read from elsewhere: "
                "prepare video on a disk, then `geopretrain data upload STORE URL`."
            ) from error
        index = ShardedIndex.from_text(text, storage.url)
        folder = cache_folder(SMALL, key_of(text)[:16])
        with disk_errors(folder):
            for name, shard in index.small.items():
                _keep(storage, shard, folder / name)
        return cls(storage, index, folder)

    def length(self, name: str) -> int | None:
        """Return the bytes of a file of rows, None where it is missing."""
        shards = self.index.rows.get(name)
        return None if shards is None else sum(shard.bytes for shard in shards)

    def rows(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> ShardedRows:
        """Return the rows of a file; nothing is fetched yet (DataError where the index contradicts them)."""
        shards, row_bytes = self.index.rows.get(name, []), np.dtype(dtype).itemsize * math.prod(shape[1:])
        if any(shard.bytes != shard.rows * row_bytes for shard in shards):
            raise DataError(
                f"{self.place}/{SHARDED_INDEX} is damaged: shards of {name} are not of rows of {row_bytes} "
                f"bytes. {AGAIN}"
            )
        return ShardedRows(self._cache, shards, dtype, shape)

    def depth_map(self, name: str, row: int) -> DepthMap:
        """Return the depth map ``name``, the ``row``-th of the store, at the source's resolution (PNG)."""
        return DepthMap(self._source_depth.read(row), f"{self.place}/{name}")

    def fingerprint(self, names: Iterable[str]) -> str | None:
        """Return the fingerprint of the store that was uploaded."""
        known, asked = self.index.fingerprints, fields_key(tuple(names))
        if asked not in known:
            raise DataError(f"{self.place}/{SHARDED_INDEX} is damaged: it has no fingerprint. {AGAIN}")
        return known[asked]

    def doubts(self) -> list[str]:
        """Return a sentence where the cache is too small for the store."""
        bound, needed = self._cache.bound(), self.index.row_bytes
        if needed <= bound:
            return []
        return [
            f"WARNING: the shards of {self.place} have {needed / 1e9:.3g} GB, and the cache keeps at most "
            f"{bound / 1e9:.3g} GB of them. Samples are drawn at random from all shards, so most of them "
            f"fetch a whole shard ({self.index.shard_bytes / 1e6:.3g} MB) again. Keep more with {BOUND}, set "
            f"{VARIABLE} to a larger disk, or upload the store with a smaller --shard-size."
        ]

    @cached_property
    def _source_depth(self) -> ShardedBytes:
        lengths = np.fromfile(self.folder / LENGTHS_FILE, "<u4")
        shards = self.index.rows.get(SOURCE_DEPTH, [])
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        rows = np.cumsum([0, *(shard.rows for shard in shards)])
        whole = rows[-1] == len(lengths) and rows.max() <= len(lengths)
        if not whole or np.diff(ends[rows]).tolist() != [shard.bytes for shard in shards]:
            raise DataError(
                f"{self.place}/{SHARDED_INDEX} is damaged: shards of {SOURCE_DEPTH} do not have "
                f"the lengths of its maps. {AGAIN}"
            )
        return ShardedBytes(self._cache, shards, lengths)


def _keep(storage: Storage, shard: Shard, path: Path) -> None:
    """Make sure that a small file is in the cache, whole."""
    if path.is_file() and path.stat().st_size == shard.bytes and key_of(path.read_bytes()) == shard.key:
        return
    try:
        content = storage.read(f"{SHARDS}/{shard.key}")
    except FileNotFoundError as error:
        raise DataError(f"{storage.url} has lost {SHARDS}/{shard.key} ({path.name}). {AGAIN}") from error
    if key_of(content) != shard.key:
        raise DataError(
            f"{storage.url}/{SHARDS}/{shard.key} ({path.name}) is damaged: it is of another content than its "
            f"checksum says. {AGAIN}"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(content)
