"""Right images and depth at training size: what is stored and read, what is said where it is not."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from making_clips import sliding_frames, write_images

from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.decode import decode
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.prepare.warnings import check_stereo
from geopretrain.data.readers import SourceClip, open_source
from geopretrain.data.resize import resize_depth
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError

SIZE = (64, 96)
CALIBRATION = "fx = 100\nfy = 100\ncx = 47.5\ncy = 31.5\nbaseline = 0.2\n"


def write_pairs(folder, count=8):
    """``left/`` and ``right/`` 4 px apart with their calibration."""
    write_images(folder / "left", sliding_frames(count, 3.0, SIZE))
    write_images(folder / "right", sliding_frames(count, 3.0, SIZE, start=4.0))
    (folder / "calib.txt").write_text(CALIBRATION)
    return folder


def write_depths(folder, maps):
    write_images(folder / "images", sliding_frames(8, 3.0, SIZE))
    (folder / "depth").mkdir()
    for number, depth in maps.items():
        np.save(folder / "depth" / f"{number:06d}.npy", np.asarray(depth, np.float32))
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    write_pairs(root / "data")
    (root / "data" / "right" / "000003.png").unlink()
    return prepare(root / "data", root / "store", size=SIZE, holdout=0.2, progress=False)


# ---------------------------------------------------------------- depth without averaging


def test_resize_depth_takes_the_measurement_nearest_to_the_centre():
    depth = np.zeros((4, 8), np.float32)
    depth[0, 0], depth[1, 1] = 5.0, 7.0  # the first is farther from the centre of its 4 x 4 pixels
    depth[3, 7] = 9.0
    assert resize_depth(depth, (1, 2)).tolist() == [[7.0, 9.0]]
    assert resize_depth(depth, (2, 8)).tolist() == [[5.0, 7.0, *[0] * 6], [*[0] * 7, 9.0]]
    assert resize_depth(np.zeros((4, 8), np.float32), (2, 4)).max() == 0


def test_resize_depth_never_makes_new_values():
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random((75, 250)) < 0.05, rng.uniform(2, 80, (75, 250)), 0).astype(np.float32)
    small = resize_depth(sparse, (32, 64))
    assert set(small[small > 0].tolist()) <= set(sparse[sparse > 0].tolist())
    # a pixel is empty exactly where no measurement falls into it
    rows, columns = np.nonzero(sparse)
    filled = np.zeros((32, 64), bool)
    filled[((rows + 0.5) * 32 / 75).astype(int), ((columns + 0.5) * 64 / 250).astype(int)] = True
    assert np.array_equal(small > 0, filled)


def test_resize_depth_of_dense_maps_and_growing_axes():
    ramp = np.tile(np.arange(1, 97, dtype=np.float32), (64, 1))
    assert np.array_equal(resize_depth(ramp, (64, 96)), ramp)
    grown = resize_depth(ramp, (32, 192))
    assert grown.shape == (32, 192)
    assert grown.min() >= 1
    assert np.abs(grown - (np.arange(192) + 0.5) / 2 - 0.5).max() <= 0.5


# ---------------------------------------------------------------- stereo


def test_store_keeps_the_right_images_of_the_targets(pairs):
    right = sliding_frames(8, 3.0, SIZE, start=4.0)
    train, val = pairs.splits(Fields((0, -1, 1), ("stereo",))).values()
    chosen = {pairs.sample(s)[1] for s in (*train, *val)}
    everything = {pairs.sample(s)[1] for s in (*pairs.train_samples, *pairs.val_samples)}
    assert chosen == everything - {3}
    batch = pairs.read(train, Fields((0, -1), ("stereo",)))
    for i, sample in enumerate(train):
        assert np.array_equal(batch.stereo[i].permute(1, 2, 0).numpy(), right[pairs.sample(sample)[1]])
    assert batch.stereo.dtype == torch.uint8
    assert batch.T_target_to_stereo[0, :3, 3].tolist() == pytest.approx([-0.2, 0, 0])
    assert torch.equal(batch.stereo_intrinsics, batch.intrinsics)
    assert batch.clip.tolist() == [0] * len(train)
    assert "baseline 0.2 m" in store_in_words(pairs)
    assert any("1 of 8 frames have no right image" in warning for warning in pairs.warnings)


def test_store_says_what_is_missing(pairs):
    assert pairs.has("stereo")
    assert not pairs.has("depth")
    assert not pairs.has("pseudo_depth")
    assert pairs.pseudo_depth is None
    with pytest.raises(DataError, match=r"holds no measured depth\. Prepare data that has measured depth"):
        pairs.splits(Fields(names=("depth",)))
    with pytest.raises(DataError, match=r"pseudo-depth .* --teacher"):
        pairs.splits(Fields(names=("pseudo_depth",)))
    with pytest.raises(ConfigError, match=r"no 'stero'.* Did you mean 'stereo'"):
        pairs.has("stero")
    without = next(s for s in range(pairs.num_samples) if pairs.sample(s)[1] == 3)
    with pytest.raises(DataError, match=r"Frame 3 of clip .* has no stereo"):
        pairs.read([without], Fields(names=("stereo",)))
    with pytest.raises(DataError, match="frames at 0, 9"):
        pairs.splits(Fields((0, 9)))


def test_store_damaged_right_images_are_noticed(pairs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pairs.path, copy)
    (copy / "stereo.u8").write_bytes(b"short")
    with pytest.raises(DataError, match=r"stereo\.u8 is damaged: 5 bytes"):
        FrameStore.open(copy)


def test_prepare_right_camera_follows_the_users_intrinsics_and_size(tmp_path):
    data = write_pairs(tmp_path / "data")
    store = prepare(data, tmp_path / "store", size=(64, 128), intrinsics="90,90,47.5,31.5", progress=False)
    batch = store.read([0], Fields(names=("stereo",)))
    assert torch.allclose(batch.stereo_intrinsics, batch.intrinsics)
    assert store.clips[0].crop == (8, 0, 48, 96)


def test_prepare_baseline_of_the_user_and_impossible_ones(tmp_path):
    data = write_pairs(tmp_path / "data")
    store = prepare(data, tmp_path / "store", size=SIZE, baseline=0.5, progress=False)
    assert store.clips[0].T_to_stereo[0][3] == -0.5
    clip = SourceClip("rig", "rig", SIZE)
    clip.has_stereo = True
    with pytest.raises(DataError, match="baseline of the stereo pair is unknown"):
        check_stereo(clip)
    clip.T_to_stereo = np.eye(4)
    with pytest.raises(DataError, match="baseline of the stereo pair is 0 m"):
        check_stereo(clip)


# ---------------------------------------------------------------- depth


def test_store_depth_at_training_size_is_the_measured_one(tmp_path):
    maps = {i: np.full((64, 96), 1.0 + i) for i in range(8)}
    maps[2][:32] = 0
    store = prepare(write_depths(tmp_path / "data", maps), tmp_path / "store", size=SIZE, progress=False)
    for sample in range(store.num_samples):
        frame = store.sample(sample)[1]
        depth = store.read([sample], Fields(names=("depth",))).depth
        assert depth.dtype == torch.float32
        assert np.array_equal(depth[0, 0].numpy(), maps[frame].astype(np.float32))


def test_prepare_impossible_depth_is_cleaned_and_said(tmp_path):
    maps = {i: np.full((64, 96), 3.0) for i in range(8)}
    maps[1][0, :4] = [np.nan, np.inf, -np.inf, -2]
    maps[4][:] = np.nan
    store = prepare(write_depths(tmp_path / "data", maps), tmp_path / "store", size=SIZE, progress=False)
    assert any("2 depth maps cleaned" in warning for warning in store.warnings)
    assert 4 not in store.clips[0].depth_frames
    sample = next(s for s in range(store.num_samples) if store.sample(s)[1] == 1)
    depth = store.read([sample], Fields(names=("depth",))).depth[0, 0]
    assert depth[0, :5].tolist() == [0, 0, 0, 0, 3]


def test_prepare_millimetres_read_as_metres_are_said(tmp_path):
    maps = {i: np.full((64, 96), 2500.0) for i in range(8)}
    store = prepare(write_depths(tmp_path / "data", maps), tmp_path / "store", size=SIZE, progress=False)
    assert any("looks like millimetres read as metres" in warning for warning in store.warnings)
    assert not store.has("depth")


def test_prepare_depth_of_another_size_is_skipped_and_said(tmp_path):
    maps = {i: np.full((64, 96), 2.0) for i in range(8)}
    maps[5] = np.full((32, 32), 2.0)
    store = prepare(write_depths(tmp_path / "data", maps), tmp_path / "store", size=SIZE, progress=False)
    assert any("1 depth map skipped" in warning and "32x32" in warning for warning in store.warnings)


# ---------------------------------------------------------------- still images


def test_prepare_still_images_makes_every_frame_a_sample(tmp_path):
    frames = [sliding_frames(1, seed=i, size=SIZE)[0] for i in range(6)]
    folder = write_images(tmp_path / "photos", frames)
    store = prepare(folder, tmp_path / "store", size=SIZE, still_images=True, holdout=0.2, progress=False)
    assert (store.num_samples, len(store.train_samples), len(store.val_samples)) == (6, 5, 1)
    batch = store.read(np.arange(6), Fields())
    assert all(np.array_equal(b.permute(1, 2, 0), f) for b, f in zip(batch.images[:, 0], frames, strict=True))
    assert len(store.splits(Fields())["train"]) == 5
    with pytest.raises(DataError, match="Prepare video without --still-images"):
        store.splits(Fields((0, -1, 1)))
    assert "6 still images" in store_in_words(store)
    assert store.path.joinpath("contact_sheet.png").is_file()


def test_prepare_single_images_without_neighbours_say_what_helps(tmp_path):
    maps = {i: np.full((64, 96), 2.0) for i in range(2)}
    data = write_depths(tmp_path / "data", maps)
    for file in sorted((data / "images").iterdir())[2:]:
        file.unlink()
    with pytest.raises(DataError, match=r"single images.*--still-images"):
        prepare(data, tmp_path / "store", size=SIZE, progress=False)
    store = prepare(data, tmp_path / "store", size=SIZE, still_images=True, progress=False)
    assert len(store.splits(Fields(names=("depth",)))["train"]) == 2


def test_prepare_images_with_depth_as_video_says_what_is_taken_for_granted(tmp_path):
    data = write_depths(tmp_path / "data", dict.fromkeys(range(8), np.full(SIZE, 4.0)))
    store = prepare(data, tmp_path / "video", size=SIZE, progress=False)
    [said] = [one for one in store.warnings if "may be single images" in one]
    assert "`finetune depth --supervision labels`" in said
    store = prepare(data, tmp_path / "still", size=SIZE, still_images=True, progress=False)
    assert not any("may be single images" in one for one in store.warnings)


def test_prepare_still_pairs_of_short_clips_hold_out_whole_clips(tmp_path):
    for i in range(6):
        write_pairs(tmp_path / "data" / f"scene{i}", count=1)
    folders = [tmp_path / "data" / f"scene{i}" for i in range(6)]
    store = prepare(folders, tmp_path / "store", size=SIZE, still_images=True, progress=False)
    train, val = store.splits(Fields(names=("stereo",))).values()
    assert [store.sample(s)[0] for s in train] == [0, 1, 2, 3, 4]
    assert [store.sample(s)[0] for s in val] == [5]


# ---------------------------------------------------------------- interruptions


def test_prepare_torn_right_images_and_depth_are_cut_back(tmp_path):
    (clip,) = open_source("synthetic:street?frames=20&height=64&width=96")
    folder, crop = tmp_path / "work", (0, 0, 64, 96)
    whole = decode(clip, folder, tmp_path / "depth", crop, SIZE)
    names = ("frames.u8", "stereo.u8", "depth.f16", "journal.jsonl")
    contents = {name: (folder / name).read_bytes() for name in names}
    assert [len(contents[name]) // (64 * 96) for name in names[:3]] == [60, 60, 40]
    for torn in names:
        for name in names:
            data = contents[name]
            (folder / name).write_bytes(data[: len(data) // 3] if name == torn else data)
        again = decode(clip, folder, tmp_path / "depth", crop, SIZE)
        assert again.entries == whole.entries
        assert {name: (folder / name).read_bytes() for name in names} == contents


def test_prepare_stores_of_an_older_format_are_refused(pairs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pairs.path, copy)
    index = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps({**index, "version": 1}))
    with pytest.raises(DataError, match="format 1, this version reads 2"):
        FrameStore.open(copy)


def test_prepare_real_middlebury_pair(shared_data, tmp_path):
    store = prepare(
        shared_data / "stereo" / "middlebury2014",
        tmp_path / "store",
        size=(256, 384),
        still_images=True,
        holdout=0.0,
        progress=False,
    )
    batch = store.read([0], Fields(names=("stereo", "depth")))
    assert batch.T_target_to_stereo[0, 0, 3].item() == pytest.approx(-0.193001, rel=1e-4)
    depth = batch.depth[batch.depth > 0]
    assert 2.0 < depth.min() < depth.max() < 5.1
    assert (batch.depth > 0).float().mean() > 0.85
    # the right image, moved by the measured depth, is the target
    right, left = (x.permute(1, 2, 0).numpy() for x in (batch.stereo[0], batch.images[0, 0]))
    height, width = store.size
    z = batch.depth[0, 0].numpy()
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    own, other = batch.intrinsics[0].numpy(), batch.stereo_intrinsics[0].numpy()
    x = (u - own[0, 2]) / own[0, 0] * z + batch.T_target_to_stereo[0, 0, 3].item()
    columns = other[0, 0] * x / np.maximum(z, 1e-3) + other[0, 2]
    warped = cv2.remap(right, columns.astype(np.float32), v, cv2.INTER_LINEAR).astype(float)
    seen = (z > 0) & (columns > 0) & (columns < width - 1)
    assert np.abs(warped - left)[seen].mean() < 12
    assert np.abs(right.astype(float) - left)[seen].mean() > 30
