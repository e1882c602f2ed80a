"""Data given for validation and testing keep that role: official lists, splits, videos of one's own."""

import pytest
from making_clips import sliding_frames, write_images
from native_trees import cityscapes, kitti_raw

import geopretrain
from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.summary import samples_in_words
from geopretrain.data.readers import open_source
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError, RunFolderError
from geopretrain.evaluation.measured import store_frames

DRIVE = "2011_09_26_drive_0001_sync"
SMALL = {"size": (64, 96), "progress": False}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    return [
        str(write_images(root / name, sliding_frames(count, step=3.0, seed=n)))
        for n, (name, count) in enumerate((("a", 12), ("b", 7), ("c", 9)))
    ]


def of(store, samples):
    return {store.clips[store.sample(int(one))[0]].name.split("/")[-1] for one in samples}


def test_all_samples_of_an_input_have_its_role(tmp_path, places):
    first, second, third = places
    store = prepare(first, tmp_path / "store", val=second, test=[third], **SMALL)
    splits = FrameStore.open(store.path).splits(Fields((0, -1, 1)))
    assert {split: (len(rows), of(store, rows)) for split, rows in splits.items()} == {
        "train": (10, {"a"}),
        "val": (5, {"b"}),
        "test": (7, {"c"}),
    }
    assert store.describe().counts == {"train": 10, "val": 5, "test": 7}
    assert samples_in_words(store) == "10 training, 5 validation and 7 test triplets"
    with pytest.raises(RunFolderError, match="of other inputs or options"):
        prepare(first, tmp_path / "store", val=third, test=[third], **SMALL)


def test_test_data_alone_leave_the_rest_as_without(tmp_path, places):
    first, second, third = places
    with_test = prepare([first, second], tmp_path / "with", test=third, **SMALL)
    without = prepare([first, second], tmp_path / "without", **SMALL)
    for split in ("train", "val"):
        samples, others = with_test.splits()[split], without.splits()[split]
        assert with_test.names(samples) == without.names(others)
    assert "test" not in without.splits()
    assert len(with_test.test_samples) == 7


def test_short_clips_are_not_held_out_in_place_of_test_data(tmp_path):
    frames = [sliding_frames(5, step=3.0, seed=n) for n in range(3)]
    short = [str(write_images(tmp_path / f"s{n}", one)) for n, one in enumerate(frames)]
    store = prepare(short[:2], tmp_path / "store", test=short[2], **SMALL)
    assert [(len(s), of(store, s)) for s in store.splits().values()] == [
        (3, {"s0"}),
        (3, {"s1"}),
        (3, {"s2"}),
    ]


def test_official_lists_of_one_drive(tmp_path):
    kitti = kitti_raw(tmp_path / "kitti_raw", {DRIVE: 12})
    lists = {"train": (2, 3, 5, 6, 8, 9), "val": (4, 7), "test": (10,)}
    for name, frames in lists.items():
        lines = [f"2011_09_26/{DRIVE} {frame:010d} l" for frame in frames]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    specs = {name: f"{kitti}?split={tmp_path / name}.txt" for name in lists}
    store = geopretrain.prepare(
        specs["train"], out=tmp_path / "store", val=specs["val"], test=specs["test"], **SMALL
    )
    found = {split: [store.sample(int(one))[1] for one in rows] for split, rows in store.splits().items()}
    assert found == {name: list(frames) for name, frames in lists.items()}
    assert [clip.name for clip in store.clips] == [f"{DRIVE} ({role})" for role in lists]
    clip = store.clips[2]
    assert (clip.frames, clip.depth_frames) == ([9, 10, 11], [10])  # not the whole drive once more
    assert len(list((store.path / clip.depth_folder).glob("*.png"))) == 1
    groups = store_frames(store)  # every frame has a scan; those listed count
    scored = {name: [int(frame.name[-6:]) for frame in frames] for name, frames in groups.items()}
    assert scored == {"in_sample": [2, 3, 5, 6, 8, 9], "held_out": [4, 7], "test": [10]}


def test_the_splits_of_cityscapes(tmp_path):
    root = cityscapes(tmp_path / "cityscapes", {"train": 4, "val": 2, "test": 2})
    store = prepare(
        f"{root}?split=train", tmp_path / "store", val=f"{root}?split=val", still_images=True, **SMALL
    )
    places = {clip.source.split("/")[-2] for clip in store.clips}
    assert places == {"train", "val"}
    val = {store.clips[store.sample(int(one))[0]].source.split("/")[-2] for one in store.val_samples}
    assert (len(store.train_samples), len(store.val_samples), val) == (4, 2, {"val"})
    assert len(open_source(f"{root}?split=test")) == 2
    assert len(open_source(root)) == 4  # as ever: two cities of train, two of val
    with pytest.raises(ConfigError, match="split must be one of train, train_extra, val, test"):
        open_source(f"{root}?split=valid")
    with pytest.raises(DataError, match="no pictures of the split 'train_extra'"):
        open_source(f"{root}?split=train_extra")


def test_what_gives_no_sample_is_refused_and_may_be_tried_again(tmp_path, places):
    still = str(write_images(tmp_path / "still", sliding_frames(6, step=0.0)))
    with pytest.raises(DataError, match=r"--val gives not one sample.*still"):
        prepare(places[0], tmp_path / "store", val=still, **SMALL)
    assert len(prepare(places[0], tmp_path / "store", val=places[1], **SMALL).val_samples) == 5
