"""Stores in shards: a file system that counts what is fetched, and processes that read at once, or die."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dying
import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem

from geopretrain.data.dataset import Fields
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.sharded.cache import BOUND

LOG = "SHARD_READERS_LOG"


class CountedFiles(LocalFileSystem):
    """Files of this machine; each that is fetched is a line in the file that ``LOG`` names."""

    protocol = "counted"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("counted://"))

    def get_file(self, path1: str, path2: str, **named: Any) -> None:
        with open(os.environ[LOG], "a") as log:
            log.write(f"{Path(path1).name}\n")
        super().get_file(path1, path2, **named)


fsspec.register_implementation("counted", CountedFiles, clobber=True)


def kept(cache: Path) -> dict[str, int]:
    """Return the bytes of each shard in a cache, what is being fetched included."""
    return {path.name: path.stat().st_size for path in (cache / "shards").glob("[0-9a-f][0-9a-f]/*")}


def read_all(
    place: str,
    cache: str,
    log: str,
    names: tuple[str, ...],
    seed: int,
    bound: str,
    dies_at: int,
    answers: Any,
) -> None:
    """Read every sample of a store in an order of its own; die at a moment, or answer with how many."""
    os.environ["GEOPRETRAIN_CACHE"], os.environ[LOG] = cache, log
    if bound:
        os.environ[BOUND] = bound
    moments = dying.Moments(Path(cache) / "shards", dies_at)
    store = FrameStore.open(place)
    order = np.random.default_rng(seed).permutation(len(store))
    sums = np.zeros(len(store), np.int64)
    for sample in order:
        batch = store.read([sample], Fields((0, -1, 1), names))
        sums[sample] = int(batch.images.sum()) + sum(int(1000 * getattr(batch, n).sum()) for n in names)
    answers.put((sums.tolist(), moments.count))
