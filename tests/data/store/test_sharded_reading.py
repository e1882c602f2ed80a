"""A store in shards gives what the folder it was uploaded from gives, bit for bit."""

from __future__ import annotations

import json
import pickle

import fsspec
import numpy as np
import pytest
import torch
from shard_readers import LOG, kept

from geopretrain.data.dataset import Fields, PseudoDepthInfo
from geopretrain.data.opening import open_dataset
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.prepare.uploading import upload
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.pseudo_depth import writing_pseudo_depth
from geopretrain.data.store.sharded.cache import BOUND
from geopretrain.errors import ConfigError, DataError, RunFolderError, UserError

EVERYTHING = Fields((0, -1, 1), ("stereo", "depth", "pseudo_depth"))
SHARD = 60_000  # bytes: three frames


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store that has everything: stereo, depth, poses, and a teacher's depth."""
    out = tmp_path_factory.mktemp("given") / "store"
    given = prepare("synthetic:rooms?frames=9&seed=1", out, size=(64, 96), progress=False)
    info = PseudoDepthInfo("teacher", "depth", "scale")
    with writing_pseudo_depth(given, info, "teacher", overwrite=False) as writer:
        writer.append(np.random.default_rng(0).random((len(given), 64, 96)).astype(np.float32))
        writer.publish()
    return FrameStore.open(out)


@pytest.fixture(scope="module")
def place(store):
    """Where it was uploaded to: the memory of this process."""
    upload(store, "memory://reading/store", SHARD)
    return "memory://reading/store"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copy(place):
    """A copy of it that a test may damage."""
    memory = fsspec.filesystem("memory")
    memory.copy("/reading/store", "/reading/copy", recursive=True)
    yield "memory://reading/copy"
    memory.rm("/reading/copy", recursive=True)


def shard_of(place, name, number=0):
    """Return the path, in memory, of a shard of a file."""
    rows = FrameStore.open(place).files.index.rows[name]
    return f"{place.removeprefix('memory:/')}/shards/{rows[number].key}"


def every_frame(store):
    store.read(np.arange(len(store)), EVERYTHING)
    return [store.depth(clip, frame) for clip, frame, _ in store.depth_frames()]


def equal(one, other):
    tensors = {name: value for name, value in vars(one).items() if torch.is_tensor(value)}
    return len(tensors) >= 4 and all(torch.equal(value, getattr(other, n)) for n, value in tensors.items())


def test_every_sample_and_fingerprint_is_that_of_the_folder(store, place, cache):
    sharded = FrameStore.open(place)
    order = np.random.default_rng(1).permutation(len(store))
    assert equal(store.read(order, EVERYTHING), sharded.read(order, EVERYTHING))
    assert torch.equal(sharded.read([3, 3, 0]).images, store.read([3, 3, 0]).images)
    assert sharded.read([]).images.shape == (0, 3, 3, 64, 96)
    for names in ((), ("stereo",), ("depth",), ("pseudo_depth", "depth"), EVERYTHING.names):
        fields = Fields((0, 1), names)
        assert sharded.fingerprint(fields) == store.fingerprint(fields)
        assert {k: v.tolist() for k, v in sharded.splits(fields).items()} == {
            k: v.tolist() for k, v in store.splits(fields).items()
        }


def test_what_is_read_frame_by_frame_is_the_same(store, place, cache):
    sharded = FrameStore.open(place)
    assert sharded.depth_frames() == store.depth_frames()
    for clip, frame, _ in store.depth_frames():
        assert np.array_equal(sharded.depth(clip, frame), store.depth(clip, frame))
        assert np.array_equal(sharded.pose(clip, frame), store.pose(clip, frame))
        assert np.array_equal(sharded.frame_image(clip, frame), store.frame_image(clip, frame))
    assert sharded.pseudo_depth == store.pseudo_depth


def test_it_says_what_the_folder_says_under_its_own_address(store, place, cache):
    sharded = FrameStore.open(place)
    assert sharded.describe().path == place
    assert store_in_words(sharded).replace(place, str(store.path)) == store_in_words(store)
    assert open_dataset(place, EVERYTHING).describe() == sharded.describe()
    with pytest.raises(ConfigError, match="holds frames of 64x96 px"):
        open_dataset(place, EVERYTHING, size=(128, 96))


def test_only_shards_that_are_read_are_fetched_and_each_once(store, tmp_path, cache, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    (tmp_path / "log").touch()
    upload(store, str(tmp_path / "there"), SHARD)
    sharded = FrameStore.open(f"counted://{tmp_path / 'there'}")
    assert (tmp_path / "log").read_text() == ""
    sharded.read([0], Fields())
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    for _ in range(2):
        sharded.read(range(len(store)), Fields((0, -1, 1)))
    FrameStore.open(f"counted://{tmp_path / 'there'}").read([1], Fields((0, 1)))
    fetched = (tmp_path / "log").read_text().split()
    assert sorted(fetched) == sorted(shard.key for shard in sharded.files.index.rows["frames.u8"])


def test_it_can_travel_to_another_process(store, place, cache):
    sharded = FrameStore.open(place)
    before = sharded.read([2]).images
    there = pickle.loads(pickle.dumps(sharded))
    assert torch.equal(there.read([2]).images, before)


def test_a_folder_and_its_address_are_the_same_store(store, tmp_path, cache):
    upload(store, str(tmp_path / "there"), SHARD)
    for place in (tmp_path / "there", str(tmp_path / "there"), f"file://{tmp_path / 'there'}/"):
        assert equal(FrameStore.open(place).read([1], EVERYTHING), store.read([1], EVERYTHING))


def test_a_store_larger_than_the_cache_is_read_whole_and_the_bound_holds(store, place, cache, monkeypatch):
    monkeypatch.setenv(BOUND, "0.00013")  # two shards
    sharded = FrameStore.open(place)
    assert sharded.files.index.row_bytes > 4 * 130_000
    for sample in np.random.default_rng(0).permutation(2 * len(store)) % len(store):
        assert equal(sharded.read([sample], EVERYTHING), store.read([sample], EVERYTHING))
        assert sum(kept(cache).values()) <= 130_000
    assert equal(sharded.read(range(len(store)), EVERYTHING), store.read(range(len(store)), EVERYTHING))
    (warning,) = [sentence for sentence in sharded.doubts() if BOUND in sentence]
    assert "keeps at most 0.00013 GB" in warning
    monkeypatch.setenv(BOUND, "1")
    assert not [sentence for sentence in sharded.doubts() if BOUND in sentence]


def test_the_shard_used_longest_ago_goes_first(store, place, cache, monkeypatch):
    monkeypatch.setenv(BOUND, "0.000175")  # three shards of three frames
    sharded = FrameStore.open(place)
    keys = [shard.key for shard in sharded.files.index.rows["frames.u8"]]
    first, second, third = (np.arange(start, start + 1) for start in (0, 3, 6))
    pixels = sharded.row_files()["frames.u8"][0]
    right = sharded.row_files()["stereo.u8"][0]
    for rows in (first, second, third, first):
        pixels.read(rows)
    right.read(first)
    assert keys[1] not in kept(cache)
    assert {keys[0], keys[2]} <= kept(cache).keys()


def test_a_shard_larger_than_the_bound_is_refused_with_the_way_out(place, cache, monkeypatch):
    sharded = FrameStore.open(place)
    monkeypatch.setenv(BOUND, "0.00001")
    with pytest.raises(ConfigError, match=r"allows 1e-05 GB .* Allow more, or upload .* --shard-size"):
        sharded.read([0])
    monkeypatch.setenv(BOUND, "much")
    with pytest.raises(ConfigError, match=f"{BOUND} must be a number of GB above 0, such as 50, not 'much'"):
        sharded.read([0])


def test_without_a_bound_a_tenth_of_what_is_free_stays_so(place, cache, monkeypatch):
    """However large the disk is: most of it may be others'."""
    sharded = FrameStore.open(place)
    left = SHARD  # bytes, too few for a shard and a tenth
    monkeypatch.setattr(
        "shutil.disk_usage", lambda folder: type("Usage", (), {"free": left, "total": 10**12})
    )
    with pytest.raises(RunFolderError, match=r"nearly full.*tenth of what is free.*GEOPRETRAIN_CACHE"):
        sharded.read([0])
    assert not kept(cache)
    left = 2 * SHARD
    sharded.read([0])
    assert kept(cache)


# ---------------------------------------------------------------- what goes wrong


@pytest.fixture
def quick(monkeypatch):
    """Nobody waits between two attempts."""
    monkeypatch.setattr("geopretrain.data.store.sharded.cache._PAUSE", 0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-7], r"cut off \(\d+ bytes where \d+ were expected\)"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "of another content than its checksum"),
    ],
)
def test_a_damaged_shard_is_refused_and_nothing_of_it_kept(copy, cache, quick, damage, words):
    memory, path = fsspec.filesystem("memory"), shard_of(copy, "frames.u8")
    memory.pipe_file(path, damage(memory.cat_file(path)))
    with pytest.raises(DataError, match=words):
        FrameStore.open(copy).read([0])
    assert not [name for name in kept(cache) if path.rpartition("/")[2] in name]


def test_a_transfer_that_failed_once_is_repeated(store, place, cache, quick, monkeypatch):
    fetch, calls = fsspec.get_filesystem_class("memory").get_file, []

    def unsteady(self, remote, local, **named):
        calls.append(remote)
        if len(calls) % 3 == 1:
            raise ConnectionError("reset by peer")
        fetch(self, remote, local, **named)
        if len(calls) % 3 == 2:
            with open(local, "r+b") as file:
                file.truncate(5)

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "get_file", unsteady)
    assert torch.equal(FrameStore.open(place).read([0], Fields()).images, store.read([0], Fields()).images)
    assert len(calls) == 3


def test_a_shard_that_is_gone(copy, cache, quick):
    sharded = FrameStore.open(copy)
    fsspec.filesystem("memory").rm_file(shard_of(copy, "frames.u8"))
    with pytest.raises(DataError, match=r"has lost shards/[0-9a-f]{64}: it was removed"):
        sharded.read([0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lambda text: text.replace(b'"version": 1', b'"version": 2'), "format 2, this version reads 1"),
        (lambda text: text[: len(text) // 2], "no JSON, perhaps cut off"),
        (lambda text: b'{"format": "another"}', "does not belong to a store of geopretrain"),
        (lambda text: text.replace(b'"shard_bytes"', b'"shards"'), "is damaged: shard_bytes is missing"),
        (lambda text: text.replace(b'"summary.json"', b'"../summary.json"'), "is damaged: small"),
    ],
)
def test_an_index_that_cannot_be_read(copy, cache, text, words):
    memory, path = fsspec.filesystem("memory"), "/reading/copy/sharded-store.json"
    memory.pipe_file(path, text(memory.cat_file(path)))
    with pytest.raises(DataError, match=words):
        FrameStore.open(copy)


def test_an_address_where_nothing_is(cache):
    with pytest.raises(DataError, match=r"memory://nothing holds no store.*data upload STORE URL"):
        open_dataset("memory://nothing", EVERYTHING)
    with pytest.raises(ConfigError, match=r"'s4://x/y' is no address that fsspec knows"):
        FrameStore.open("s4://x/y")


def fails_with(error):
    def fail(*values, **named):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (PermissionError("Forbidden"), DataError, "does not let you in .*AWS_ACCESS_KEY_ID"),
        (ConnectionError("no route to host"), DataError, r"cannot be reached.*no route to host.*the network"),
        (TimeoutError(), DataError, "cannot be reached"),
        (ImportError("Install s3fs to access S3"), ConfigError, r"pip install 'geopretrain\[remote\]'"),
    ],
)
def test_what_the_storage_answers_is_said_in_words(place, cache, monkeypatch, error, kind, words):
    where = "fsspec.core.url_to_fs" if isinstance(error, ImportError) else None
    if where is None:
        monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", fails_with(error))
    else:
        monkeypatch.setattr(where, fails_with(error))
    with pytest.raises(kind, match=words):
        FrameStore.open(place)


def test_fsspec_itself_is_missing(place, monkeypatch):
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=r"need the package fsspec: pip install 'geopretrain\[remote\]'"):
        FrameStore.open(place)


def test_a_full_disk_of_the_cache(place, cache, monkeypatch):
    sharded = FrameStore.open(place)
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "get_file", fails_with(full))
    with pytest.raises(RunFolderError, match=r"No space left on device.*set GEOPRETRAIN_CACHE"):
        sharded.read([0])
    assert not kept(cache)


def test_nothing_is_written_into_a_store_elsewhere(place, tmp_path, cache):
    sharded = FrameStore.open(place)
    info = PseudoDepthInfo("other", "depth", "scale")
    with (
        pytest.raises(RunFolderError, match="in the folder of the store, then upload it again"),
        writing_pseudo_depth(sharded, info, "other", overwrite=True),
    ):
        pass
    with pytest.raises(DataError, match="in shards already"):
        upload(sharded, str(tmp_path / "again"), SHARD)
    for inputs, out in ((place, tmp_path / "s"), ("synthetic:rooms", "s3://bucket/store")):
        with pytest.raises(UserError, match=r"Copy it there first|data upload FOLDER s3://bucket/store"):
            prepare(inputs, out, progress=False)


@pytest.mark.parametrize("name", ["frames.u8", "depth.f16", "depth"])
@pytest.mark.parametrize("change", [{"rows": 1}, {"rows": 6}, {"bytes": 5}, {"rows": 2**62}])
def test_an_index_that_contradicts_itself_is_damaged(copy, cache, name, change):
    system, file = fsspec.filesystem("memory"), f"{copy.removeprefix('memory:/')}/sharded-store.json"
    index = json.loads(system.cat_file(file))
    index["rows"][name][0] |= change
    system.pipe_file(file, json.dumps(index).encode())
    with pytest.raises(DataError, match="is damaged"):
        every_frame(FrameStore.open(copy))
