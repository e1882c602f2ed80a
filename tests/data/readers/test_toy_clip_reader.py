"""A stranger adds a layout of video: one class, one row in the table."""

import numpy as np
from making_clips import sliding_frames

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import Frame, SourceClip, detect, open_source
from geopretrain.data.readers.detect import ClipLayout


class NpyClip(SourceClip):
    kind, title = "npy", "an array of frames"

    def __init__(self, path):
        self.array = np.load(path, mmap_mode="r")
        super().__init__(path.name, str(path), self.array.shape[1:3], fps=10.0, length=len(self.array))

    def frames(self, start=0):
        for index in range(start, len(self.array)):
            yield Frame(index, f"frame {index}", np.array(self.array[index]))


def test_a_row_in_the_table_is_enough_to_prepare_a_store(tmp_path, monkeypatch):
    def open_npy(spec, options):
        path = detect._path(spec)
        return [NpyClip(path)] if path.suffix == ".npy" else []

    toy = ClipLayout("array", "a .npy array of frames", open_npy)
    monkeypatch.setattr(detect, "LAYOUTS", [toy, *detect.LAYOUTS])
    np.save(tmp_path / "frames.npy", np.stack(sliding_frames(12, 3.0, (64, 96))))
    assert [clip.kind for clip in open_source(tmp_path / "frames.npy")] == ["npy"]
    store = prepare(tmp_path / "frames.npy", tmp_path / "store", progress=False)
    assert (store.size, store.num_samples) == ((64, 96), 10)
