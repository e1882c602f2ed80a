"""Letters of all scripts in pictures: a font that has them, else spelt; never boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path

from geopretrain import pictures
from geopretrain.pictures import text as letters
from geopretrain.pictures.right_to_left import in_drawing_order

CAR = "\u8f66"  # a car in Chinese


@pytest.fixture
def fonts(monkeypatch):
    """Set the fonts that the system has; nothing is remembered of others."""

    def use(*found):
        for name in ("font", "_font_with", "_tell"):
            getattr(letters, name).cache_clear()
        letters._told.clear()
        monkeypatch.setattr(letters, "system_fonts", lambda: found)

    yield use
    monkeypatch.undo()
    for name in ("font", "_font_with", "_tell"):
        getattr(letters, name).cache_clear()


def test_alphabets_that_the_usual_font_has_stay_as_they_are(fonts, capsys):
    fonts()
    for text in ("road", "дорога", "Straße", "δρόμος", "đường"):
        assert letters.legible(text) == text
    assert letters.families("дорога") == ["DejaVu Sans"]
    assert capsys.readouterr().out == ""


def test_letters_without_a_font_are_spelt_and_that_is_said_once(fonts, capsys):
    fonts()
    assert letters.legible(f"{CAR}{CAR} 1") == "U+8F66 U+8F66 1"
    assert letters.legible(CAR) == "U+8F66"
    assert letters.legible("\u30ab\u30fc") == "kaU+30FC"  # katakana
    assert letters.legible("\ub3c4\ub85c") == "doro"  # a road in Korean
    said = capsys.readouterr().out
    assert said.count("No font of this system has all letters of") == 3  # of three scripts
    assert f"'{CAR}{CAR} 1': in pictures it stands as 'U+8F66 U+8F66 1'" in " ".join(said.split())


def test_a_font_of_the_system_that_has_the_letters_is_taken(fonts, tmp_path, capsys):
    letter = "\u210a"  # a script g, which STIX has
    stix = ("STIXGeneral", str(Path(get_data_path(), "fonts", "ttf", "STIXGeneral.ttf")))
    fonts(("Gone", str(tmp_path / "gone.ttf")), stix)
    assert letters.legible(f"{letter}ab") == f"{letter}ab"
    assert letters.families(letter) == ["DejaVu Sans", "STIXGeneral"]
    assert letters.font(12, letter).getname()[0] == "STIXGeneral"
    strip = pictures.legend([letter], np.array([[255, 0, 0]], np.uint8), 60)
    assert (strip[:, 20:] < 160).all(2).sum() > 5  # it is drawn
    drawn = pictures.draw_detections(np.zeros((64, 96, 3), np.uint8), [[5, 20, 60, 60]], [0], names=[letter])
    assert drawn.shape == (64, 96, 3)
    assert capsys.readouterr().out == ""


def test_a_confusion_matrix_takes_names_of_any_script(fonts):
    fonts()
    drawn = pictures.draw_confusion(np.eye(3), [CAR, "дорога", "\u0633\u064a\u0627\u0631\u0629"])
    assert drawn.shape[2] == 3


def test_arabic_is_joined_and_drawn_from_right_to_left():
    car = "\u0633\u064a\u0627\u0631\u0629"  # seen, yeh, alef, reh, teh marbuta
    drawn = (
        "\ufe93\u0631\ufe8e\ufef4\ufeb3"  # isolated teh, (isolated) reh, final alef, medial yeh, initial seen
    )
    assert in_drawing_order(car).replace("\ufead", "\u0631") == drawn
    assert in_drawing_order(f"{car} 87%") == f"87% {in_drawing_order(car)}"
    assert in_drawing_order(f"class {car} 3") == f"class {in_drawing_order(car)} 3"
    no = "\u0644\u0627"  # lam, alef: one letter
    assert in_drawing_order(no) == "\ufefb"
    assert in_drawing_order("\u05e2\u05e5") == "\u05e5\u05e2"  # a tree in Hebrew
    vowel = "\u0628\u064e\u0628"  # beh with fatha, beh
    assert in_drawing_order(vowel) == "\ufe90\ufe91\u064e"
    assert in_drawing_order("road 3, left") == "road 3, left"


def test_shortened_names_end_as_they_are_read(fonts):
    fonts()
    shown, _ = letters.fitted("\u05d0\u05d1\u05d2\u05d3\u05d4\u05d5\u05d6\u05d7" * 6, 60)
    assert shown.startswith("…")  # on the left, where reading ends
    assert shown.endswith("\u05d0")
