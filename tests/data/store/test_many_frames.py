"""A store of a million frames opens without being read, in memory that grows with its index alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from many_frames import CLIPS, FRAME, write_shards, write_store

PER_FRAME = 600
"""Bytes of memory that opening may take for each frame, whose pixels are 18432."""
OPENED = """
import json, os, resource, sys
import numpy as np
import torch
from geopretrain.data.store.frame_store import FrameStore
def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def read_bytes():
    return int(open("/proc/self/io").read().split()[1])
before, read = memory(), read_bytes()
store = FrameStore.open(sys.argv[1])
opened, opening = memory(), read_bytes() - read
shard = store.read(store.train_samples[[0, len(store.train_samples) // 2, -1]]).images
print(json.dumps([len(store), opened - before, opening, memory() - opened, int(shard.sum())]))
"""
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for memory and reads")


def check_opening(place, frames, index_bytes, cache):
    environment = {**os.environ, "GEOPRETRAIN_CACHE": str(cache)}
    words = [sys.executable, "-c", OPENED, str(place)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    count, taken, read, of_reading, total = json.loads(done.stdout)
    assert count == frames - 2 * CLIPS
    assert taken < PER_FRAME * frames + 20e6
    assert read < 4 * index_bytes + 10e6  # the index, perhaps fetched and verified, and some code of Python
    assert of_reading < 120e6
    assert total == 0


@ON_LINUX
@pytest.mark.parametrize("frames", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_opening_reads_the_index_alone(tmp_path, frames):
    store = write_store(tmp_path / "store", frames)
    shards = write_shards(tmp_path / "shards", store, frames)
    index_bytes = (store / "store.json").stat().st_size
    assert index_bytes < 60 * frames < frames * FRAME / 300
    check_opening(store, frames, index_bytes, tmp_path / "cache")
    check_opening(shards, frames, index_bytes, tmp_path / "cache")
