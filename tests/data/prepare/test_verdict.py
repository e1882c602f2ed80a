"""One verdict in three grades, the same for inspection and preparation; hints for what is no video."""

import pytest
from making_clips import sliding_frames, write_images, write_video

from geopretrain import cli
from geopretrain.data.prepare.inspection import inspect
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.verdict import GOOD_SAMPLES, judge, judge_store
from geopretrain.data.readers import open_source
from geopretrain.errors import ConfigError, DataError, nearest_name
from geopretrain.metrics.depth_protocols import get_protocol


def test_grades():
    assert judge(GOOD_SAMPLES).grade == "fit"
    assert str(judge(1000, segments=5)) == "It is fit for learning depth."
    few = judge(7)
    assert few.grade == "little data"
    assert str(few).startswith("Fit with little data: 7 usable frames are few (200 are a beginning).")
    cut = judge(300, segments=30)
    assert cut.grade == "little data"
    assert "lie in 30 pieces of about 10 usable frames each" in str(cut)
    assert judge(0).grade == "not fit"
    assert str(judge(500, problems=["the picture does not move."])) == (
        "Not fit for learning depth: the picture does not move."
    )


@pytest.mark.parametrize("pieces", [1, 3])
def test_inspection_and_preparation_say_the_same(tmp_path, pieces, capsys):
    frames = [frame for seed in range(pieces) for frame in sliding_frames(9, seed=seed)]
    write_images(tmp_path / "in", frames)
    report = inspect(tmp_path / "in")
    store = prepare(tmp_path / "in", tmp_path / "store")
    assert report.verdict == judge_store(store)
    assert report.verdict.grade == "little data"
    assert report.fit
    for text in (report.text(), capsys.readouterr().out, inspect(tmp_path / "store").text()):
        assert str(report.verdict) in text
        assert "It is fit for learning depth" not in text
        assert ("lie in 3 pieces" in text) == (pieces == 3)


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("measured.mat", b"MATLAB 7.3", "is no file of MATLAB 7.3. Copy it again"),
        ("a.h5", b"\x89HDF\r\n", "an HDF5 file"),
        ("drive.bag", b"#ROSBAG V2.0", "a recording of ROS: export"),
        ("drive.zip", b"PK\x03\x04", "an archive: unpack it"),
        ("drive.tar.gz", b"\x1f\x8b\x08", "an archive: unpack it"),
        ("drive.mp4", b"PK\x03\x04", "an archive: unpack it"),
        ("drive.mov", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("drive.avi", b"<!DOCTYPE html><html>", "a web page"),
        ("instances.json", b"{}", "a text file, such as annotations"),
        ("model.safetensors", b"\x00" * 40, "a file of weights: give it to --init"),
        ("odd.xyz", b"something", "convert it to .mp4"),
    ],
)
def test_hints_for_files_that_are_no_video(tmp_path, name, content, hint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=hint):
        inspect(tmp_path / name)


def test_folders_of_ours_are_no_video(tmp_path, capsys):
    video = write_video(tmp_path / "a.mp4", sliding_frames(9))
    prepare(video, tmp_path / "store", progress=False)
    assert cli.main(["data", "prepare", str(tmp_path / "store"), "--out", str(tmp_path / "again")]) == 2
    assert "is a store that is prepared already: use it as it is" in capsys.readouterr().err
    for file, words in (
        ("lineage.json", "the folder of a run"),
        ("comparison.json", "folder of a comparison"),
    ):
        folder = tmp_path / file
        write_images(folder / "figures", sliding_frames(3))
        (folder / file).write_text("{}")
        with pytest.raises(DataError, match=words):
            open_source(folder)


@pytest.mark.parametrize(
    ("typed", "meant", "known"),
    [
        ("kiti-eigen", "kitti-eigen-garg-80-median", None),
        ("kitti-eigen", "kitti-eigen-garg-80-median", None),
        ("mim-kiti", "mim-kitti-80-garg", None),
        ("DENSE", "dense", None),
        ("depth_superv", "depth_supervised", ["depth", "scdepth", "depth_supervised"]),
        ("monodepht", "monodepth", ["scdepth", "monodepth", "geometric_flow"]),
        ("steps", "steps", ["steps", "steps_per_epoch"]),
        ("resnet5", "resnet50", ["resnest50d", "resnet50", "resnet50_clip"]),
    ],
)
def test_the_nearest_name_is_of_the_same_family(typed, meant, known):
    if known is not None:
        assert nearest_name(typed, iter(known)) == f" Did you mean '{meant}'?"
        return
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        get_protocol(typed)


def test_nothing_near_is_no_hint():
    assert nearest_name("xyz", ["random", "imagenet"]) == ""
    assert nearest_name("xyz", []) == ""
