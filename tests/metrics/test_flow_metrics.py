"""End-point errors of optical flow."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.errors import DataError
from geopretrain.metrics import FLOW_PROTOCOL, evaluate_flow, flow_errors


def test_errors_by_hand():
    truth = np.zeros((2, 1, 4))
    truth[0] = [[0, 0, 100, 100]]
    flow = truth.copy()
    flow[:, 0, 0] = (3, 4)  # off by 5 px: an outlier
    flow[1, 0, 1] = 3  # exactly 3 px is none
    flow[1, 0, 2] = 4  # 4 px, but only 4 % of 100 px
    flow[1, 0, 3] = 6  # 6 px and 6 %
    assert flow_errors(flow, truth) == pytest.approx({"epe": (5 + 3 + 4 + 6) / 4, "fl_all": 0.5})
    assert flow_errors(flow, truth, [[0, 1, 1, 0]]) == pytest.approx({"epe": 3.5, "fl_all": 0.0})


def test_unknown_flow_is_left_out():
    truth = np.full((2, 2, 2), np.nan)
    truth[:, 0, 0] = 1
    assert flow_errors(np.zeros((2, 2, 2)), truth)["epe"] == pytest.approx(np.sqrt(2))


def test_predictions_are_resized_and_held_against_no_motion():
    truth = np.zeros((2, 6, 12))
    truth[0], truth[1] = 4, 3
    small = np.zeros((2, 3, 4), np.float32)
    small[0], small[1] = 4 / 3, 1.5
    result = evaluate_flow([small, truth], [truth, truth])
    assert result["protocol"] == FLOW_PROTOCOL
    assert result["images"] == 2
    assert result["epe"] == pytest.approx(0, abs=1e-5)
    assert result["baselines"]["zero"] == pytest.approx({"epe": 5.0, "fl_all": 1.0})
    assert len(result["per_image"]) == 2


@pytest.mark.parametrize(
    ("flow", "truth", "valid", "words"),
    [
        (np.zeros((2, 3, 4)), np.zeros((2, 3, 5)), None, "must have one shape"),
        (np.zeros((3, 4, 2)), np.zeros((3, 4, 2)), None, "must have one shape"),
        (np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), np.zeros((3, 4)), "no pixel with a measurement"),
        (np.full((2, 3, 4), np.inf), np.zeros((2, 3, 4)), None, "diverged"),
    ],
)
def test_what_cannot_be_compared_is_said(flow, truth, valid, words):
    with pytest.raises(DataError, match=words):
        flow_errors(flow, truth, valid)


def test_nothing_to_evaluate_is_said():
    with pytest.raises(DataError, match="no flow map"):
        evaluate_flow([], [])
    with pytest.raises(DataError, match="shape"):
        evaluate_flow([np.zeros((4, 4))], [np.zeros((2, 4, 4))])
