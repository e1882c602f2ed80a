import json
import os
import pickle
import time

import numpy as np
import pytest
import torch
from making_clips import sliding_frames, write_images

from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.resolve import resolve_store
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError

SIZE = (64, 96)


@pytest.fixture(scope="module")
def frames():
    return [sliding_frames(16, 1.5, SIZE, seed=1), sliding_frames(14, 3.0, SIZE, seed=2)]


@pytest.fixture(scope="module")
def store(tmp_path_factory, frames):
    root = tmp_path_factory.mktemp("store")
    for name, images in zip("ab", frames, strict=True):
        write_images(root / name, images)
    return prepare(root, root / "store", size=SIZE, holdout=0.2, progress=False)


def test_store_read_gives_target_and_neighbours_at_the_clips_stride(store, frames):
    assert [clip.stride for clip in store.clips] == [2, 1]
    for sample in range(store.num_samples):
        clip, frame = store.sample(sample)
        images = store.read([sample]).images[0].permute(0, 2, 3, 1).numpy()
        stride = store.clips[clip].stride
        for picture, offset in zip(images, (0, -1, 1), strict=True):
            assert np.array_equal(picture, frames[clip][frame + offset * stride])


def test_store_batch_mixes_clips_and_keeps_the_order(store):
    order = [store.num_samples - 1, 0, 3, 0]
    batch = store.read(np.array(order), Fields((1, 0)))
    assert batch.images.shape == (4, 2, 3, *SIZE)
    assert batch.images.dtype == torch.uint8
    assert batch.intrinsics.shape == (4, 3, 3)
    assert batch.intrinsics.dtype == torch.float32
    assert batch.index.tolist() == order
    assert batch.offsets == (1, 0)
    assert torch.equal(batch.images[1], batch.images[3])
    assert torch.equal(batch.images[0, 1], store.read([order[0]], Fields()).images[0, 0])


def test_store_split_covers_every_clip_and_shares_no_frame(store):
    train, val = set(store.train_samples.tolist()), set(store.val_samples.tolist())
    assert train
    assert val
    assert not train & val
    assert len(train | val) <= store.num_samples

    def used(samples):
        return {
            (clip, frame + offset * store.clips[clip].stride)
            for clip, frame in map(store.sample, samples)
            for offset in (-1, 0, 1)
        }

    assert not used(train) & used(val)
    assert {store.sample(s)[0] for s in val} == {0, 1}


def test_store_refuses_what_is_not_there(store):
    with pytest.raises(ConfigError, match="does not exist"):
        store.read([store.num_samples])
    with pytest.raises(ConfigError, match="does not exist"):
        store.read([-1])
    with pytest.raises(ConfigError, match="no frame at offset 9"):
        store.read([0], Fields((0, 9)))
    with pytest.raises(ConfigError, match="not in the store"):
        store.frame_image(0, 999)


def test_store_can_travel_to_another_process(store):
    there = pickle.loads(pickle.dumps(store))
    assert torch.equal(there.read([2]).images, store.read([2]).images)
    assert len(pickle.dumps(store)) < 100_000  # the frames themselves stay on disk


def test_store_empty_batch(store):
    assert store.read([]).images.shape == (0, 3, 3, *SIZE)


def test_store_foreign_or_damaged_folders(store, tmp_path):
    with pytest.raises(DataError, match="no frame store"):
        FrameStore.open(tmp_path)
    index = json.loads((store.path / "store.json").read_text())
    cases = [
        ("{", "damaged"),
        (json.dumps({"a": 1}), "does not belong"),
        (json.dumps([1]), "does not belong"),
        (json.dumps({**index, "version": 99}), "format 99"),
        (json.dumps({**index, "clips": []}), "no training samples"),
        (json.dumps(index), r"frames\.u8 is damaged: missing"),
    ]
    for text, words in cases:
        (tmp_path / "store.json").write_text(text)
        if "clips" in text and '"clips": []' in text:
            (tmp_path / "frames.u8").touch()
        with pytest.raises(DataError, match=words):
            FrameStore.open(tmp_path)
        (tmp_path / "frames.u8").unlink(missing_ok=True)
    (tmp_path / "frames.u8").write_bytes((store.path / "frames.u8").read_bytes()[:-1])
    with pytest.raises(DataError, match=r"frames\.u8 is damaged: \d+ bytes where"):
        FrameStore.open(tmp_path)


def test_store_resolve_opens_or_prepares_once(store, tmp_path, capsys):
    assert resolve_store(store.path).path == store.path
    write_images(tmp_path / "clip", sliding_frames(12))
    first = resolve_store(tmp_path / "clip", cache=tmp_path / "cache", size=SIZE, progress=False)
    assert "not prepared yet" in capsys.readouterr().out
    again = resolve_store(tmp_path / "clip", cache=tmp_path / "cache", size=SIZE, progress=False)
    assert "Using the store prepared before" in capsys.readouterr().out
    assert again.path == first.path
    other = resolve_store(tmp_path / "clip", cache=tmp_path / "cache", size=(64, 128), progress=False)
    assert other.path != first.path
    later = time.time() + 10
    os.utime(tmp_path / "clip" / "000003.png", (later, later))
    changed = resolve_store(tmp_path / "clip", cache=tmp_path / "cache", size=SIZE, progress=False)
    assert changed.path not in (first.path, other.path)


def test_store_resolve_uses_the_cache_variable(tmp_path):
    write_images(tmp_path / "clip", sliding_frames(12))
    store = resolve_store(str(tmp_path / "clip"), size=SIZE, progress=False)
    assert str(store.path).startswith(os.environ["GEOPRETRAIN_CACHE"])


def test_store_description_says_what_matters(store):
    text = store_in_words(store)
    assert f"{len(store.train_samples)} training" in text
    assert "stride 2" in text
    assert "(assumed)" in text
    assert "field of view of 55 degrees is assumed" in text


def test_a_field_of_view_that_was_given_is_not_said_to_be_assumed(tmp_path):
    write_images(tmp_path / "clip", sliding_frames(12))
    text = store_in_words(prepare([tmp_path / "clip"], tmp_path / "store", size=SIZE, fov=60, progress=False))
    assert "degrees (given)" in text
    assert "from the field of view given (60 degrees). Pass --intrinsics fx,fy,cx,cy if you know" in text
    assert "assumed" not in text


def test_store_real_kitti(shared_data):
    store = resolve_store(shared_data / "kitti_raw", progress=False)
    drive = store.clips[0]
    assert store.size == (96, 320)
    assert store.intrinsics_known
    assert [clip.stride for clip in store.clips] == [2, 2]
    assert max(drive.targets) <= 55  # the car is static from about frame 53 on
    assert store.intrinsics(0)[0, 0] == pytest.approx(721.5377 * 320 / 1242, rel=1e-5)
    assert store.intrinsics(0)[1, 2] == pytest.approx((172.854 + 0.5) * 96 / 375 - 0.5, rel=1e-5)
    assert store.depth_protocol == "kitti"
    listed = store.depth_frames()
    assert any(held for *_, held in listed)
    depth = store.depth(0, 7)
    assert depth.shape == (375, 1242)
    assert (depth > 0).mean() == pytest.approx(0.036, abs=0.01)
    assert depth[depth > 0].min() > 2
    assert depth.max() < 81
