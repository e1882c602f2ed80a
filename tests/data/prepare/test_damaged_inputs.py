"""One damaged file among many is named and counted, and does not cost the others."""

import json
import os
import shutil

import numpy as np
import pytest
from making_clips import sliding_frames, write_images, write_video
from PIL import Image

from geopretrain import cli
from geopretrain.data.prepare.preparation import prepare
from geopretrain.errors import DataError
from geopretrain.prediction.inputs import shots, shots_of_all


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "good.mp4", sliding_frames(14))


def folder_of_many(folder, good):
    """A folder with a good video and one of each kind of damage."""
    folder.mkdir()
    shutil.copy(good, folder / "good.mp4")
    (folder / "cut.mp4").write_bytes(good.read_bytes()[:1500])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.MOV").write_text("no video")
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "folder.mp4").mkdir()
    for name in ("._good.mp4", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(good, folder / ".ipynb_checkpoints" / "good-checkpoint.mp4")
    return folder


def test_damaged_videos_are_named_counted_and_left_out(tmp_path, good, capsys):
    videos = folder_of_many(tmp_path / "in", good)
    for _ in range(2):  # also where the store is there already
        assert cli.main(["data", "prepare", str(videos), "--out", str(tmp_path / "store")]) == 3
        said = " ".join(capsys.readouterr().out.split())
        assert "5 inputs are damaged and not in the store" in said
        for name in (
            "cut.mp4",
            "empty.mp4 is empty",
            "text.MOV",
            "gone.mp4 is a link",
            "folder.mp4 is a folder",
        ):
            assert name in said
    summary = json.loads((tmp_path / "store" / "summary.json").read_text())
    assert [source["name"] for source in summary["sources"]] == ["good.mp4"]
    assert len(summary["left_out"]) == 5
    assert cli.main(["data", "inspect", str(videos)]) == 3
    said = capsys.readouterr().out
    assert said.count("unusable: ") == 5
    assert "1 clip" in said


@pytest.mark.parametrize("fps", [None, 5])
def test_a_video_that_is_cut_off_is_used_as_far_as_it_goes(tmp_path, fps):
    long = sliding_frames(60, step=1.2)
    whole = write_video(tmp_path / "whole.mkv", long).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "in" / "whole.mkv").write_bytes(whole)
    store = prepare(tmp_path / "in", tmp_path / "store", progress=False, fps=fps)
    assert {clip.name for clip in store.clips} == {"cut.mkv", "whole.mkv"}
    (reason,) = json.loads((tmp_path / "store" / "summary.json").read_text())["left_out"]
    assert "cut.mkv promises 2.4 s but ends after" in reason


def test_inputs_named_one_by_one(tmp_path, good):
    (tmp_path / "empty.mp4").write_bytes(b"")
    store = prepare([tmp_path / "empty.mp4", good], tmp_path / "store", progress=False)
    assert [clip.name for clip in store.clips] == ["good.mp4"]
    assert any("empty.mp4 is empty" in warning for warning in store.warnings)


def test_nothing_but_damaged_inputs_is_refused_and_may_be_tried_again(tmp_path, good):
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"None of 2 files and folders can be used.*a\.mp4 is empty"):
        prepare([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "store", progress=False)
    prepare(good, tmp_path / "store", progress=False)


def test_a_drive_of_many_may_be_damaged(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / "in" / name, sliding_frames(8))
    for i in range(4):
        Image.fromarray(np.zeros((70, 90, 3), np.uint8)).save(tmp_path / "in" / "a" / f"{i:06d}.png")
    store = prepare(tmp_path / "in", tmp_path / "store", progress=False)
    assert [clip.name for clip in store.clips] == ["in/b"]
    assert any("mixes image sizes" in warning for warning in store.warnings)


def pictures(folder):
    """A folder of five pictures of which one is good in each way that counts, and clutter."""
    write_images(folder, sliding_frames(3), "frame{}.png")
    shutil.copy(folder / "frame2.png", folder / "frame10.PNG")
    whole = (folder / "frame1.png").read_bytes()
    (folder / "frame1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "frame3.jpg").write_bytes(b"")
    (folder / "frame4.png").symlink_to(folder / "nowhere")
    (folder / "frame5.png").mkdir()
    for name in ("._frame0.png", "Thumbs.db", ".hidden.png"):
        (folder / name).write_bytes(whole)
    return folder


def test_predict_goes_on_after_a_damaged_picture(tmp_path, caplog):
    found = list(shots(pictures(tmp_path / "in"), None, with_next=False))
    assert [shot.name for shot in found] == ["frame0", "frame2", "frame10"]
    for name in (
        "frame1.png is damaged",
        "frame3.jpg is empty",
        "frame4.png is a link",
        "frame5.png is a folder",
    ):
        assert name in caplog.text
    assert "_frame0" not in caplog.text


def test_predict_pairs_are_neighbours_in_time(tmp_path):
    write_images(tmp_path, sliding_frames(12), "frame{}.png")
    assert [shot.name for shot in shots(tmp_path, None, with_next=True)] == [f"frame{i}" for i in range(11)]


def test_predict_of_several_inputs(tmp_path, good, caplog):
    (tmp_path / "bad.jpg").write_bytes(b"x")
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:1500])
    found = list(shots_of_all([tmp_path / "bad.jpg", good, tmp_path / "cut.mp4"], 7, with_next=False))
    assert [shot.name for shot in found] == ["good_000000", "good_000007"]
    assert "bad.jpg" in caplog.text
    assert "cut.mp4" in caplog.text
    with pytest.raises(DataError, match=r"No input can be used. The first: .*bad\.jpg"):
        list(shots_of_all([tmp_path / "bad.jpg", tmp_path / "cut.mp4"], None, with_next=False))
    with pytest.raises(DataError, match=r"nowhere\.mp4' does not exist"):
        next(shots_of_all([good, tmp_path / "nowhere.mp4"], None, with_next=False))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs files that cannot be read")
def test_pictures_that_may_not_be_read(tmp_path):
    write_images(tmp_path, sliding_frames(3))
    (tmp_path / "000001.png").chmod(0)
    assert len(list(shots(tmp_path, None, with_next=False))) == 2


def test_a_damaged_depth_map_among_good_ones_is_counted(tmp_path, capsys):
    folder, store = tmp_path / "pairs", tmp_path / "store"
    write_images(folder / "images", sliding_frames(12))
    (folder / "depth").mkdir()
    for image in sorted((folder / "images").iterdir()):
        size = Image.open(image).size
        Image.new("I;16", size, 4000).save(folder / "depth" / f"{image.stem}.png")
    damaged = sorted((folder / "depth").iterdir())[5]
    damaged.write_bytes(damaged.read_bytes()[:40])
    words = ["data", "prepare", str(folder), "--out", str(store), "--still-images"]
    for _ in range(2):
        assert cli.main(words) == 3
        assert "1 input is damaged and not in the store, or only in part." in capsys.readouterr().out
    (reason,) = json.loads((store / "summary.json").read_text())["left_out"]
    assert "1 depth map skipped" in reason
    assert damaged.name in reason
