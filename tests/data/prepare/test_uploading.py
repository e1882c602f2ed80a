"""Sending a store in shards: what is there is not sent again, what is not ours is left alone."""

from __future__ import annotations

import json
import shutil

import fsspec
import killed
import numpy as np
import pytest
from shard_readers import kept

from geopretrain import cli
from geopretrain.data.dataset import IMAGES, Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.uploading import upload
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import DataError, RunFolderError

SHARD = 60_000


def prepared(out, seed):
    return prepare(f"synthetic:rooms?frames=7&stereo=0&seed={seed}", out, size=(64, 96), progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("given") / "store", 1)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("given") / "other", 2)


@pytest.fixture
def memory():
    """The memory file system, empty at first."""
    found = fsspec.filesystem("memory")
    if found.exists("/up"):
        found.rm("/up", recursive=True)
    return found


@pytest.fixture
def written(monkeypatch):
    """The names of what is written into memory from now on."""
    names = []
    pipe_file = fsspec.get_filesystem_class("memory").pipe_file

    def noted(self, path, value, **named):
        names.append(path.rpartition("/")[2])
        pipe_file(self, path, value, **named)

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", noted)
    return names


def test_shards_are_of_whole_rows_and_the_index_is_written_last(store, memory, written):
    index = upload(store, "memory://up/store", SHARD)
    assert written[-1] == "sharded-store.json"
    assert len(written) == len(set(written)) == len(index.shards()) + 1
    frames = index.rows["frames.u8"]
    assert [shard.rows for shard in frames] == [3, 3, 1]
    assert all(shard.bytes == shard.rows * 3 * 64 * 96 <= SHARD for shard in frames)
    assert sum(shard.rows for shard in index.rows["depth"]) == len(store.depth_frames(moving_only=False))


def test_what_was_sent_before_an_interruption_is_not_sent_again(store, memory, written, monkeypatch):
    def breaks(self, path, value, **named):
        if len(written) == 4:
            raise ConnectionResetError("the line was cut")
        noted(self, path, value, **named)

    noted = fsspec.get_filesystem_class("memory").pipe_file
    with monkeypatch.context() as patched:
        patched.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", breaks)
        with pytest.raises(RunFolderError, match=r"the line was cut.*what is finished is kept"):
            upload(store, "memory://up/store", SHARD)
    with pytest.raises(DataError, match="goes on with the same command"):
        FrameStore.open("memory://up/store")
    before = written.copy()
    index = upload(store, "memory://up/store", SHARD)
    assert sorted(written) == sorted([*(shard.key for shard in index.shards()), "sharded-store.json"])
    upload(store, "memory://up/store", SHARD)
    assert len(before) == 4
    assert written[len(index.shards()) + 1 :] == ["sharded-store.json"]


def test_a_damaged_place_is_mended_by_sending_anew(store, memory, written):
    index = upload(store, "memory://up/store", SHARD)
    cut, changed = (f"/up/store/shards/{shard.key}" for shard in index.rows["frames.u8"][:2])
    memory.pipe_file(cut, b"")
    upload(store, "memory://up/store", SHARD)
    assert memory.size(cut) > 0
    whole = memory.cat_file(changed)
    memory.pipe_file(changed, bytes(len(whole)))
    upload(store, "memory://up/store", SHARD)
    assert memory.cat_file(changed) != whole
    upload(store, "memory://up/store", SHARD, overwrite=True)
    assert memory.cat_file(changed) == whole


def test_another_store_is_replaced_only_when_asked_and_leaves_nothing(store, other, memory, tmp_path):
    upload(store, "memory://up/store", SHARD)
    with pytest.raises(RunFolderError, match=r"holds another store.*--overwrite"):
        upload(other, "memory://up/store", SHARD)
    older = FrameStore.open("memory://up/store")
    index = upload(other, "memory://up/store", SHARD, overwrite=True)
    names = {path.rpartition("/")[2] for path in memory.find("/up/store")}
    assert names == {*(shard.key for shard in index.shards()), "sharded-store.json"}
    newer = FrameStore.open("memory://up/store")
    assert np.array_equal(newer.read([0], IMAGES).images, other.read([0], IMAGES).images)
    assert newer.fingerprint() == other.fingerprint() != older.fingerprint()


@pytest.mark.parametrize("name", ["holiday.png", "shards/notes.txt", "store.json"])
def test_what_is_not_ours_is_left_alone(store, memory, written, name):
    memory.pipe_file(f"/up/store/{name}", b"mine")
    with pytest.raises(RunFolderError, match=r"holds something else .* left alone\. Choose another place"):
        upload(store, "memory://up/store", SHARD, overwrite=True)
    assert memory.find("/up/store") == [f"/up/store/{name}"]
    with pytest.raises(RunFolderError, match="holds something else"):
        upload(store, str(store.path), SHARD)


def test_what_the_storage_lost_meanwhile_is_noticed(store, memory, monkeypatch):
    lengths = "geopretrain.data.store.sharded.storage.Storage.lengths"
    monkeypatch.setattr(lengths, lambda self, folder="": {})
    with pytest.raises(RunFolderError, match=r"has lost \d+ shards .* another process"):
        upload(store, "memory://up/store", SHARD)
    assert not memory.exists("/up/store/sharded-store.json")


def test_a_store_that_is_replaced_meanwhile_is_refused(store, memory, tmp_path, monkeypatch):
    moved = shutil.copytree(store.path, tmp_path / "store")
    opened = FrameStore.open(moved)
    pipe_file = fsspec.get_filesystem_class("memory").pipe_file

    def replaced(self, path, value, **named):
        index = json.loads((moved / "store.json").read_text())
        (moved / "store.json").write_text(json.dumps({**index, "notes": ["another"]}))
        pipe_file(self, path, value, **named)

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", replaced)
    with pytest.raises(DataError, match="was replaced while it was sent"):
        upload(opened, "memory://up/store", SHARD)


def test_a_folder_that_cannot_be_written(store, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderError, match=str(tmp_path / "file")):
        upload(store, str(tmp_path / "file"), SHARD)


WORDS = ["data", "upload", "--shard-size", "0.06"]


@pytest.mark.slow
def test_killed_at_every_moment_it_goes_on_and_leaves_the_same(store, other, tmp_path):
    there = tmp_path / "there"
    check_kills(store, other, there, step=1)


def test_killed_at_some_moments_it_goes_on_and_leaves_the_same(store, other, tmp_path):
    check_kills(store, other, tmp_path / "there", step=9)


def check_kills(store, other, there, step):
    words = [*WORDS, store.path, there, "--overwrite"]
    upload(other, str(there.with_name("older")), SHARD)
    shutil.copytree(there.with_name("older"), there)
    total = killed.run(words, there)
    whole = killed.content(there)
    assert total > 20
    for moment in range(1, total + 1, step):
        shutil.rmtree(there)
        shutil.copytree(there.with_name("older"), there)
        assert killed.run(words, there, moment) == 0
        found = FrameStore.open(there)  # one of the two, whole
        expected = store if found.fingerprint() == store.fingerprint() else other
        assert np.array_equal(found.read([0, 1]).images, expected.read([0, 1]).images)
        killed.run(words, there)
        assert killed.differing(killed.content(there), whole) == [], f"killed at {moment} of {total}"


def test_on_the_command_line(store, tmp_path, capsys):
    assert cli.main([*WORDS, str(store.path), str(tmp_path / "there")]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'there'} holds the store: " in said
    assert f"Next: geopretrain pretrain monodepth --data {tmp_path / 'there'} --out runs/depth" in said
    assert cli.main(["data", "inspect", str(tmp_path / "there")]) == 0
    assert f"Frame store {tmp_path / 'there'}: 1 clip" in capsys.readouterr().out
    for words in (["data", "inspect", "memory://up/nothing"], [*WORDS, str(store.path), str(store.path)]):
        assert cli.main(words) == 2
        out, err = capsys.readouterr()
        assert len((out + err).strip().splitlines()) == 1


def test_depth_maps_are_read_from_shards_of_many(store, memory, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path / "cache"))
    upload(store, "memory://up/store", 10**6)
    sharded = FrameStore.open("memory://up/store")
    assert len(sharded.files.index.rows["depth"]) == 1
    for clip, frame, _ in reversed(store.depth_frames()):
        assert np.array_equal(sharded.depth(clip, frame), store.depth(clip, frame))
    assert len(kept(tmp_path / "cache")) == 1
    for names in (("stereo",), ("pseudo_depth",)):  # which it does not have
        assert sharded.fingerprint(Fields(names=names)) == store.fingerprint(Fields(names=names))


@pytest.mark.parametrize("place", ["s3:/bucket/store", "://store", "gs:/x"])
def test_a_mistyped_address_is_no_folder(store, tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "upload", str(store.path), place]) == 2
    assert "two slashes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_called_as_an_address_can_be_given(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "upload", str(store.path), "./s3:/store"]) == 0
    assert (tmp_path / "s3:/store/sharded-store.json").is_file()
