"""Pipes among files: opening one would wait for ever."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.picture_file import open_picture
from geopretrain.data.prepare.inspection import inspect
from geopretrain.errors import DataError

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")


def write(folder, count, highest, channels=()):
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        values = random.integers(0, highest, (64, 96, *channels), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number:03d}.png")


def test_a_pipe_among_images_is_named_and_left_out(tmp_path):
    write(tmp_path / "images", 12, 256, (3,))
    os.mkfifo(tmp_path / "images" / "pipe.png")
    data = LabelledSet.open(f"images:{tmp_path / 'images'}", names=())
    everything = np.concatenate(list(data.splits().values()))
    (error,) = data.unusable(everything, Fields()).values()
    assert "pipe.png is a pipe or a device" in str(error)
    assert data.fingerprint() == data.fingerprint()


def test_a_pipe_among_labels_is_named(tmp_path):
    write(tmp_path / "images", 12, 256, (3,))
    write(tmp_path / "labels", 12, 2)
    (tmp_path / "classes.txt").write_text("a\nb\n")
    (tmp_path / "labels" / "000.png").unlink()
    os.mkfifo(tmp_path / "labels" / "000.png")
    data = LabelledSet.open(tmp_path)
    with pytest.raises(DataError, match=r"000\.png .*pipe or a device"):
        data.check(np.arange(len(data)))


def test_a_pipe_among_frames_is_a_broken_one(tmp_path):
    write(tmp_path / "frames", 6, 256, (3,))
    os.mkfifo(tmp_path / "frames" / "006.png")
    assert "006.png is a pipe or a device" in str(inspect(tmp_path / "frames"))


def test_devices_are_no_pictures():
    with pytest.raises(OSError, match="pipe or a device"):
        open_picture(Path("/dev/null"))
