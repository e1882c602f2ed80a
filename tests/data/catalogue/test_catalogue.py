"""Data sets by name: where they lie, whether they are whole, and what is said where they are not."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from native_trees import (
    bdd100k,
    camvid,
    cityscapes,
    coco_stuff,
    grey,
    halves,
    ibims,
    kitti_raw,
    kitti_semantics,
    kitti_stereo,
    nyu,
    nyu_raw,
    picture,
    sbd,
    voc,
)

from geopretrain.data.catalogue import checking, finding
from geopretrain.data.catalogue.finding import VARIABLE, found, not_found, resolved
from geopretrain.data.catalogue.table import data_set, data_sets
from geopretrain.data.dataset import NAMES
from geopretrain.data.labelled.palettes import CAMVID_32, voc_palette
from geopretrain.data.readers.detect import LAYOUTS
from geopretrain.errors import ConfigError, DataError


def test_every_data_set_says_what_it_needs_and_where_it_is_had():
    known = data_sets()
    assert {"cityscapes", "kitti-raw", "nyuv2", "voc2012", "coco", "ade20k", "lsun", "7scenes"} <= set(known)
    for one in known.values():
        assert one.parts
        assert one.folders
        assert one.page
        assert one.terms
        assert set(one.fields) <= set(NAMES)
        assert one.counted or one.count is None


@pytest.mark.parametrize("folder", ["", "Cityscapes", "street/cityscapes", "mes données"])
def test_a_data_set_is_found_in_the_root_or_two_levels_below(tmp_path, folder):
    place = cityscapes(tmp_path / folder, {"train": 4, "val": 2})
    assert found("cityscapes", tmp_path) == place
    assert resolved("cityscapes", tmp_path) == str(place)


def test_of_several_copies_the_most_complete_then_the_usual_name_is_taken(tmp_path):
    cityscapes(tmp_path / "a copy", {"train": 4, "val": 2}, depth=False)
    cityscapes(tmp_path / "other", {"train": 4, "val": 2})
    usual = cityscapes(tmp_path / "cityscapes", {"train": 4, "val": 2})
    assert found("cityscapes", tmp_path) == usual


def test_options_stand_behind_the_name(tmp_path):
    place = kitti_semantics(tmp_path / "kitti", 10)
    assert resolved("kitti-semantics?train=4", tmp_path) == f"{place}?train=4"


def test_the_root_may_be_said_once_for_all(tmp_path, monkeypatch):
    place = kitti_semantics(tmp_path / "kitti", 10)
    with pytest.raises(ConfigError, match=f"--data-root FOLDER or the variable {VARIABLE}"):
        resolved("kitti-semantics", None)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert resolved("kitti-semantics", None) == str(place)


def test_what_is_a_path_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camvid").mkdir()
    (tmp_path / "root" / "mine" / "images").mkdir(parents=True)
    for path in ("camvid", "synthetic:street", "images:x", str(tmp_path), "nobody knows it"):
        assert resolved(path, tmp_path / "root") == path
    assert resolved("mine/images", "root") == "root/mine/images"  # below the root


def test_a_root_of_the_wrong_level_is_said(tmp_path):
    place = kitti_semantics(tmp_path / "a" / "b" / "kitti", 4)
    assert f"lies deeper, in {place}" in not_found("kitti-semantics", tmp_path)
    assert f"Give {place.parent}." in not_found("kitti-semantics", tmp_path)
    inside = place / "training" / "image_2"
    assert f"lies inside KITTI semantics ({place})" in not_found("kitti-semantics", inside)
    with pytest.raises(DataError, match="wrong level"):
        resolved("kitti-semantics", tmp_path)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    said = not_found("kitti-semantics", nothing)
    assert "no training/semantic/*.png" in said
    assert "www.cvlibs.net" in said
    assert "is not a folder" in not_found("kitti-semantics", tmp_path / "nowhere")


def test_data_sets_of_frames_stand_in_the_order_of_their_readers():
    """Whoever takes a folder that holds several is the first of them."""
    kinds = [one.clips[0] for one in data_sets().values() if one.kind == "frames"]
    titles = [layout.name for layout in LAYOUTS]
    names = {"kitti_raw": "KITTI raw", "kitti_odometry": "KITTI odometry", "kitti_depth": "KITTI depth"}
    names |= {"7scenes": "7-Scenes", "cityscapes": "Cityscapes", "middlebury": "Middlebury 2014"}
    names |= {"tum_rgbd": "TUM RGB-D", "nyuv2": "NYU Depth v2", "nyuv2_raw": "NYU Depth v2, raw"}
    names |= {"kitti_stereo": "KITTI stereo"}
    places = [titles.index({**names, "ibims1": "iBims-1"}[kind]) for kind in kinds]
    assert places == sorted(places)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'cityscapes'"):
        data_set("cityscape")


def checked(monkeypatch, name, root, count):
    """Check a copy of a data set as if all of it had so many images."""
    row = data_set(name)
    smaller = {name: type(row)(**{**vars(row), "count": count, "size": None})}
    for module in (checking, finding):
        monkeypatch.setattr(module, "data_set", lambda name: smaller[name])
    return checking.check(name, root)


def test_a_whole_copy_is_whole(tmp_path, monkeypatch):
    cityscapes(tmp_path / "cityscapes", {"train": 4, "val": 2})
    report = checked(monkeypatch, "cityscapes", tmp_path, 6)
    assert report.whole
    assert "6 images are read" in report.text()
    assert "6 pictures were decoded" in report.text()
    assert report.text().endswith("is whole as far as was looked.")


def test_parts_pictures_and_samples_that_are_missing_are_said(tmp_path, monkeypatch):
    root = cityscapes(tmp_path / "cityscapes", {"train": 4, "val": 2}, depth=False)
    report = checked(monkeypatch, "cityscapes", tmp_path, 8)
    assert not report.whole
    assert any(said.startswith("2 of 8 images: 6 images are read") for said in report.missing)
    assert any("disparity_trainvaltest.zip" in said and "no fault" in said for said in report.found)
    picture = min((root / "leftImg8bit" / "train").rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:200])
    report = checked(monkeypatch, "cityscapes", tmp_path, 6)
    assert any(picture.name in said and "damaged" in said for said in report.missing)


def test_an_archive_that_was_not_unpacked_is_named(tmp_path):
    root = cityscapes(tmp_path / "cityscapes", {"train": 4, "val": 2})
    (root / "leftImg8bit").rename(tmp_path / "elsewhere")
    report = checking.check("cityscapes", tmp_path)
    assert any("leftImg8bit_trainvaltest.zip" in said for said in report.missing)


def test_fields_that_cannot_be_read_are_missing(tmp_path):
    nyu(tmp_path / "nyuv2", mapping=False)
    report = checking.check("nyuv2", tmp_path)
    assert any(said.startswith("class maps: classMapping40.mat") for said in report.missing)


def test_pictures_of_another_size_than_released_are_said(tmp_path):
    camvid(tmp_path / "camvid", CAMVID_32)
    report = checking.check("camvid-original", tmp_path)
    assert any(
        "Pictures are 64x96 px (height x width), not 720x960 as released" in said for said in report.found
    )
    assert any(said.startswith("691 of 701 images") for said in report.missing)


def test_several_data_sets_in_one_folder_are_told_apart(tmp_path):
    voc(tmp_path, voc_palette(256))
    for name, classes in (("voc2012", 1464), ("voc2012-detection", 5717)):
        report = checking.check(name, tmp_path)
        assert report.place is not None
        assert any("16 images are read" in said and str(classes) in said for said in report.missing)


TREES = {
    "bdd100k": lambda root: bdd100k(root / "bdd100k", {"train": 6, "val": 3}),
    "bdd100k-detection": lambda root: bdd100k(root / "bdd100k", {"train": 6, "val": 3}),
    "camvid-original": lambda root: camvid(root / "camvid", CAMVID_32),
    "cityscapes": lambda root: cityscapes(root / "cityscapes", {"train": 6, "val": 3}),
    "cityscapes-video": lambda root: cityscapes(root / "cityscapes", {"train": 6, "val": 3}),
    "coco-stuff": lambda root: coco_stuff(root / "coco", {"train": 6, "val": 3}),
    "ibims1": lambda root: ibims(root / "ibims1"),
    "kitti-raw": lambda root: kitti_raw(root / "kitti_raw", {"2011_09_26_drive_0001_sync": 4}),
    "kitti-semantics": lambda root: kitti_semantics(root / "kitti", 10),
    "kitti-stereo": lambda root: kitti_stereo(root / "kitti", 10),
    "kitti-stereo-2012": lambda root: kitti_stereo(root / "data_stereo_flow", 10, pictures="colored_"),
    "nyuv2": lambda root: nyu(root / "nyuv2"),
    "nyuv2-raw": lambda root: nyu_raw(
        root / "nyu_raw" / "cafe_0001",
        [(0.0, np.zeros((480, 640, 3), np.uint8))],
        [(0.0, np.full((480, 640), 800))],
    ),
    "sbd": lambda root: sbd(root / "sbd", [f"2008_{i:06d}" for i in range(9)], ["2009_000001"]),
    "voc2012": lambda root: voc(root, voc_palette(256)),
    "voc2012-detection": lambda root: voc(root, voc_palette(256)),
}


@pytest.mark.parametrize("name", TREES)
def test_a_native_tree_has_all_that_its_data_set_needs(tmp_path, name):
    TREES[name](tmp_path)
    report = checking.check(name, tmp_path)
    assert report.place is not None
    assert not [said for said in report.missing if not re.match(r"\d+ of \d+ (images|sequences): ", said)]


def test_what_a_copy_lacks_is_said_in_words(tmp_path):
    day, drive = "2011_09_26", "2011_09_26_drive_0001_sync"
    root = kitti_raw(tmp_path / "kitti_raw", {drive: 6, "2011_09_28_drive_0001_sync": 3})
    stamps = "\n".join(f"2011-09-26 13:02:{i:02d}.000000000" for i in range(8)) + "\n"
    (root / day / drive / "image_02" / "timestamps.txt").write_text(stamps)
    (root / "2011_09_28" / "calib_cam_to_cam.txt").unlink()
    projected = root / day / drive / "proj_depth" / "velodyne_raw" / "image_02"
    grey(projected / "0000000000.png", np.full((32, 48), 2560, np.uint16))
    report = checking.check("kitti-raw", tmp_path)
    assert "6 pictures of 1 sequence, 6 with depth." in report.found
    missing = "\n".join(report.missing)
    assert "6 of 8 pictures of timestamps.txt are there." in missing
    assert "2011_09_28_drive_0001_sync: " in missing
    assert "calib_cam_to_cam.txt is not there (in 2011_09_28_calib.zip)." in missing
    assert "0000000000.png as it was released: it is 32x48 px" in missing


def test_a_missing_part_is_said_once_and_not_again_as_an_unknown_layout(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / "camvid" / split / "a.png")
        grey(tmp_path / "camvid" / f"{split}annot" / "a.png", np.zeros((64, 96), np.uint8))
        (tmp_path / "camvid" / f"{split}.txt").write_text(f"{split}/a.png {split}annot/a.png\n")
    report = checking.check("camvid", tmp_path)
    assert report.missing == ["list of pictures for validation (val.txt); looked for val.txt."]


def test_a_data_set_among_others_is_not_taken_for_one_of_them(tmp_path):
    kitti_raw(tmp_path, {"2011_09_26_drive_0001_sync": 4})
    for scene in ("chess", "fire"):
        for frame in range(3):
            stem = tmp_path / scene / "seq-01" / f"frame-{frame:06d}"
            picture(stem.with_name(f"{stem.name}.color.png"), frame, (480, 640))
            grey(stem.with_name(f"{stem.name}.depth.png"), np.full((480, 640), 900, np.uint16))
            np.savetxt(stem.with_name(f"{stem.name}.pose.txt"), np.eye(4))
    report = checking.check("7scenes", tmp_path)
    assert any(
        f"{tmp_path} is read as a KITTI raw drive, which lies in it, too" in one for one in report.missing
    )
    (tmp_path / "mine").mkdir()
    for scene in ("chess", "fire"):
        (tmp_path / scene).rename(tmp_path / "mine" / scene)
    assert found("7scenes", tmp_path) == tmp_path / "mine"
    shutil.rmtree(tmp_path / "mine" / "fire")
    assert found("7scenes", tmp_path) == tmp_path / "mine" / "chess"


def test_label_maps_of_somebody_else_are_no_coco_stuff(tmp_path):
    picture(tmp_path / "mine" / "images" / "train2017" / "1.jpg")
    grey(tmp_path / "mine" / "masks" / "train2017" / "1.png", halves(0, 1))
    assert found("coco-stuff", tmp_path) is None
    coco_stuff(tmp_path / "coco", {"train": 2, "val": 1})
    assert found("coco-stuff", tmp_path) == tmp_path / "coco"
    assert "Give" in not_found("coco-stuff", tmp_path / "coco" / "stuffthingmaps")


def test_frames_are_checked_too(tmp_path):
    for frame in range(3):
        stem = tmp_path / "7scenes" / "chess" / "seq-01" / f"frame-{frame:06d}"
        picture(stem.with_name(f"{stem.name}.color.png"), frame, (480, 640))
        np.savetxt(stem.with_name(f"{stem.name}.pose.txt"), np.eye(4))
    report = checking.check("7scenes", tmp_path)
    assert any("frame-*.depth.png" in said for said in report.missing)
    assert any(said.startswith("45 of 46 sequences: 1 sequence is read") for said in report.missing)


@pytest.mark.skipif(not os.environ.get("GEOPRETRAIN_TEST_DATA"), reason="no real data")
@pytest.mark.parametrize("name", ["camvid", "ade20k", "kitti-raw", "7scenes", "tum-rgbd", "kitti-flow"])
def test_samples_of_real_data_are_found_and_decoded(name):
    root = Path(os.environ["GEOPRETRAIN_TEST_DATA"])
    report = checking.check(name, root)
    assert report.place is not None
    assert not [said for said in report.missing if " of " not in said]  # fewer than all of it, nothing else
    assert "decoded as a sample" in report.text()
