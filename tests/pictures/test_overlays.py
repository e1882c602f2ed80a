"""Class maps, boxes and errors over pictures, and what their colours mean."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain import pictures
from geopretrain.pictures.text import fitted

GREY_LARGE = np.full((128, 128, 3), 90, np.uint8)
GREY = np.full((40, 120, 3), 100, np.uint8)
COLOURS = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)


def colours_of(picture):
    return {tuple(one) for one in picture.reshape(-1, 3).tolist()}


def test_pixels_without_a_class_stay_as_they_are_and_the_legend_has_the_classes_that_are_there():
    labels = np.full((40, 120), 255)
    labels[:20], labels[20:30] = 0, 2
    bare = pictures.overlay_labels(GREY, labels, colours=COLOURS)
    assert bare.shape == GREY.shape
    assert (bare[30:] == GREY[30:]).all()
    assert bare[0, 0].tolist() == [155, 45, 45]  # 0.55 of the colour
    assert bare[25, 0].tolist() == [45, 45, 155]
    named = pictures.overlay_labels(GREY, labels, ["road", "car", "sky"], COLOURS)
    assert (named[:40] == bare).all()
    assert {(200, 0, 0), (0, 0, 200)} <= colours_of(named[40:])
    assert (0, 200, 0) not in colours_of(named[40:])
    assert pictures.overlay_labels(GREY, np.full((40, 120), 255), ["a"]).shape == GREY.shape


def test_negative_and_too_large_ids_are_no_classes():
    labels = np.tile([-1, 3, 254], (40, 40))
    assert (pictures.overlay_labels(GREY, labels, colours=COLOURS) == GREY).all()


@pytest.mark.parametrize("width", [20, 60, 1000])
def test_a_legend_has_the_width_or_that_of_its_names_and_every_colour(width):
    names = ["a very long name of a class", "日本", ""]
    strip = pictures.legend(names, COLOURS, width)
    whole = pictures.legend(names[:1], COLOURS[:1], 1).shape[1]
    assert strip.shape[1] == max(width, whole)
    assert whole > 150
    assert pictures.legend(["x" * 500], COLOURS[:1], 1).shape[1] < 250  # then it is shortened
    assert {tuple(one) for one in COLOURS.tolist()} <= colours_of(strip)


def test_numbers_and_words_of_a_bar_are_there_under_a_picture_of_any_width():
    ink = [
        (pictures.colour_bar((0.0, 123.0), "error in m", width)[18:] < 128).sum() for width in (1, 60, 300)
    ]
    assert ink[0] == ink[1] == ink[2] > 0


def test_boxes_and_masks_have_the_colour_of_their_class():
    masks = np.zeros((2, 40, 120), bool)
    masks[0, 22:28, 5:10] = True
    drawn = pictures.draw_detections(
        GREY, [[2, 20, 30, 38], [60, 20, 500, 90]], [0, 2], masks=masks, colours=COLOURS
    )
    assert drawn.shape == GREY.shape
    assert drawn[38, 15].tolist() == [200, 0, 0]
    assert drawn[39, 100].tolist() == [0, 0, 200]  # the edge of the picture, not beyond
    assert drawn[25, 7].tolist() == [145, 55, 55]  # 0.45 of the colour
    assert drawn[35, 20].tolist() == [100, 100, 100]
    assert (GREY == 100).all()


def test_no_boxes_leave_the_picture_as_it_is_and_odd_boxes_can_be_drawn():
    assert (pictures.draw_detections(GREY, np.zeros((0, 4)), scores=[]) == GREY).all()
    odd = [[30, 30, 10, 10], [-5, -5, -1, -1], [5, 5, 5, 5]]
    assert pictures.draw_detections(GREY, odd, [0, 1, 9], names=["a"], scores=[0.1, 1, 0.5]).any()


def test_likelier_things_are_drawn_over_others():
    boxes = [[2, 2, 90, 30], [2, 2, 90, 30]]
    for scores, colour in (([0.9, 0.1], [200, 0, 0]), ([0.1, 0.9], [0, 0, 200])):
        drawn = pictures.draw_detections(GREY, boxes, [0, 2], scores=scores, colours=COLOURS)
        assert drawn[30, 50].tolist() == colour


def test_errors_go_from_blue_to_red_and_unmeasured_pixels_are_grey():
    error = np.linspace(0, 2, 101)[None].repeat(3, 0)
    error[2] = np.nan
    picture = pictures.error_map(error, 1.0).astype(int)
    assert picture[0, 0, 2] > picture[0, 0, 0]  # blue
    assert picture[0, 100, 0] > picture[0, 100, 2] + 100  # red
    assert (picture[0, 50:] == picture[0, 100]).all()  # what is larger stays red
    assert (picture[2] == 128).all()
    assert (pictures.error_map(np.full((3, 4), np.nan)) == 128).all()
    assert (pictures.error_map(np.zeros((3, 4))) == picture[0, 0]).all()


@pytest.mark.parametrize(
    "draw",
    [lambda error: pictures.error_map(error, 1.0), lambda error: pictures.colour_depth(error, (0.0, 1.0))],
)
def test_single_points_are_widened_by_the_nearest(draw):
    error = np.full((9, 9), np.nan)
    error[4, 2], error[4, 6] = 0.0, 1.0
    one = draw(error)
    known = (one != 128).any(-1)
    assert known.sum() == 10
    assert known[4, 1:4].all()
    assert (one[4, 3] == one[4, 2]).all()
    assert (one[4, 5] == one[4, 6]).all()
    error[:3] = 0.5  # 29 of 81: no longer single points
    assert (draw(error) != 128).any(-1).sum() == 29


def test_a_bar_says_what_the_colours_of_an_error_mean():
    bare = pictures.error_map(np.ones((10, 200)), 2.0)
    with_bar = pictures.error_map(np.ones((10, 200)), 2.0, what="error, m")
    assert with_bar.shape[1] == 200
    assert (with_bar[:10] == bare).all()
    row = with_bar[14 + 5].astype(int)
    assert row[3, 2] > row[3, 0]
    assert row[-4, 0] > row[-4, 2]


def test_edges_missed_found_and_both_differ():
    true, found = np.zeros((40, 120), np.uint8), np.zeros((40, 120), np.uint8)
    true[5], found[10], true[20], found[20] = 1, 1, 1, 1
    drawn = pictures.edge_map(GREY, true, found, key=False)
    assert len({tuple(drawn[row, 0].tolist()) for row in (0, 5, 10, 20)}) == 4
    assert drawn[0, 0, 0] > GREY[0, 0, 0]
    assert pictures.edge_map(GREY, true, found).shape[0] > 40


def test_a_confusion_matrix_is_dark_where_classes_are_taken_for_each_other():
    names = ["road", "a class with quite a long name that is cut", "$x_1", "none"]
    drawn = pictures.draw_confusion(np.diag([5, 6, 7, 0]), names)
    assert drawn.dtype == np.uint8
    dark_blue = (drawn.astype(int).sum(-1) < 180) & (drawn[..., 2] > drawn[..., 0] + 60)
    grey = (drawn == round(0.85 * 255)).all(-1)
    assert dark_blue.sum() > 2 * 400
    assert grey.sum() > 1000
    other = pictures.draw_confusion(np.diag([50, 60, 70, 0]), names)
    assert (other == drawn).all()  # fractions of each row, not counts


def test_many_classes_fit_into_a_picture():
    drawn = pictures.draw_confusion(np.eye(150), [f"class {i}" for i in range(150)])
    assert max(drawn.shape) < 4000


def test_initialisations_stand_beside_each_other():
    one, two = np.zeros((20, 60, 3), np.uint8), np.full((20, 60, 3), 9, np.uint8)
    table = pictures.beside({"random": [one, two], "depth": [two, one]})
    both = table[18:38]
    assert (both[:, :60] == one).all()
    assert (both[:, -60:] == two).all()
    assert (table[-20:, :60] == two).all()


def test_names_are_shortened_where_the_picture_ends_and_keep_their_score():
    name = "traffic light with arrows for pedestrians"
    drawn = pictures.draw_detections(
        np.zeros((64, 96, 3), np.uint8), [[60, 30, 90, 60]], [0], names=[name], scores=[0.95], colours=COLOURS
    )
    label = np.flatnonzero((drawn == COLOURS[0]).all(2).sum(1) > 60)
    assert len(label) >= 6, "a label as wide as the picture"
    assert (drawn[label.min() : label.max(), [0, -1]] == COLOURS[0]).all(), "its text ends before the picture"
    shown, _ = fitted(name, 92, (9, 8), "95%")
    assert shown.startswith("traffic light")
    assert shown.endswith("… 95%")
    assert fitted("car", 92, (9, 8), "95%")[0] == "car 95%"
    assert fitted("car", 5, (9, 8), "95%")[0] == "95%"


def test_names_do_not_hide_each_other_while_there_is_room():
    boxes = [[10, 40, 60, 90], [12, 42, 62, 92]]
    both = pictures.draw_detections(GREY_LARGE, boxes, [0, 1], names=["car", "bus"], colours=COLOURS)
    for number, name in enumerate(("car", "bus")):
        alone = pictures.draw_detections(GREY_LARGE, [boxes[number]], [number], names=[name], colours=COLOURS)
        filled = [(one == COLOURS[number]).all(2).sum() for one in (alone, both)]
        assert filled[1] > 0.8 * filled[0]
