"""Sizes, counts and numbers are written in one way."""

import re
from pathlib import Path

import geopretrain
from geopretrain.study.measures import ABS_REL, MIOU
from geopretrain.wording import MINUS, counted, in_megabytes, in_px, metric, number, sides


def test_heights_come_first_as_options_take_them():
    assert sides((64, 96, 3)) == "64x96"
    assert in_px((64, 96)) == "64x96 px (height x width)"


def test_one_thing_has_no_plural():
    assert [counted(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


def test_sizes_are_in_a_unit_that_fits_them():
    said = [in_megabytes(size) for size in (0.42, 2.89, 250.4, 2500)]
    assert said == ["0.4 MB", "2.9 MB", "250 MB", "2.5 GB"]


def test_numbers_have_the_names_of_the_field():
    known = {"rank_me": "RankMe", "probe_miou": "probe mIoU", "top1": "top-1", "abs_rel": "AbsRel"}
    assert {name: metric(name) for name in known} == known
    assert metric("probe_pixel_accuracy") == "probe pixel accuracy"


def test_numbers_have_a_real_minus():
    shown = [number(value, "+z.3f") for value in (-0.6951, -0.0001, 0.6951)]
    assert shown == ["\N{MINUS SIGN}0.695", "+0.000", "+0.695"]
    assert number(-2, "g") == "\N{MINUS SIGN}2"


SOURCE = Path(geopretrain.__file__).parent
SIGNED = re.compile(r"\{[^{}]*:[^{}]*\+(?!z)[^{}]*\.[^{}]*[feg%]\}")
"""A format of a difference, which may round to zero from below, and is then written -0.000 without a z."""


def test_what_rounds_to_zero_has_no_sign_of_its_own():
    for measure in (MIOU, ABS_REL):
        for value in (-0.0, -1e-9):
            assert not measure.show(value).startswith(MINUS)
            assert measure.show(value, sign=True).startswith("+0.0")
    assert SIGNED.search('f"{mean:+.3f}"')
    assert not SIGNED.search('f"{mean:+z.3f}"')
    for file in sorted(SOURCE.rglob("*.py")):
        assert not (found := SIGNED.search(file.read_text(encoding="utf-8"))), f"{file}: {found[0]}"
