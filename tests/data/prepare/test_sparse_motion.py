"""Motion between some pairs of frames stands for the others, except where it changes."""

import numpy as np
import pytest
from making_clips import sliding_frames, texture

from geopretrain.data.prepare.motion import flow_lengths, grey_difference, measure
from geopretrain.data.prepare.sparse_motion import filled, lengths_between, measure_if_due


def measured_between(frames, min_motion=0.5):
    """The lengths of all neighbouring pairs, and those that were measured."""
    asked = []

    def lengths(first):
        asked.append(first)
        return flow_lengths(frames[first], frames[first + 1])

    found = lengths_between(
        range(len(frames) - 1),
        lengths,
        lambda a: grey_difference(frames[a], frames[a + 1]),
        min_motion,
    )
    return found, asked


def test_steady_motion_is_measured_seldom_and_known_everywhere():
    frames = sliding_frames(50, step=2.0)
    found, asked = measured_between(frames)
    assert sorted(found) == list(range(49))
    assert len(asked) < 15
    assert np.array(list(found.values())) == pytest.approx(2.0, abs=0.3)


def test_stops_doubled_frames_and_jerks_are_measured():
    frames = sliding_frames(50, step=2.0)
    frames[20] = frames[19]  # doubled: the next step is twice as long
    for i in range(36, 40):
        frames[i] = frames[36]  # a stop
    found, asked = measured_between(frames)
    for first in (19, 20, 35, 36, 37, 38, 39):
        true = flow_lengths(frames[first], frames[first + 1])[0]
        assert found[first][0] == pytest.approx(true, abs=0.4)
    assert len(asked) < 35


def test_near_the_least_motion_every_pair_is_measured():
    frames = sliding_frames(20, step=1.0)
    _, asked = measured_between(frames, min_motion=1.0)
    assert len(asked) == 19


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_pairs(count):
    frames = sliding_frames(count + 1)
    found, _ = measured_between(frames)
    assert sorted(found) == list(range(count))


def test_a_cut_is_always_measured():
    frames = sliding_frames(3)
    other = texture(96, 128, seed=9)
    last = grey_difference(frames[0], frames[1])
    difference, motion = measure_if_due(5, frames[1], other, grey_difference(frames[1], other))
    assert motion == measure(frames[1], other)  # as different as the last pair, and yet looked at
    assert difference > 2 * last
    assert measure_if_due(5, frames[1], frames[2], last)[1] is None
    assert measure_if_due(4, frames[1], frames[2], last)[1] is not None
    assert measure_if_due(5, frames[1], frames[2], None)[1] is not None


def test_filled_knows_nothing_beyond_the_ends():
    steps = np.array([np.nan, 1.0, np.nan, 3.0, np.nan])
    assert filled(steps)[1:4].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(filled(steps)[[0, 4]]).all()
    assert np.isnan(filled(np.full(3, np.nan))).all()
