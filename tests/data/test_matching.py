"""Labelled images are found among the frames of a store by what they show."""

import io

import numpy as np
import pytest
from making_clips import sliding_frames, write_images
from PIL import Image

import geopretrain as gp
from geopretrain.data.matching import FrameFinder
from geopretrain.data.store.frame_store import FrameStore


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Frames of 96x128 that are stored cut to 48x96, the last two of them the same."""
    root = tmp_path_factory.mktemp("footage")
    frames = sliding_frames(8)
    frames.append(frames[-1])
    write_images(root / "clip", frames)
    gp.prepare(root / "clip", root / "store", size=(48, 96), still_images=True, holdout=0.0, progress=False)
    return frames, FrameFinder(FrameStore.open(root / "store"))


def resized(frame, size, kind=Image.Resampling.BICUBIC):
    return np.asarray(Image.fromarray(frame).resize(size[::-1], kind))


def packed(frame):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=92, subsampling=0)
    return np.asarray(Image.open(file))


def test_a_frame_is_found_also_larger_smaller_and_packed_with_loss(footage):
    frames, finder = footage
    for number in range(7):
        for changed in (frames[number], packed(frames[number]), resized(frames[number], (192, 256))):
            assert finder.find(changed).place == (0, number)
    assert finder.find(resized(frames[3], (72, 96))).place == (0, 3)
    assert finder.find(frames[3]).difference == 0


def test_another_picture_is_none_of_them(footage):
    frames, finder = footage
    other = finder.find(sliding_frames(1, seed=7)[0])
    assert other.place is None
    assert other.difference > 4
    assert finder.find(frames[3][:, :100]).place is None, "of another shape"
    assert np.isnan(finder.find(frames[3][:, :100]).difference)
    assert finder.find(frames[3][:, ::-1]).place is None


def test_of_frames_that_show_the_same_the_name_decides(footage):
    frames, finder = footage
    for name, frame in {"clip_000008.png": 8, "001_clip_000007.png": 7}.items():
        match = finder.find(frames[8], name)
        assert match.place == (0, frame)
        assert match.alike == {(0, 7), (0, 8)}
    assert finder.find(frames[2], "clip_000008.png").place == (0, 2), "a wrong name changes nothing"
