from fractions import Fraction

import av
import numpy as np
import pytest
from making_clips import sliding_frames, write_video

from geopretrain.data.readers import open_source
from geopretrain.errors import DataError

FRAMES = sliding_frames(30)


def difference(image, expected):
    return np.abs(image.astype(int) - expected).mean()


def test_sources_video_frames_times_and_rate(tmp_path):
    (clip,) = open_source(write_video(tmp_path / "a.mp4", FRAMES))
    frames = list(clip.frames())
    assert (clip.kind, clip.size, clip.fps, clip.length) == ("video", (96, 128), 25.0, 30)
    assert [f.index for f in frames] == list(range(30))
    assert all(difference(f.image, truth) < 8 for f, truth in zip(frames, FRAMES, strict=True))
    assert clip.time(10) == pytest.approx(0.4)
    assert [f.index for f in clip.frames(start=28)] == [28, 29]


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_sources_video_rotation_is_applied(tmp_path, angle):
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write rotated video")
    (clip,) = open_source(write_video(tmp_path / "a.mp4", FRAMES[:3], rotation=angle))
    image = next(iter(clip.frames())).image
    upright = np.rot90(FRAMES[0], angle // 90)  # counter-clockwise
    assert clip.size == upright.shape[:2]
    assert difference(image, upright) < 8


def test_sources_video_pixels_are_made_square(tmp_path):
    (clip,) = open_source(write_video(tmp_path / "a.mp4", FRAMES[:3], aspect=Fraction(2, 1)))
    assert clip.size == (96, 256)
    assert next(iter(clip.frames())).image.shape == (96, 256, 3)


def test_sources_video_variable_frame_rate(tmp_path):
    times = [*range(15), *range(40, 55)]
    (clip,) = open_source(write_video(tmp_path / "a.mkv", FRAMES, times=times))
    frames = list(clip.frames())
    assert len(frames) == 30
    assert all(f.error is None for f in frames)
    assert clip.time(20) == pytest.approx(45 / 25, abs=0.01)
    assert [f.index for f in frames if clip.starts_anew(f.index)] == [15]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sources_video_cut_off_gives_its_readable_part(tmp_path, name):
    path = write_video(tmp_path / name, FRAMES, options={"movflags": "faststart"} if name == "a.mp4" else {})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    (clip,) = open_source(path)
    *frames, last = clip.frames()
    good = [f.index for f in frames if f.error is None]
    assert 10 < len(good) < 25
    assert good == list(range(len(good)))
    assert len(frames) - len(good) <= 1  # some versions of FFmpeg report the frame that the cut goes through
    assert last.image is None
    assert "cut off" in last.error
    assert list(clip.frames(start=len(frames) + 1)) == []


def test_sources_video_damaged_in_the_middle_names_the_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", FRAMES, options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(len(data) * 2 // 3, len(data), 40):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    frames = list(open_source(path)[0].frames())
    broken = [f for f in frames if f.error]
    assert 0 < len(broken) < len(frames)
    assert all(f.image is None and str(path) in f.error for f in broken)


def test_sources_video_of_one_frame(tmp_path):
    (clip,) = open_source(write_video(tmp_path / "a.mp4", FRAMES[:1]))
    assert len(list(clip.frames())) == 1


def test_sources_video_without_index_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", FRAMES)
    path.write_bytes(path.read_bytes()[:20000])  # the index stands at the end of such a file
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read as a video"):
        open_source(path)


def test_sources_video_without_video_stream(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match=r"no video stream.*audio"):
        open_source(path)


def test_sources_video_empty_or_no_video(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(DataError, match="0 bytes"):
        open_source(tmp_path / "empty.mp4")
    with pytest.raises(DataError, match=r"text\.mp4 cannot be read"):
        open_source(tmp_path / "text.mp4")


def test_sources_folder_of_videos(tmp_path):
    for name in ("clip10.mp4", "clip9.mp4"):
        write_video(tmp_path / name, FRAMES[:3])
    assert [clip.name for clip in open_source(tmp_path)] == ["clip9.mp4", "clip10.mp4"]
