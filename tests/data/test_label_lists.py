"""Names of chosen images are found among those of a data set, or refused in words."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.data.dataset import IMAGES
from geopretrain.data.label_lists import listed_subset
from geopretrain.errors import DataError, OptionError


class Named:
    """A data set that only knows names and splits."""

    def __init__(self, train, val=(), test=()):
        self.all = [*test, *train, *val]
        start = len(test)
        self.of = {
            "train": np.arange(start, start + len(train)),
            "val": np.arange(start + len(train), len(self.all)),
            "test": np.arange(start),
        }

    def splits(self, fields):
        return self.of

    def names(self, indices):
        return [self.all[k] for k in indices]


CAMVID = Named(
    ["train/a_1.png", "train/a_2.png", "train/b_1.png"], val=["val/a_3.png"], test=["test/c_1.png"]
)
CLIPS = Named(["001_drive.mp4_000042.png", "002_walk.mp4_000007.png", "notes_7.png"])


def write(tmp_path, *lines):
    file = tmp_path / "chosen.txt"
    file.write_text("\n".join(lines))
    return str(file)


@pytest.mark.parametrize(
    ("data", "lines", "expected"),
    [
        (CAMVID, ["train/b_1.png", "train/a_1.png"], [2, 0]),
        (CAMVID, ["b_1.png", "a_2"], [2, 1]),
        (CAMVID, ["# chosen", "", "/data/camvid/train/a_2.jpg"], [1]),
        (CAMVID, ["train\\a_2.png"], [1]),
        (CLIPS, ["walk.mp4/000007", "drive.mp4/000042"], [1, 0]),
        (CLIPS, ["001_drive.mp4_000042.png"], [0]),
        (Named(["drive.mp4/000001", "walk.mp4/000001"]), ["walk.mp4/000001"], [1]),
        (Named(["a.png", "a.jpg"]), ["a.jpg", "a.png"], [1, 0]),
        (Named(["x/walk.v2.png", "x/walk.png"]), ["walk.v2", "walk"], [0, 1]),
        (Named(["1.png", "x/1.png"]), ["1.png", "x/1.png"], [0, 1]),
    ],
)
def test_names_are_found(tmp_path, data, lines, expected):
    assert listed_subset(data, IMAGES, write(tmp_path, *lines), None) == expected
    assert listed_subset(data, IMAGES, write(tmp_path, *lines), 1) == expected[:1]


def test_the_folder_of_a_choice_will_do(tmp_path):
    (tmp_path / "selected.txt").write_text("train/b_1.png")
    assert listed_subset(CAMVID, IMAGES, str(tmp_path), None) == [2]


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no selected\.txt.*data select"):
        listed_subset(CAMVID, IMAGES, str(tmp_path), None)


@pytest.mark.parametrize(
    ("data", "lines", "said"),
    [
        (CAMVID, ["a_1", "a_9"], r"\(3 images such as train/a_1.png, train/a_2.png\). line 2: 'a_9' is none"),
        (CAMVID, ["c_1.png"], "line 1: 'c_1.png' is of the test split, which is not learned from"),
        (CAMVID, ["val/a_3.png"], "is of the val split"),
        (CAMVID, ["a_1", "train/a_1.png"], "line 2: 'train/a_1.png' is the image of line 1, too"),
        (Named(["x/1.png", "y/1.png"]), ["1.png"], "may be x/1.png or y/1.png; write the whole name"),
        (Named(["x/a.png", "x/a.jpg"]), ["x/a"], "may be x/a.png or x/a.jpg; write the whole name"),
        (CAMVID, ["p", "q", "r", "s", "t"], "'r' is none of them; and 2 more"),
        (CAMVID, ["# nothing"], "lists no image"),
    ],
)
def test_what_is_no_training_image_is_refused(tmp_path, data, lines, said):
    with pytest.raises(DataError, match=said):
        listed_subset(data, IMAGES, write(tmp_path, *lines), None)


def test_more_than_are_listed_and_files_that_are_not_there(tmp_path):
    with pytest.raises(OptionError, match=r"asks for 3 images, and .* lists 2"):
        listed_subset(CAMVID, IMAGES, write(tmp_path, "a_1", "a_2"), 3)
    with pytest.raises(DataError, match="cannot be read"):
        listed_subset(CAMVID, IMAGES, str(tmp_path / "none.txt"), None)
