"""The next clip is decoded while the last one is worked on: in order, within bounds, and ended when asked."""

import threading

import numpy as np
import pytest

from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.decoding import Decoding, decoded_ahead
from geopretrain.data.prepare.intrinsics import choose_camera
from geopretrain.data.readers.base import Frame, SourceClip
from geopretrain.errors import DataError

SIZE = (32, 48)
OPTIONS = PreparationOptions(still_images=True)


class Grey(SourceClip):
    """Frames of one grey; the events say when it is begun and hold it up before its last frame."""

    def __init__(self, number, frames=2, error=False):
        super().__init__(f"grey-{number}", "", SIZE, length=frames)
        self.number, self.error, self.begun = number, error, threading.Event()

    def frames(self, start=0):
        self.begun.set()
        for index in range(start, self.length):
            if self.error:
                raise DataError(f"{self.name} is damaged.")
            yield Frame(index, f"frame {index}", np.full((*SIZE, 3), self.number, np.uint8))


def decodings(clips):
    return [Decoding(clip, clip.name, n, choose_camera(SIZE, None), SIZE) for n, clip in enumerate(clips)]


def nobody_reads():
    return not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_clips_are_decoded_ahead_in_order(tmp_path):
    clips = [Grey(n) for n in range(6)]
    with decoded_ahead(decodings(clips), tmp_path, OPTIONS) as ahead:
        assert int(next(ahead).pixels[0].mean()) == 0
        assert clips[1].begun.wait(30)  # nobody has asked for it
        assert not clips[4].begun.is_set()  # one waits, one is on its way: no more are on the disk
        assert [int(decoded.pixels[1].mean()) for decoded in ahead] == [1, 2, 3, 4, 5]
    assert nobody_reads()


def test_decoding_ends_where_nobody_wants_it(tmp_path):
    clips = [Grey(0), Grey(1, frames=10**9)]
    with decoded_ahead(decodings(clips), tmp_path, OPTIONS) as ahead:
        next(ahead)
        assert clips[1].begun.wait(30)
    assert nobody_reads()


def test_an_error_comes_with_its_clip(tmp_path):
    with decoded_ahead(decodings([Grey(0), Grey(1, error=True)]), tmp_path, OPTIONS) as ahead:
        assert len(next(ahead).frames) == 2
        with pytest.raises(DataError, match="grey-1 is damaged"):
            next(ahead)
    assert nobody_reads()
