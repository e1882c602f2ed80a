"""Class maps as people have them: palettes in any order, ids of any kind, masks that lie on their side."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.labelled.class_maps import (
    read_labels,
    refuse_mixed_palettes,
    some_transparent,
    what_labels_hold,
)
from geopretrain.data.labelled.classes import read_classes
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError

COLOURS = np.array([[0, 0, 0], [250, 120, 10], [10, 250, 120], [120, 10, 250]], np.uint8)
CODED = "ground 0 0 0\nred 250 120 10\ngreen 10 250 120\nblue 120 10 250\n"
PLAIN = "ground\nred\ngreen\nblue\n"


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 4, (8, 12)), np.ones((8, 8), int)).astype(np.uint8)


def classes(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    return read_classes(tmp_path / "classes.txt")


def palette_picture(path, ids, colours):
    picture = Image.fromarray(ids, mode="P")
    picture.putpalette(np.asarray(colours, np.uint8).tobytes())
    picture.save(path)
    return path


def in_order(numbers, order):
    """Return ids and palette that draw the classes in another order of ids."""
    place = np.argsort(order)
    return place[numbers].astype(np.uint8), COLOURS[order]


@pytest.mark.parametrize("width", [1, 7, 64])
def test_every_pixel_of_maps_without_runs_has_its_class(tmp_path, width):
    numbers = np.random.default_rng(1).integers(0, 4, (9, width)).astype(np.uint8)
    Image.fromarray(COLOURS[numbers]).save(tmp_path / "colours.png")
    assert (read_labels(tmp_path / "colours.png", classes(tmp_path, CODED)) == numbers).all()
    large = np.array([0, 3, 300, 65535], np.int32)
    Image.fromarray(large[numbers]).save(tmp_path / "ids.tif")
    listed = classes(tmp_path, "0: ground\n3: red\n300: green\n65535: blue\n")
    assert (read_labels(tmp_path / "ids.tif", listed) == numbers).all()


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 0, 2, 1]])
def test_palettes_whose_colours_are_those_of_the_list_are_read_by_them(tmp_path, numbers, order):
    path = palette_picture(tmp_path / "a.png", *in_order(numbers, order))
    assert (read_labels(path, classes(tmp_path, CODED)) == numbers).all()


def test_palettes_of_other_colours_hold_ids(tmp_path, numbers):
    foreign = np.arange(12).reshape(4, 3) * 20 + 7
    path = palette_picture(tmp_path / "a.png", numbers, foreign)
    assert (read_labels(path, classes(tmp_path, CODED)) == numbers).all()
    path = palette_picture(tmp_path / "b.png", *in_order(numbers, [3, 0, 2, 1]))
    assert (read_labels(path, classes(tmp_path, PLAIN)) == np.argsort([3, 0, 2, 1])[numbers]).all()


def test_a_palette_that_contradicts_its_ids_is_refused(tmp_path, numbers):
    ids, colours = in_order(numbers, [1, 0, 2, 3])
    colours = colours.copy()
    colours[3] = 9, 9, 99
    path = palette_picture(tmp_path / "a.png", ids, colours)
    with pytest.raises(DataError, match=r"its id 0 is 'ground', but its palette draws it as 'red'.*9 9 99"):
        read_labels(path, classes(tmp_path, CODED))


def test_palettes_made_for_each_picture_are_refused_without_colours_in_the_list(tmp_path, numbers):
    first = palette_picture(tmp_path / "a.png", *in_order(numbers, [0, 1, 2, 3]))
    other = palette_picture(tmp_path / "b.png", *in_order(numbers, [3, 0, 2, 1]))
    with pytest.raises(DataError, match=r"ids mean different things.*'name R G B'"):
        refuse_mixed_palettes([first, other], classes(tmp_path, PLAIN))
    refuse_mixed_palettes([first, other], classes(tmp_path, CODED))
    refuse_mixed_palettes([first, first], classes(tmp_path, PLAIN))


def test_ids_below_zero_and_far_above(tmp_path, numbers):
    stored = numbers.astype(np.int32)
    stored[:4], stored[4:8] = -1, 4_000_000
    path = tmp_path / "a.tif"
    Image.fromarray(stored).save(path)
    with pytest.raises(DataError, match=r"holds the id -1.*'-1: ignore'"):
        read_labels(path, classes(tmp_path, PLAIN))
    read = read_labels(path, classes(tmp_path, f"{PLAIN}-1: ignore\n4000000: far\n"))
    assert (read[:4] == 255).all()
    assert (read[4:8] == 4).all()
    assert (read[8:] == numbers[8:]).all()


@pytest.mark.parametrize(
    "text", ["1 ground\n2 red\n3 green\n4 blue\n", "1\tground\n2\tred\n3\tgreen\n4\tblue"]
)
def test_ids_before_names_need_no_colon(tmp_path, numbers, text):
    Image.fromarray(numbers + 1).save(tmp_path / "a.png")
    listed = classes(tmp_path, text)
    assert listed.names == ("ground", "red", "green", "blue")
    assert (read_labels(tmp_path / "a.png", listed) == numbers).all()
    assert classes(tmp_path, "2 wheeler\ncar\n").names == ("2 wheeler", "car")
    with pytest.raises(DataError, match="the id goes before the name"):
        classes(tmp_path, "ground 1\nred 2\n")


def test_labels_with_a_note_of_orientation_are_turned_as_pictures_are(tmp_path, numbers):
    rng = np.random.default_rng(1)
    for number in range(4):
        image = rng.integers(0, 255, (*numbers.shape, 3), dtype=np.uint8)
        for folder, values in (("images", image), ("labels", numbers)):
            (tmp_path / folder).mkdir(exist_ok=True)
            lying = Image.fromarray(values).rotate(90, expand=True)
            lying.getexif()[0x0112] = 6
            lying.save(tmp_path / folder / f"{number}.png", exif=lying.getexif())
    (tmp_path / "classes.txt").write_text(PLAIN)
    data = LabelledSet.open(tmp_path, numbers.shape)
    rows = data.splits()["train"]
    data.check(rows, LABELS)
    assert (data.read(rows).labels.numpy() == numbers).all()
    Image.fromarray(numbers).rotate(90, expand=True).save(tmp_path / "labels" / "0.png")
    with pytest.raises(DataError, match=r"lies on its side.*EXIF"):
        LabelledSet.open(tmp_path, numbers.shape).check(range(4), LABELS)


BARE = CODED.replace("ground 0 0 0", "ground 90 90 90")
"""A list in which black, what is beneath transparent pixels, is no class."""


def with_alpha(numbers, alpha, beneath=(0, 0, 0)):
    """Return colours of the list BARE with an alpha channel."""
    colours = np.array([[90, 90, 90], *COLOURS[1:]], np.uint8)[numbers]
    colours[alpha == 0] = beneath
    return Image.fromarray(np.dstack([colours, alpha]))


class TestTransparency:
    @pytest.mark.parametrize(("name", "how"), [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})])
    @pytest.mark.parametrize("alpha", [255, 120])
    def test_an_even_alpha_leaves_colours_as_they_are(self, tmp_path, numbers, name, how, alpha):
        with_alpha(numbers, np.full_like(numbers, alpha)).save(tmp_path / name, **how)
        assert (read_labels(tmp_path / name, classes(tmp_path, BARE)) == numbers).all()

    @pytest.mark.parametrize(("name", "how"), [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})])
    def test_what_is_transparent_is_of_no_class(self, tmp_path, numbers, name, how):
        alpha = np.where(np.arange(numbers.shape[1]) < 20, 0, 255) * np.ones_like(numbers)
        with_alpha(numbers, alpha.astype(np.uint8)).save(tmp_path / name, **how)
        read = read_labels(tmp_path / name, classes(tmp_path, BARE))
        assert (read == np.where(alpha == 0, 255, numbers)).all()
        listed = classes(tmp_path, BARE)
        assert some_transparent([tmp_path / name], listed)
        assert not some_transparent([palette_picture(tmp_path / "b.png", numbers, COLOURS)], listed)

    def test_colours_of_a_class_beneath_and_soft_edges_are_refused(self, tmp_path, numbers):
        alpha = np.full_like(numbers, 255)
        alpha[:9] = 0
        path, listed = tmp_path / "a.png", classes(tmp_path, BARE)
        with_alpha(numbers, alpha, beneath=(250, 120, 10)).save(path)
        with pytest.raises(
            DataError, match=r"has the colour 250 120 10 of 'red' there.*without transparency"
        ):
            read_labels(path, listed)
        alpha[9] = 128
        with_alpha(numbers, alpha).save(path)
        with pytest.raises(DataError, match=r"more and less transparent \(alpha 128 to 255\)"):
            read_labels(path, listed)

    def test_of_ids_too(self, tmp_path, numbers):
        alpha, path = np.full_like(numbers, 255), tmp_path / "a.png"
        alpha[:9] = 0
        Image.fromarray(np.dstack([np.where(alpha == 0, 77, numbers).astype(np.uint8), alpha])).save(path)
        read = read_labels(path, classes(tmp_path, PLAIN))
        assert (read == np.where(alpha == 0, 255, numbers)).all()
        Image.fromarray(np.dstack([numbers, alpha])).save(path)
        with pytest.raises(DataError, match="has the id 0 of 'ground' there"):
            read_labels(path, classes(tmp_path, PLAIN))
        Image.fromarray(np.dstack([numbers * 0, alpha * 0])).save(path)
        assert (read_labels(path, classes(tmp_path, "1: a\n2: b\n")) == 255).all()

    def test_of_palettes_read_by_their_colours_and_of_one_colour(self, tmp_path, numbers):
        path, listed = tmp_path / "a.png", classes(tmp_path, BARE)
        picture = Image.fromarray(numbers, mode="P")
        picture.putpalette(np.array([[1, 2, 3], *COLOURS[1:]], np.uint8).tobytes())
        picture.save(path, transparency=0)
        expected = np.where(numbers == 0, 255, numbers)
        assert (read_labels(path, listed) == expected).all()
        assert (read_labels(path, classes(tmp_path, PLAIN)) == numbers).all(), "ids stand whatever is shown"
        picture.convert("RGB").save(path, transparency=(1, 2, 3))
        assert (read_labels(path, listed) == expected).all()

    def test_it_is_said(self, tmp_path, numbers):
        alpha = np.full_like(numbers, 255)
        alpha[:9] = 0
        for k in range(4):
            for folder in ("images", "labels"):
                (tmp_path / folder).mkdir(exist_ok=True)
                with_alpha(numbers, alpha).save(tmp_path / folder / f"{k}.png")
        (tmp_path / "classes.txt").write_text(BARE)
        said = " ".join(LabelledSet.open(tmp_path, numbers.shape).describe().sentences)
        assert "labels are of no class where they are transparent" in said

    def test_a_webp_with_loss_is_known_behind_its_alpha(self, tmp_path, numbers):
        alpha = np.random.default_rng(0).integers(0, 256, numbers.shape, dtype=np.uint8)
        with_alpha(numbers, alpha).save(tmp_path / "a.webp", quality=80)
        with pytest.raises(DataError, match="packed with loss"):
            read_labels(tmp_path / "a.webp", classes(tmp_path, BARE))


def test_what_labels_hold_is_said(tmp_path, numbers):
    def said(values):
        Image.fromarray(values).save(tmp_path / "a.png")
        return what_labels_hold([tmp_path / "a.png"])

    assert said(numbers).startswith("The first labels hold the ids 0-3: the first line is the name of 0")
    assert said(numbers // 2 * 255) == "The first labels hold the ids 0, 255: write 'id: name' for each."
    assert "0 0 0, 10 250 120, 120 10 250, 250 120 10: write 'name R G B'" in said(COLOURS[numbers])
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert what_labels_hold([tmp_path / "a.png"]) == ""
