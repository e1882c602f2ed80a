"""Sizes, counts and numbers are written in one way."""

from geopretrain.wording import counted, in_px, metric, sides


def test_heights_come_first_as_options_take_them():
    assert sides((64, 96, 3)) == "64x96"
    assert in_px((64, 96)) == "64x96 px (height x width)"


def test_one_thing_has_no_plural():
    assert [counted(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


def test_numbers_have_the_names_of_the_field():
    known = {"rank_me": "RankMe", "probe_miou": "probe mIoU", "top1": "top-1", "abs_rel": "AbsRel"}
    assert {name: metric(name) for name in known} == known
    assert metric("probe_pixel_accuracy") == "probe pixel accuracy"
