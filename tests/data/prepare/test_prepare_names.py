"""The same frames give the same store, whatever scheme names their files."""

import numpy as np
import pytest
from making_clips import sliding_frames, write_images

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source

FRAMES = sliding_frames(16)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual")
    return prepare(write_images(folder / "in", FRAMES), folder / "store", progress=False)


@pytest.mark.parametrize(
    "pattern",
    ["{}.png", "{:06d}_cam0.png", "img_640x480_{}.jpg.png", "t{:.2f}.png", "f{:x}.PNG", "12-59-{}.png"],
)
def test_the_same_frames_give_the_same_triplets(tmp_path, pattern, usual):
    (tmp_path / "in").mkdir()
    for i, frame in enumerate(FRAMES):
        number = {"t{:.2f}.png": i * 0.05, "12-59-{}.png": f"{i + 10}"}.get(pattern, i)
        write_images(tmp_path / "one", [frame], "{}.png")
        (tmp_path / "one" / "0.png").rename(tmp_path / "in" / pattern.format(number))
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "in" / name).write_bytes(b"\0")
    (tmp_path / "in" / ".ipynb_checkpoints").mkdir()
    store = prepare(tmp_path / "in", tmp_path / "store", progress=False)
    assert [clip.targets for clip in store.clips] == [clip.targets for clip in usual.clips]
    assert np.array_equal(store.frame_image(0, 7), usual.frame_image(0, 7))


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write_images(tmp_path / "in" / name, FRAMES[:4])
    listed = type(tmp_path).iterdir

    def iterdir(folder):
        if folder.name == "a":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    unusable = []
    clips = open_source(tmp_path / "in", unusable=unusable)
    assert [clip.name for clip in clips] == ["in/b"]
    assert "in/a cannot be read (Permission denied)" in unusable[0].reason
