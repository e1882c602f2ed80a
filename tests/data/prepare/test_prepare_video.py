"""Uncalibrated video: frame rate, what became of each source, cameras that are static."""

import json

import numpy as np
import pytest
from making_clips import sliding_frames, texture, write_images, write_video

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.resample import resampled
from geopretrain.data.prepare.segments import hold_out_clips
from geopretrain.data.prepare.source_summary import in_words, length_in_words, read_summary, total
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.readers import open_source
from geopretrain.data.store.samples import RowTable
from geopretrain.errors import ConfigError, DataError

SIZE = (64, 96)


def tripod(count=24):
    """A textured wall with a moving poster: things move, the camera does not."""
    frames = []
    for part in sliding_frames(count, 5.0, (40, 40), seed=4):
        frame = texture(*SIZE)
        frame[12:52, 30:70] = part
        frames.append(frame)
    return frames


def brightness(frame):
    return int(frame.image[..., 0].mean())


def numbered(count):
    """Frames whose brightness is ten times their number."""
    return [np.full((*SIZE, 3), 10 * i, np.uint8) for i in range(count)]


# ---------------------------------------------------------------- frame rate


def test_resample_takes_the_first_frame_of_each_interval(tmp_path):
    (source,) = open_source(write_video(tmp_path / "v.mp4", numbered(24), fps=24))
    clip = resampled(source, 10)
    frames = list(clip.frames())
    assert [frame.index for frame in frames] == list(range(10))
    # times 0, 0.1, ... lie at source frames 0, 2.4, 4.8, 7.2, ...
    assert [round(brightness(frame) / 10) for frame in frames] == [0, 3, 5, 8, 10, 12, 15, 17, 20, 22]
    assert clip.time(3) == pytest.approx(8 / 24, abs=1e-3)
    assert (clip.fps, clip.length) == (10, 10)
    again = list(clip.frames(7))
    assert [(frame.index, brightness(frame)) for frame in again] == [
        (frame.index, brightness(frame)) for frame in frames[7:]
    ]
    assert resampled(source, None) is source
    assert resampled(source, 24) is source


def test_resample_follows_the_times_of_uneven_video(tmp_path):
    times = [*range(8), 15, 16, 17, 18, 19, 60, 61, 62]  # in 1/20 s: a pause, then a long gap
    video = write_video(tmp_path / "v.mp4", numbered(16), fps=20, times=times)
    (source,) = open_source(video)
    source.fps = 20.0  # the mean rate of the file is lower
    clip = resampled(source, 5)  # intervals of 4 / 20 s
    taken = [(round(brightness(frame) / 10), clip.starts_anew(frame.index)) for frame in clip.frames()]
    assert [number for number, _ in taken] == [0, 4, 8, 9, 13]
    assert [anew for _, anew in taken] == [False, False, True, False, True]


def test_resample_prefers_readable_frames_and_keeps_depth_in_step(tmp_path):
    folder = write_images(tmp_path / "images", sliding_frames(9, 3.0, SIZE))
    (folder / "000003.png").write_bytes(b"")
    (tmp_path / "depth").mkdir()
    for i in range(9):
        np.save(tmp_path / "depth" / f"{i:06d}.npy", np.full(SIZE, 1.0 + i, np.float32))
    (source,) = open_source(tmp_path)
    source.fps = 30.0
    clip = resampled(source, 10)
    assert [frame.error for frame in clip.frames()] == [None] * 3
    assert [clip.depth(i)[0, 0] for i in range(3)] == [1, 5, 7]


def test_resample_impossible_rates(tmp_path):
    (folder,) = open_source(write_images(tmp_path / "images", sliding_frames(4, 3.0, SIZE)))
    with pytest.raises(DataError, match="frame rate is unknown"):
        resampled(folder, 10)
    video = write_video(tmp_path / "v.mp4", sliding_frames(6, 3.0, SIZE), fps=5)
    with pytest.raises(DataError, match=r"v\.mp4 has only 5 frames/s and cannot be brought to 10"):
        prepare(video, tmp_path / "store", fps=10, progress=False)
    with pytest.raises(ConfigError, match="above 0"):
        prepare(video, tmp_path / "store", fps=-1, progress=False)


# ---------------------------------------------------------------- what became of each source


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    town = sliding_frames(40, 1.5, SIZE, seed=1) + sliding_frames(30, 1.5, SIZE, seed=2)
    stop = sliding_frames(30, 1.5, SIZE, seed=3)
    write_video(root / "a_town.mp4", town, fps=20)
    write_video(root / "b_stop.mp4", stop + stop[-1:] * 20, fps=20)
    write_video(root / "c_tripod.mp4", tripod(), fps=20)
    return prepare(root, root / "store", size=SIZE, fps=10, progress=False)


def test_summary_accounts_for_every_frame(store):
    town, stop, static = read_summary(store.path)
    for source in (town, stop, static):
        assert source.frames == source.broken + source.static + source.at_cuts + source.samples
    assert (town.frames, town.cuts, town.at_cuts, town.samples) == (35, 1, 4, 31)
    assert stop.static > 5
    assert (static.samples, static.kept, static.motion) == (0, 0, None)
    everything = total([town, stop, static])
    assert everything.samples == store.num_samples
    assert (everything.train, everything.val) == (len(store.train_samples), len(store.val_samples))
    assert everything.kept == sum(len(clip.frames) for clip in store.clips)
    assert everything.hours == pytest.approx((70 + 50 + 24) / 20 / 3600, rel=0.02)
    assert town.motion == pytest.approx(3.0, abs=0.3)
    written = json.loads((store.path / "summary.json").read_text())
    assert [source["name"] for source in written["sources"]] == ["a_town.mp4", "b_stop.mp4", "c_tripod.mp4"]
    assert written["total"]["samples"] == store.num_samples
    assert in_words(everything) in store_in_words(store)


def test_summary_survives_a_damaged_file(store, tmp_path):
    (tmp_path / "summary.json").write_text('{"sources": [{"name": "x"}]}')
    assert read_summary(tmp_path) == []
    assert read_summary(tmp_path / "gone") == []


def test_summary_lengths_in_words():
    assert [length_in_words(h) for h in (2.4, 0.2, 8 / 3600)] == ["2.4 h", "12.0 min", "8.0 s"]


# ---------------------------------------------------------------- cameras that are static


def test_prepare_static_camera_is_refused(tmp_path):
    folder = write_images(tmp_path / "tripod", tripod())
    with pytest.raises(DataError, match=r"camera is static while things move.*--min-motion 0"):
        prepare(folder, tmp_path / "store", size=SIZE, progress=False)
    kept = prepare(folder, tmp_path / "store", size=SIZE, min_motion=0.0, progress=False)
    assert kept.num_samples > 5


def test_prepare_static_camera_among_others_is_left_out_and_said(store):
    assert {clip.name.split("#")[0] for clip in store.clips} == {"a_town.mp4", "b_stop.mp4"}
    assert any("c_tripod.mp4: the camera is static" in warning for warning in store.warnings)


def test_prepare_mostly_broken_source_does_not_cost_the_others(tmp_path):
    write_images(tmp_path / "good", sliding_frames(10, 3.0, SIZE))
    bad = write_images(tmp_path / "bad", sliding_frames(10, 3.0, SIZE))
    for i in range(2, 9):
        (bad / f"{i:06d}.png").write_bytes(b"x")
    store = prepare([bad, tmp_path / "good"], tmp_path / "store", size=SIZE, progress=False)
    assert [clip.name for clip in store.clips] == ["good"]
    assert any("bad: 7 of 10 frames cannot be used" in warning for warning in store.warnings)


# ---------------------------------------------------------------- whole clips held out, look-up of rows


def test_hold_out_clips_only_where_all_are_too_short(tmp_path):
    for i in range(4):
        write_images(tmp_path / "short" / f"{i}", sliding_frames(5, 3.0, SIZE, seed=i))
    store = prepare(tmp_path / "short", tmp_path / "store", size=SIZE, progress=False)
    assert [clip.train_end for clip in store.clips] == [3, 3, 3, 0]
    assert [clip.val_start for clip in store.clips] == [3, 3, 3, 0]
    assert hold_out_clips(store.clips, 0.1) == store.clips  # something is held out already


def test_row_table_finds_frames_and_says_where_there_are_none():
    table = RowTable([[3, 5, 6], [], [0, 4]], [10, 0, 20])
    clips, frames = np.array([0, 0, 0, 0, 1, 2, 2, 2]), np.array([3, 4, 6, 7, 0, 0, 4, -1])
    assert table(clips, frames).tolist() == [10, -1, 12, -1, -1, 20, 21, -1]
    assert table(np.array([[0], [2]]), np.array([[5, 3], [4, 9]])).tolist() == [[11, 10], [21, -1]]
    assert table.count == 5
    assert RowTable([[]], [0])(np.array([0]), np.array([0])).tolist() == [-1]
