"""Files of version 0.1 are read under the names of today."""

import json
from dataclasses import asdict

import pytest
from making_clips import sliding_frames, write_images

from geopretrain.data.prepare.clip import PreparedClip
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.source_summary import ReadStatistics, read_summary
from geopretrain.data.store.frame_store import FrameStore

SIZE = (64, 96)


@pytest.fixture
def store(tmp_path):
    write_images(tmp_path / "a", sliding_frames(12, 3.0, SIZE))
    return prepare(tmp_path / "a", tmp_path / "store", size=SIZE, progress=False)


def test_the_index_keeps_the_names_of_version_2(store):
    index = json.loads((store.path / "store.json").read_text())
    assert {"notes", "still_images"} < set(index)
    assert "still" in index["clips"][0]
    index["notes"], index["clips"][0]["still"] = ["said before"], 7
    (store.path / "store.json").write_text(json.dumps(index))
    again = FrameStore.open(store.path)
    assert again.warnings == ["said before"]
    assert again.clips[0].static == 7
    assert again.fingerprint() == store.fingerprint()


def test_a_summary_of_version_0_1_is_read(store):
    file = store.path / "summary.json"
    file.write_text(file.read_text().replace('"static"', '"still"'))
    assert read_summary(store.path)[0].static == 0


def test_a_preparation_interrupted_by_version_0_1_goes_on(store):
    statistics = ReadStatistics("a", 12, 0, 3, 1, None)
    now = PreparedClip(store.clips, statistics, ["said"], ["problem"])
    file = store.path / "clip_000.json"
    assert PreparedClip.from_json(json.loads(json.dumps(now.as_json())), file) == now
    facts = {("still" if name == "static" else name): value for name, value in asdict(statistics).items()}
    before = {"clips": now.as_json()["clips"], "facts": facts, "notes": ["said"], "problems": ["problem"]}
    assert PreparedClip.from_json(json.loads(json.dumps(before)), file) == now
