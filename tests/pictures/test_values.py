from __future__ import annotations

import numpy as np

from geopretrain.pictures.lines import COLOURS
from geopretrain.pictures.values import draw_values


def colour(name):
    return np.array([int(name[i : i + 2], 16) for i in (1, 3, 5)])


def has(picture, name):
    return (np.abs(picture.astype(int) - colour(name)).max(-1) < 12).sum() > 20


def test_each_kind_has_a_line_of_its_colour_also_without_spread():
    lines = {
        "ImageNet": {5.0: (0.2, 0.01), 100.0: (0.1, 0.01)},
        "d": {5.0: (0.15, float("nan")), 100.0: (0.09, float("nan"))},
    }
    picture = draw_values(lines, across="percent", up="Abs Rel")
    assert picture.dtype == np.uint8
    assert [has(picture, one) for one in COLOURS[:3]] == [True, True, False]


def test_better_values_are_drawn_where_they_are():
    one = draw_values({"a": {1.0: (0.0, 0.0), 10.0: (1.0, 0.0)}}, across="x", up="y")
    rows, columns = np.nonzero(np.abs(one.astype(int) - colour(COLOURS[0])).max(-1) < 12)
    left = columns < np.quantile(columns, 0.2)
    right = columns > np.quantile(columns, 0.8)
    assert rows[left].mean() > rows[right].mean(), "what is more is higher"
