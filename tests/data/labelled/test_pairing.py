"""Images and labels belong together by their names, in whatever folders."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.labelled.pairing import pairing
from geopretrain.errors import DataError


def write(root, names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)


def shown(root, pairs):
    return [tuple(path.relative_to(root).as_posix() for path in pair) for pair in pairs]


def test_sub_folders_are_part_of_the_name(tmp_path):
    write(tmp_path, ["images/b/0.jpg", "images/a/0.jpg", "images/1.jpg"])
    write(tmp_path, ["labels/a/0.png", "labels/b/0.png", "labels/1.png"])
    found = pairing(tmp_path / "images", tmp_path / "labels")
    assert shown(tmp_path, found.pairs) == [
        ("images/1.jpg", "labels/1.png"),
        ("images/a/0.jpg", "labels/a/0.png"),
        ("images/b/0.jpg", "labels/b/0.png"),
    ]
    assert found.sentences() == ()


def test_a_word_behind_all_names_of_labels_is_no_part_of_them(tmp_path):
    write(tmp_path, ["images/1.jpg", "images/10.jpg", "labels/1_mask.png", "labels/10_mask.png"])
    found = pairing(tmp_path / "images", tmp_path / "labels")
    assert [label.name for _, label in found.pairs] == ["1_mask.png", "10_mask.png"]
    assert found.sentences() == ("labels have '_mask' behind the name of their image",)
    write(tmp_path, ["images/2.jpg"])
    with pytest.raises(DataError, match=r"1 of 3 images .* have no label there .* 2.jpg for example"):
        pairing(tmp_path / "images", tmp_path / "labels")


def test_several_kinds_of_labels_are_refused(tmp_path):
    write(tmp_path, ["images/1.jpg", "labels/1_colour.png", "labels/1_ids.png"])
    with pytest.raises(DataError, match=r"1.jpg .* has several labels: 1_colour.png and 1_ids.png"):
        pairing(tmp_path / "images", tmp_path / "labels")


def test_other_names_are_told(tmp_path):
    write(tmp_path, ["images/img_1.jpg", "labels/mask_1.png"])
    with pytest.raises(DataError, match=r"other names, such as mask_1.png.*\(img_1.png\)"):
        pairing(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "labels" / "mask_1.png").unlink()
    with pytest.raises(DataError, match="No picture is in it"):
        pairing(tmp_path / "images", tmp_path / "labels")


def test_labels_without_a_picture_are_said(tmp_path):
    names = [f"{number}.png" for number in range(5)]
    write(tmp_path, [f"images/{name}" for name in names[1:]] + [f"labels/{name}" for name in names])
    (tmp_path / "classes.txt").write_text("a\nb\n")
    said = LabelledSet.open(tmp_path).describe().in_words(remarks=True)
    assert "1 label has no image (0.png)" in said


def test_pictures_of_kinds_that_are_not_read_are_named(tmp_path):
    write(tmp_path, ["images/1.jpg", "labels/1.png", "labels/2.png"])
    (tmp_path / "images" / "2.heic").write_bytes(b"0000ftypheic")
    [orphan, unread] = pairing(tmp_path / "images", tmp_path / "labels").sentences()
    assert "1 label has no image" in orphan
    assert "2.heic is of a kind that is not read" in unread
    (tmp_path / "images" / "1.jpg").rename(tmp_path / "images" / "1.HEIC")
    with pytest.raises(DataError, match=r"2 pictures in .* not read \(1\.HEIC, for example\): convert"):
        pairing(tmp_path / "images", tmp_path / "labels")


def test_images_and_labels_in_one_folder_are_told_how_to_lie(tmp_path):
    write(tmp_path, ["1.jpg", "1_mask.png", "2.jpg", "2_mask.png"])
    with pytest.raises(DataError) as caught:
        LabelledSet.open(tmp_path)
    said = str(caught.value)
    assert "holds 4 pictures, and nothing says which are images and which are labels" in said
    for place in ("images/1.jpg", "labels/1_mask.png", "classes.txt"):
        assert str(tmp_path / place) in said
    assert "a list of lines '1.jpg 1_mask.png'" in said


@pytest.mark.parametrize("given", ["", "all", "all/mine/labels", "all/mine/images/train"])
def test_a_folder_of_the_wrong_level_is_told_the_right_one(tmp_path, given):
    mine = tmp_path / "all" / "mine"
    write(mine, ["images/train/1.jpg", "labels/train/1.png"])
    with pytest.raises(DataError, match=r"no known .* but .*mine is one \(images and labels\).* wrong level"):
        LabelledSet.open(tmp_path / given)
