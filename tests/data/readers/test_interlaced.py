"""Interlaced video is told and deinterlaced, frame for frame."""

from fractions import Fraction

import av
import numpy as np
import pytest
from making_clips import sliding_frames, write_video

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.data.readers.interlaced import combing

SIZE = (96, 128)


def apart(image, other):
    return np.abs(image.mean(2) - other.mean(2))[8:-8].mean()


def woven(count, step=8.0):
    """Frames whose odd rows are half a frame later than the even ones, and the moments of both."""
    moments = sliding_frames(2 * count, step / 2, SIZE)
    frames = [moment.copy() for moment in moments[::2]]
    for frame, later in zip(frames, moments[1::2], strict=True):
        frame[1::2] = later[1::2]
    return frames, moments


def write_interlaced(path, frames, marked):
    with av.open(str(path), "w") as container:
        options = {"crf": "4", "preset": "ultrafast"} | ({"x264-params": "tff=1"} if marked else {})
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv444p" if not marked else "yuv420p"
        if marked:
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("marked", [True, False])
def test_interlaced_video_is_told_and_deinterlaced(tmp_path, marked):
    frames, moments = woven(12)
    path = write_interlaced(tmp_path / "a.mp4", frames, marked)
    (clip,) = open_source(path)
    known = "its frames are marked so" if marked else "its rows show combs"
    assert clip.warnings == [f"The video is interlaced ({known}): it is deinterlaced (bwdif)."]
    read = list(clip.frames())
    assert [frame.index for frame in read] == list(range(12))
    grey = [frame.image.mean(2).astype(np.uint8) for frame in read]
    assert max(map(combing, grey)) < 1 < min(combing(frame.mean(2).astype(np.uint8)) for frame in frames)
    for i in range(1, 11):  # one of both moments is left
        left = min(apart(read[i].image, moment) for moment in moments[2 * i : 2 * i + 2])
        assert left < 0.8 * apart(frames[i], moments[2 * i])
    assert [frame.index for frame in clip.frames(5)] == list(range(5, 12))
    assert clip.time(5) == pytest.approx(0.2)


def test_a_store_of_interlaced_video_says_so(tmp_path):
    path = write_interlaced(tmp_path / "a.mp4", woven(12)[0], True)
    store = prepare(path, tmp_path / "store", progress=False)
    assert any("interlaced" in warning for warning in store.warnings)


def test_progressive_video_is_left_alone(tmp_path):
    frames = sliding_frames(10, 8.0, SIZE)
    (clip,) = open_source(write_video(tmp_path / "a.mp4", frames))
    assert clip.warnings == []
