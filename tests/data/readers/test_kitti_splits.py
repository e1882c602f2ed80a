"""KITTI raw: published splits by name and by list, and which depth is the truth."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import kitti_improved, kitti_raw

import geopretrain
from geopretrain.data.catalogue.checking import check
from geopretrain.data.prepare.source_summary import read_summary
from geopretrain.data.readers import open_source
from geopretrain.data.readers.kitti_splits import (
    EIGEN_TEST,
    EIGEN_TRAIN,
    find_split,
    listed_frames,
    read_list,
)
from geopretrain.errors import ConfigError, DataError

TEST, OTHER, TRAIN = "2011_09_26_drive_0048_sync", "2011_09_26_drive_0002_sync", "2011_09_26_drive_0001_sync"


@pytest.fixture(scope="module")
def kitti(tmp_path_factory):
    return kitti_raw(tmp_path_factory.mktemp("data") / "kitti_raw", {TEST: 8, OTHER: 8, TRAIN: 8})


def test_the_eigen_split_has_697_frames_of_28_drives_and_33_drives_for_training():
    assert len(listed_frames("eigen-test")) == 697
    assert (len(EIGEN_TEST), len(EIGEN_TRAIN), EIGEN_TRAIN & set(EIGEN_TEST)) == (28, 33, set())
    counts = {drive: sum(one == drive for one, _ in listed_frames("eigen-test")) for drive in EIGEN_TEST}
    assert counts.pop(TEST) == 22
    assert set(counts.values()) == {25}


def test_the_frames_of_a_drive_are_those_of_the_released_list(shared_data):
    released = read_list(shared_data / "kitti_raw" / "splits" / "eigen_test_drive_0052.txt")
    drive = "2011_09_26_drive_0052_sync"
    assert released == {key: line for key, line in listed_frames("eigen-test").items() if key[0] == drive}


def test_lists_may_hold_the_paths_of_pictures(tmp_path):
    file = tmp_path / "eigen_test_files_with_gt.txt"
    lines = [
        f"2011_09_26/{OTHER}/image_02/data/0000000069.png {OTHER}/proj_depth/x/0000000069.png 721.5",
        f"2011_09_26/{OTHER}/image_02/data/0000000054.jpg None 721.5377",
        f"2011_09_26\\{OTHER}\\image_02\\data\\0000000054.jpg",
        f"2011_09_26/{OTHER}/image_03/data/0000000054.jpg",
    ]
    file.write_text("\n".join(lines) + "\n")
    assert list(read_list(file)) == [(OTHER, "69"), (OTHER, "54")]


@pytest.mark.parametrize("split", ["eigen-train", "eigen-zhou"])
def test_drives_are_chosen_by_the_name_of_a_split(kitti, split):
    (clip,) = open_source(f"{kitti}?split={split}")
    assert clip.name == TRAIN
    assert clip.listed is None
    assert (clip.listed_stride == 1) == (split == "eigen-zhou")
    assert clip.warnings == [f"1 of 33 drives of the split '{split}' are there."]


def test_frames_are_chosen_by_the_name_of_a_split(kitti):
    first, second = open_source(f"{kitti}?split=eigen-test")
    assert [first.name, second.name] == [OTHER, TEST]
    assert first.listed == {0, 3, 6}
    assert second.listed == set(range(8))
    assert first.warnings == ["11 of 697 frames of the split 'eigen-test' are there."]


def test_a_store_learns_from_the_listed_frames_and_their_neighbours_alone(kitti, tmp_path, capsys):
    lines = [
        f"2011_09_26/{TRAIN} {number} {side}" for number, side in ((0, "l"), (2, "l"), (3, "r"), (5, "l"))
    ]
    (tmp_path / "train files.txt").write_text("\n".join([*lines, "2011_09_28/absent 7 l"]) + "\n")
    store = geopretrain.prepare(
        f"{kitti}?split={tmp_path / 'train files.txt'}", tmp_path / "store", size=(64, 96), min_motion=2.9
    )
    (clip,) = store.clips
    assert clip.targets == [2, 5]  # frame 0 has no neighbour before it
    assert (clip.stride, clip.frames) == (1, list(range(8)))
    said = capsys.readouterr().out
    assert "1 frame is of the right camera and left out" in said
    assert "3 of 4 frames of the split" in said
    (summary,) = read_summary(store.path)
    assert (summary.samples, summary.unlisted, summary.at_cuts, summary.static) == (2, 4, 2, 0)


def test_a_store_of_single_images_holds_the_listed_ones(kitti, tmp_path):
    store = geopretrain.prepare(
        f"{kitti}?split=eigen-test", tmp_path / "store", still_images=True, size=(64, 96), progress=False
    )
    assert [clip.targets for clip in store.clips] == [[0, 3, 6], list(range(8))]


def test_another_list_is_another_store(kitti, tmp_path):
    list_file = tmp_path / "list.txt"
    list_file.write_text(f"2011_09_26/{TRAIN} 2 l\n2011_09_26/{TRAIN} 3 l\n")
    options = {"still_images": True, "size": (64, 96), "progress": False}
    geopretrain.prepare(f"{kitti}?split={list_file}", tmp_path / "store", **options)
    list_file.write_text(f"2011_09_26/{TRAIN} 4 l\n2011_09_26/{TRAIN} 3 l\n2011_09_26/{TRAIN} 5 l\n")
    with pytest.raises(geopretrain.errors.RunFolderError, match="other inputs or options"):
        geopretrain.prepare(f"{kitti}?split={list_file}", tmp_path / "store", **options)


def test_the_truth_is_chosen(kitti, tmp_path):
    kitti_improved(kitti.parent / "kitti_depth", "val", TEST, [5, 6], metres=20)
    (raw,) = (clip for clip in open_source(f"{kitti}?depth=raw") if clip.name == TEST)
    (released,) = (clip for clip in open_source(f"{kitti}?depth=released") if clip.name == TEST)
    (improved,) = (clip for clip in open_source(f"{kitti}?depth=improved") if clip.name == TEST)
    assert [raw.depth_indices(), improved.depth_indices()] == [list(range(8)), [5, 6]]
    assert np.unique(improved.depth(5)).tolist() == [20.0]
    first, shifted = raw.depth(2), released.depth(2)
    assert np.unique(first[first > 0]) == pytest.approx(10 + 2 * 0.5 - 0.27)
    assert np.unique(shifted[shifted > 0]) == pytest.approx(11.0)  # from the scanner, and one pixel off
    np.testing.assert_array_equal(shifted[:-1, :-1] > 0, first[1:, 1:] > 0)


def test_what_is_not_there_is_said(kitti, tmp_path):
    bare = kitti_raw(tmp_path / "bare", {TRAIN: 4}, scans=False)
    with pytest.raises(DataError, match=r"has no accumulated LiDAR.*data_depth_annotated.zip"):
        open_source(f"{bare}?depth=improved")
    with pytest.raises(DataError, match="no velodyne_points"):
        open_source(f"{bare}?depth=released")
    with pytest.raises(
        DataError, match=f"None of the 1 drives here, such as {TRAIN}, is of the split 'eigen-test'"
    ):
        open_source(f"{bare}?split=eigen-test")
    with pytest.raises(ConfigError, match="depth must be one of raw, released, improved"):
        open_source(f"{kitti}?depth=best")
    with pytest.raises(ConfigError, match="unknown option 'spilt'"):
        open_source(f"{kitti}?spilt=eigen-test")
    with pytest.raises(DataError, match="Did you mean 'eigen-test'"):
        find_split("eigen_test")
    with pytest.raises(DataError, match="which is a choice of drives"):
        listed_frames("eigen-train")
    with pytest.raises(ConfigError, match="data of this layout have no options"):
        open_source(f"{kitti / '2011_09_26' / TEST / 'image_02' / 'data'}?split=eigen-test")
    with pytest.raises(DataError, match="Prepare it without --fps"):
        geopretrain.prepare(f"{kitti}?split=eigen-test", tmp_path / "s", fps=5, progress=False)


def test_a_copy_is_checked_for_what_a_protocol_needs(kitti):
    kitti_improved(kitti.parent / "kitti_depth", "val", TEST, [5, 6])
    report = check("kitti-raw?split=eigen-test&depth=improved", kitti.parent)
    assert "11 pictures of 2 sequences by split=eigen-test, depth=improved, 2 with depth." in report.found
    assert report.missing == ["11 of 697 frames of the split 'eigen-test' are there."]
    with pytest.raises(ConfigError, match="depth must be one of"):
        check("kitti-raw?depth=best", kitti.parent)


def test_a_real_drive_has_its_part_of_the_split(shared_data):
    (clip,) = open_source(f"{shared_data / 'kitti_raw'}?split=eigen-test&depth=released")
    assert clip.warnings[-1] == "25 of 697 frames of the split 'eigen-test' are there."
    assert sorted(clip.listed & set(clip.depth_indices())) == [0, 14, 28, 42]  # scans that are there
    released, (plain,) = clip.depth(14), open_source(f"{shared_data / 'kitti_raw'}?split=eigen-test")
    assert np.median(released[released > 0]) - np.median(
        plain.depth(14)[plain.depth(14) > 0]
    ) == pytest.approx(0.27, abs=0.1)


def test_a_mistake_behind_the_path_is_told_when_it_is_inspected(kitti):
    with pytest.raises(DataError, match="Did you mean 'eigen-test'"):
        geopretrain.inspect(f"{kitti}?split=eigen-tst")
    with pytest.raises(ConfigError, match="unknown option 'splt'"):
        geopretrain.inspect(f"{kitti}?splt=eigen-test")
