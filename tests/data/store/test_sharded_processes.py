"""Many processes share a cache of shards, and some of them die in the middle."""

from __future__ import annotations

import os
from pathlib import Path

import killed
import numpy as np
import pytest
import shard_readers
from shard_readers import LOG, kept

from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.uploading import upload
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.sharded.cache import BOUND

NAMES = ("depth",)
READERS = 5
SHARDS_MOMENTS = 60
"""Moments in which the first shards are fetched, what is made once in a cache included."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("given") / "store"
    return prepare("synthetic:rooms?frames=14&stereo=0&seed=1", out, size=(64, 96), progress=False)


@pytest.fixture(scope="module")
def place(store, tmp_path_factory):
    there = tmp_path_factory.mktemp("there") / "store"
    upload(store, str(there), 20_000)  # a frame in each
    return f"counted://{there}"


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    (tmp_path / "log").touch()
    return tmp_path / "log"


def expected(store):
    batches = [store.read([sample], Fields((0, -1, 1), NAMES)) for sample in range(len(store))]
    return [int(one.images.sum()) + sum(int(1000 * getattr(one, n).sum()) for n in NAMES) for one in batches]


def readers(place, cache, count=1, bound="", dies_at=0):
    """Read a store in several processes at once; return the answer of each that lived."""
    context = killed.processes()
    answers = context.Queue()
    log = os.environ[LOG]
    given = [(place, str(cache), log, NAMES, seed, bound, dies_at, answers) for seed in range(count)]
    processes = [context.Process(target=shard_readers.read_all, args=one) for one in given]
    for process in processes:
        process.start()
    for process in processes:
        process.join()  # an answer is short: nobody waits until it is read
    codes = [process.exitcode for process in processes]
    return [answers.get(timeout=60) for code in codes if code == 0], codes


def test_many_processes_read_at_once_and_each_shard_is_fetched_once(store, place, log, tmp_path):
    found, codes = readers(place, tmp_path / "cache", READERS)
    assert codes == [0] * READERS
    assert [sums for sums, _ in found] == [expected(store)] * READERS
    fetched = log.read_text().split()
    assert len(fetched) == len(set(fetched)) == len(kept(tmp_path / "cache")) > 20


def test_many_processes_share_a_cache_that_holds_three_shards(store, place, log, tmp_path):
    found, codes = readers(place, tmp_path / "cache", READERS, bound="0.00006")
    assert codes == [0] * READERS
    assert [sums for sums, _ in found] == [expected(store)] * READERS
    assert sum(kept(tmp_path / "cache").values()) <= 60_000


def check_kills(store, place, tmp_path, first, step):
    (_, total), *_ = readers(place, tmp_path / "unkilled")[0]
    assert total > 2 * SHARDS_MOMENTS
    for moment in range(1, first or total, step):
        cache = tmp_path / f"cache-{moment}"
        _, codes = readers(place, cache, dies_at=moment)
        assert codes[0] in (-9, 137)
        ((sums, _),), codes = readers(place, cache, bound="0.00006")
        assert sums == expected(store)
        assert codes == [0]
        left = kept(cache)
        assert sum(left.values()) <= 60_000
        assert not [name for name in left if name.endswith(".partial")]


def test_killed_while_fetching_at_some_moments(store, place, log, tmp_path):
    check_kills(store, place, tmp_path, first=None, step=71)


@pytest.mark.slow
def test_killed_at_every_moment_of_the_first_shards(store, place, log, tmp_path):
    check_kills(store, place, tmp_path, first=SHARDS_MOMENTS, step=1)


@pytest.mark.skipif(os.name == "nt", reason="what is open cannot be removed there")
def test_what_a_process_has_open_it_reads_to_the_end(store, place, log, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path / "cache"))
    sharded = FrameStore.open(place)
    images = sharded.read([0]).images
    for path in Path(tmp_path / "cache" / "shards").glob("[0-9a-f][0-9a-f]/*"):
        path.unlink()
    count = len(log.read_text().split())
    assert np.array_equal(sharded.read([0]).images, images)
    assert len(log.read_text().split()) == count
    monkeypatch.setenv(BOUND, "0.0001")
    assert np.array_equal(sharded.read([0]).images, images)
    assert len(log.read_text().split()) == 2 * count
