"""The stride is the one nearest to the wanted motion, and little is measured to find it."""

import numpy as np
import pytest
from making_clips import sliding_frames

from geopretrain.data.prepare.motion import flow_lengths, quick_length
from geopretrain.data.prepare.stride import STRIDES, choose_stride, target_frames


class Choice:
    """The stride that is chosen where flow between frames is a function of how far apart they are.

    Attributes:
        stride, tried: what was chosen, and the motion of what was tried.
        asked, quickly: pairs of frames whose flow was measured, and measured quickly (0.9 times as long).
    """

    def __init__(self, flow, frames=100, target=3.0, steps=None, short=0.9):
        self.asked, self.quickly = [], []

        def measured(first, second):
            self.asked.append((first, second))
            return flow(second - first)

        def quick(first, second):
            self.quickly.append((first, second))
            return short * flow(second - first)

        steps = np.full(frames, flow(1)) if steps is None else steps
        self.stride, self.tried = choose_stride(measured, quick, range(frames), steps, target)


@pytest.mark.parametrize(("speed", "expected"), [(0.5, 6), (1.0, 3), (1.4, 2), (3.2, 1), (9.0, 1)])
def test_prepare_stride_is_the_one_nearest_to_the_wanted_motion(speed, expected):
    choice = Choice(lambda apart: speed * apart)
    assert choice.stride == expected
    assert choice.tried[1] == pytest.approx(speed)


@pytest.mark.parametrize(
    ("speed", "tried"),
    [(9.0, [1]), (3.5, [1]), (1.84, [1, 2]), (1.7, [1, 2]), (0.5, [1, 2, 3, 4, 5, 6])],
)
def test_prepare_no_stride_is_tried_that_cannot_be_nearer(speed, tried):
    assert sorted(Choice(lambda apart: speed * apart).tried) == tried


def test_prepare_stride_ignores_static_frames():
    steps = np.r_[np.full(20, 1.5), np.zeros(80)]

    def flow(first, second):
        return float(steps[first:second].sum())

    stride, tried = choose_stride(flow, flow, range(100), steps, 3.0)
    assert stride == 2
    assert tried[1] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ([1.0, 1.6, 1.7, 2.9, 3.0], (2, [1, 2])),  # from 3 on it no longer grows in proportion
        ([0.3, 0.6, 0.9, 1.2, 1.5], (5, [1, 2, 3, 4, 5])),
        ([0.3, 0.3, 0.3, 0.3, 0.3], (1, [1])),
        ([1.0, 1.36, 1.36, 1.36, 1.36], (2, [1, 2])),  # just enough, which the quick measure cannot tell
        ([1.0, 1.34, 1.34, 1.34, 1.34], (1, [1])),
    ],
)
@pytest.mark.parametrize("short", [0.8, 0.9, 1.0])
def test_prepare_stride_stops_where_flow_loses_track(flow, expected, short):
    choice = Choice(lambda apart: flow[min(apart, 5) - 1], short=short)
    assert (choice.stride, sorted(choice.tried)) == expected


def test_prepare_stride_is_told_by_flow_where_the_quick_measure_is_unclear():
    assert not Choice(lambda apart: [1.0, 1.8, 1.8][min(apart, 3) - 1], frames=24).asked
    unclear = Choice(lambda apart: [1.0, 1.36, 1.36][min(apart, 3) - 1], frames=24)
    assert len(set(unclear.asked)) == 24  # twelve pairs of neighbours, and twelve two frames apart


@pytest.mark.parametrize("speed", [0.0, 0.05, 0.2, 0.3, 1.0, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("growth", [1.0, 0.8, 0.6, 0.4, 0.1, 0.0])
def test_prepare_stride_of_a_short_clip_needs_few_pairs(speed, growth):
    choice = Choice(lambda apart: speed * apart**growth, frames=24)
    assert choice.stride in STRIDES
    assert len(set(choice.asked)) <= 36  # of 145
    assert len(set(choice.quickly)) <= 12 * 8


@pytest.mark.parametrize("speed", [0.0, 0.05, 0.1, 0.2])
def test_prepare_stride_of_a_clip_that_hardly_moves_needs_hardly_any_flow(speed):
    choice = Choice(lambda apart: speed * apart, frames=24)
    assert choice.stride == (10 if speed else 1)
    assert len(set(choice.asked)) == 0
    assert len(set(choice.quickly)) <= 12 * 8


def test_prepare_stride_of_noise_is_one():
    noise = np.random.default_rng(0).uniform(0.04, 0.06, (40, 40))
    stride, _ = choose_stride(
        lambda a, b: noise[a, b], lambda a, b: noise[b, a], range(24), np.full(24, 0.05), 3.0
    )
    assert stride == 1


def test_prepare_stride_needs_nothing_where_neighbours_move_enough():
    choice = Choice(lambda apart: 4.0 * apart, frames=24)
    assert (choice.stride, choice.tried) == (1, {1: 4.0})
    assert not choice.asked
    assert not choice.quickly


def test_prepare_stride_of_frames_of_which_no_motion_is_known():
    choice = Choice(lambda apart: 1.0 * apart, frames=24, steps=np.full(24, np.nan))
    assert choice.stride == 3
    assert choice.asked
    assert Choice(lambda apart: 4.0, frames=1, steps=np.full(1, np.nan)).tried == {}


def test_prepare_stride_is_that_of_all_pairs():
    frames = sliding_frames(24, step=0.9)

    def flow(first, second):
        return flow_lengths(frames[first], frames[second])[0]

    def quick(first, second):
        return quick_length(frames[first], frames[second])

    stride, _ = choose_stride(flow, quick, range(24), np.full(24, 0.9), 3.0)
    every = {s: np.mean([flow(a, a + s) for a in range(24 - s)]) for s in (1, 2, 3, 4, 5)}
    assert stride == min(every, key=lambda s: abs(every[s] - 3.0)) == 3


def test_prepare_quick_length_is_about_the_mean_flow():
    first, second = sliding_frames(2, step=3.0)
    assert quick_length(first, second) == pytest.approx(3.0, abs=0.5)
    assert quick_length(first, first) < 0.05


def test_prepare_targets_need_both_neighbours():
    assert target_frames([0, 1, 2, 3, 5, 6, 7], 1) == [1, 2, 6]
    assert target_frames([0, 1, 2, 3, 5, 6, 7], 2) == [3, 5]
