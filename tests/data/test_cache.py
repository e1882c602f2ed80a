"""Images that were read once: kept on disk, whole or not at all, never in memory without bound."""

import multiprocessing
import os
import shutil
import sys

import dying
import numpy as np
import pytest
import torch

from geopretrain.data.cache import RowCache, cache_folder
from geopretrain.data.labelled.base import LabelledImage, LabelledSource
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError, RunFolderError


class Counted(LabelledSource):
    """Images whose pixels say which they are; counts how often they are read."""

    kind = "counted"
    class_names = ("a", "b")

    def __init__(self, count=20, *, version=0, bad=()):
        self.counts = {"train": count, "val": 2}
        self.version, self.bad = version, bad
        self.reads = []

    def name(self, split, index):
        return f"{split}/{index}"

    def original_size(self):
        return (64, 64)

    def read(self, split, index, size):
        self.reads.append((split, index))
        if index in self.bad:
            raise DataError(f"{split}/{index} is broken.")
        return LabelledImage(np.full((*size, 3), index % 256, np.uint8), np.full(size, index % 2, np.uint8))

    def unread(self):
        return ["counted", self.version]

    def fingerprint(self):
        return "0" * 16


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_each_image_is_read_once_by_all_who_open_the_set():
    first, second = LabelledSet(Counted()), LabelledSet(Counted())
    assert first.read([3, 5, 3]).images[:, 0, 0, 0].tolist() == [3, 5, 3]
    assert second.read([5, 4]).images[:, 0, 0, 0].tolist() == [5, 4]
    assert first.read([4]).labels.unique().tolist() == [0]
    assert sorted(first.source.reads) == [("train", 3), ("train", 5)]
    assert second.source.reads == [("train", 4)]


def test_changed_files_or_another_size_make_a_cache_of_their_own():
    LabelledSet(Counted()).read([0])
    for changed in (LabelledSet(Counted(version=1)), LabelledSet(Counted(), size=(64, 96))):
        changed.read([0])
        assert changed.source.reads == [("train", 0)]


def test_the_first_pass_reads_only_what_is_missing():
    data = LabelledSet(Counted())
    data.read([2])
    data.check(np.arange(6))
    assert sorted(data.source.reads) == [("train", number) for number in (0, 1, 2, 3, 4, 5)]
    data.check(np.arange(6))
    assert len(data.source.reads) == 6


def test_errors_are_collected_before_anything_is_trained():
    data = LabelledSet(Counted(bad=(3, 7)))
    with pytest.raises(DataError, match=r"^2 images cannot be used\. The first: train/3 is broken\.$"):
        data.check(np.arange(20))
    data.check([0, 1, 2, 4])
    with pytest.raises(DataError, match=r"^train/3 is broken\.$"):
        data.check([3, 4])
    many = LabelledSet(Counted(1000, version=1, bad=range(1000)))
    with pytest.raises(DataError, match="or more images"):
        many.check(np.arange(1000))
    assert len(many.source.reads) < 200


def test_a_torn_row_is_made_again():
    data = LabelledSet(Counted())
    whole = data.read([6]).images
    rows = data._cache.folder / "rows.u8"
    with rows.open("r+b") as file:
        file.seek(6 * data._cache.row_bytes + 100)
        file.write(b"torn")
    again = LabelledSet(Counted())
    assert torch.equal(again.read([6]).images, whole)
    assert again.source.reads == [("train", 6)]


@pytest.fixture(scope="module")
def processes():
    """Children forked from a server that has imported everything once, where there is such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["geopretrain.data.labelled.labelled_set", "torch", "pytest"])
    return context


def fill(cache, dies_at=0):
    os.environ["GEOPRETRAIN_CACHE"] = str(cache)  # processes of a server have its environment
    dying.Moments(cache, dies_at)
    LabelledSet(Counted(100)).check(np.arange(100))


@pytest.mark.parametrize("moment", [1, 3, 4, 5, 6, 7, 50, 101, 180])
def test_a_first_pass_killed_at_any_moment_goes_on(own_cache, processes, moment):
    process = processes.Process(target=fill, args=(own_cache, moment))
    process.start()
    process.join()
    assert process.exitcode in dying.KILLED
    data = LabelledSet(Counted(100))
    left = len(data._cache.missing(np.arange(100)))
    assert left > 0
    data.check(np.arange(100))
    assert len(data.source.reads) == left
    assert data.read(np.arange(100)).images[:, 0, 0, 0].tolist() == list(range(100))
    assert len(data.source.reads) <= left + 8  # rows that were being written by as many threads


def test_two_processes_fill_one_cache(own_cache, processes):
    running = [processes.Process(target=fill, args=(own_cache,)) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0]
    data = LabelledSet(Counted(100))
    assert data.read(np.arange(100)).images[:, 0, 0, 0].tolist() == list(range(100))
    assert data.source.reads == []


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunFolderError, match=r"cannot be written.*set GEOPRETRAIN_CACHE"):
        LabelledSet(Counted()).read([0])


def test_a_disk_that_is_too_small_is_told_before_the_first_pass(monkeypatch):
    data = LabelledSet(Counted())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(RunFolderError, match=r"About 0\.0 GB are needed for 20 images.*smaller --size"):
        data.check(np.arange(20))


def read_much(cache, answers):
    """Read 250 MB of rows, and say by how much the memory of the process grew."""
    import resource

    os.environ["GEOPRETRAIN_CACHE"] = str(cache)
    data = LabelledSet(Counted(1000), size=(256, 256))
    data.read([0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data.check(np.arange(1000))
    for first in range(0, 1000, 8):
        data.read(np.arange(first, first + 8))
    answers.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units there")
def test_memory_does_not_grow_with_the_images(own_cache, processes):
    answers = processes.Queue()
    process = processes.Process(target=read_much, args=(own_cache, answers))
    process.start()
    grown = answers.get(timeout=120)
    process.join()
    assert grown < 100_000  # KiB, of 262 MB that were read


def test_rows_can_be_read_while_none_is_there(tmp_path):
    cache = RowCache(tmp_path / "rows", 5, 16)
    assert cache.missing(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    found = cache.read(np.array([1, 4]), lambda row: np.full(16, row, np.uint8))
    assert found[:, 0].tolist() == [1, 4]
    assert cache.missing(np.arange(5)).tolist() == [0, 2, 3]


def test_the_cache_lies_where_the_variable_says(own_cache):
    assert cache_folder("images") == own_cache / "images"
    LabelledSet(Counted()).read([0])
    assert list((own_cache / "images").iterdir())
