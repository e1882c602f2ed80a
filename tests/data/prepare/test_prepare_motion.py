import numpy as np
import pytest
from making_clips import sliding_frames, texture

from geopretrain.data.prepare.motion import flow_lengths, is_cut, measure
from geopretrain.data.prepare.segments import hold_out


def test_prepare_flow_measures_a_known_shift():
    first, second = sliding_frames(2, step=3.0)
    motion = measure(first, second)
    assert motion.mean == pytest.approx(3.0, abs=0.3)
    assert motion.median == pytest.approx(3.0, abs=0.1)
    assert motion.error < 0.02
    assert flow_lengths(first, second) == pytest.approx((motion.mean, motion.median))
    assert flow_lengths(first, first)[0] < 0.05


def test_prepare_histogram_distance_by_hand():
    black, half = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    half[:32] = 255
    assert measure(black, half).histogram == pytest.approx(0.5)
    assert measure(black, black).histogram == 0


def test_prepare_cut_is_found_and_fast_motion_is_not_a_cut():
    errors = np.array([np.nan, 0.01, 0.012, 0.2, 0.01, 0.045])
    histograms = np.array([np.nan, 0.02, 0.02, 0.6, 0.02, 0.3])
    assert is_cut(errors, histograms).tolist() == [False, False, False, True, False, False]
    # always large errors (wide baseline): the clip's own median decides
    assert not is_cut(np.full(9, 0.06), np.full(9, 0.3)).any()


def test_prepare_cut_between_two_textures_stands_out():
    frames = sliding_frames(3)
    within = measure(frames[0], frames[1])
    across = measure(frames[1], texture(96, 128, seed=9))
    assert across.error > 10 * within.error
    assert across.histogram > 5 * within.histogram


def test_prepare_hold_out_shares_no_frame_with_training():
    targets = list(range(2, 98))
    train_end, val_start = hold_out(targets, 2, 0.1)
    assert len(targets) - val_start == 10
    trained = {t + o for t in targets[:train_end] for o in (-2, 0, 2)}
    held = {t + o for t in targets[val_start:] for o in (-2, 0, 2)}
    assert not trained & held
    assert val_start - train_end == 4


def test_prepare_hold_out_of_short_clips():
    assert hold_out([1, 2, 3, 4], 1, 0.1) == (4, 4)  # too short to hold out
    assert hold_out(list(range(15, 25)), 15, 0.1) == (
        9,
        9,
    )  # apart would cost everything: overlap is accepted
    assert hold_out(list(range(100)), 1, 0.0) == (100, 100)
