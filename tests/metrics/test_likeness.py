"""How like labelled pictures a video is, where that is known because both are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.advice.domain import kind_of
from geopretrain.metrics.likeness import likeness

PARTS = [part for part in range(6) for _ in range(20)]


def places(rng, count, spread=0.6):
    """Return pictures of several places: each place has a middle, around which its pictures lie."""
    middles = np.ones(24) * 2 + rng.normal(0, 1, (count, 24))
    return np.concatenate([middle + spread * rng.normal(0, 1, (20, 24)) for middle in middles])


def test_a_video_of_more_such_places_is_of_the_same_kind():
    rng = np.random.default_rng(0)
    found = likeness(places(rng, 6), PARTS, places(rng, 6))
    assert kind_of(found) == "same"
    assert 0.2 < found.share < 0.8
    assert found.distance < max(found.part_distances)
    assert (found.pictures, found.frames) == (120, 120)


def test_a_video_of_something_else_is_not():
    rng = np.random.default_rng(1)
    elsewhere = places(rng, 6) - 8
    found = likeness(places(rng, 6), PARTS, elsewhere)
    assert kind_of(found) == "other"
    assert found.share == 0
    assert found.distance > 0.5


def test_one_drive_beside_pictures_that_have_nothing_in_common_is_another_kind():
    """Any frame is the nearest one of some of them: the share alone is fooled."""
    rng = np.random.default_rng(2)
    photographs = 3 + rng.normal(0, 1, (120, 24))
    drive = 3 + 0.2 * rng.normal(0, 1, (100, 24))
    found = likeness(photographs, PARTS, drive)
    assert found.share > 0.5 * found.expected
    assert kind_of(found) == "other"


def test_a_video_of_everything_is_another_kind_than_pictures_of_one_thing():
    """It lies around them on all sides: the distance alone is fooled."""
    rng = np.random.default_rng(3)
    labelled = places(rng, 6, spread=0.3)
    everything = rng.normal(2, 3, (120, 24))
    found = likeness(labelled, PARTS, everything)
    assert found.share < 0.1
    assert kind_of(found) == "other"


def test_lengths_of_features_and_the_number_of_frames_do_not_count():
    rng = np.random.default_rng(4)
    labelled, video = places(rng, 6), places(rng, 12)
    once = likeness(labelled, PARTS, video)
    assert likeness(3 * labelled, PARTS, 0.1 * video).distance == pytest.approx(once.distance)
    half = likeness(labelled, PARTS, video[::2])
    assert half.distance == pytest.approx(once.distance, abs=0.03)


def test_the_very_frames_win_all():
    labelled = places(np.random.default_rng(5), 6)
    found = likeness(labelled, PARTS, labelled.copy())
    assert found.share == 1
    assert found.distance == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("pictures", "frames"), [(1, 20), (4, 20), (40, 1), (40, 0)])
def test_of_too_few_nothing_is_said(pictures, frames):
    rng = np.random.default_rng(6)
    parts = [min(number, 2) for number in range(pictures)] if pictures < 40 else [n % 2 for n in range(40)]
    assert likeness(rng.normal(size=(pictures, 8)), parts, rng.normal(size=(frames, 8))) is None


def test_pictures_that_are_all_the_same_are_no_reason_to_fail():
    same = np.ones((12, 8))
    found = likeness(same, [n // 4 for n in range(12)], same)
    assert found.distance == 0
    assert found.share == 0.5
    assert kind_of(likeness(np.zeros((12, 8)), [n // 4 for n in range(12)], np.zeros((4, 8)))) == "same"
