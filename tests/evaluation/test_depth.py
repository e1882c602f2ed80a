from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.depth import (
    check_depth,
    fitting_protocol,
    predict_disparity,
    score_depth,
    sentences,
)
from geopretrain.evaluation.measured import MeasuredFrame, at_bottom
from geopretrain.metrics import get_protocol
from geopretrain.tasks.base import DepthTask
from geopretrain.tasks.predictions import DepthPrediction

SIZE = (8, 6)


class KnowsEverything(DepthTask):
    """Reads the depth (m) off the grey value; predicts it up to a factor."""

    depth_meaning = "scale"

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def predict(self, images):
        return DepthPrediction(0.2 / (images[:, :1] * 255), self.depth_meaning)


class TwoPlanes:
    """Frames 0-24: upper half 4 m, lower half 2 m; held-out frames 25-29: the other way round."""

    depth_protocol = "dense"
    clips = (SimpleNamespace(name="planes", for_test=False),)

    def depth_frames(self):
        return [(0, frame, frame >= 25) for frame in range(30)]

    def depth(self, clip, frame):
        near, far = (4.0, 2.0) if frame < 25 else (2.0, 4.0)
        return np.repeat([near, far], SIZE[0] // 2)[:, None].repeat(SIZE[1], 1).astype(np.float32)

    def frame_image(self, clip, frame):
        return self.depth(clip, frame)[..., None].repeat(3, 2).astype(np.uint8)


def test_network_and_baselines_by_hand():
    result = check_depth(KnowsEverything(), TwoPlanes())
    assert result["in_sample"]["images"] == 25
    assert result["held_out"]["images"] == 5
    for kind in ("in_sample", "held_out"):
        assert result[kind]["abs_rel"] == pytest.approx(0, abs=1e-5)
        # everywhere 3 m, the median of the truth: half the pixels are off by 1/2, half by 1/4
        assert result[kind]["baselines"]["constant"]["abs_rel"] == pytest.approx(0.375)
    assert result["in_sample"]["baselines"]["row_wise"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    # made from the other frames, so it is upside down: 4 m for 2 m and 2 m for 4 m
    assert result["held_out"]["baselines"]["row_wise"]["abs_rel"] == pytest.approx(0.75)


def test_every_sentence_names_its_protocol():
    lines = sentences(check_depth(KnowsEverything(), TwoPlanes()))
    assert len(lines) == 2
    assert lines[0].startswith(
        "Depth on held-out frames (5, dense-80-median, scaled by the median of each picture): AbsRel 0.000"
    )
    assert "constant baseline AbsRel 0.375" in lines[0]


def test_without_true_depth_there_is_nothing_to_say():
    class NoDepth(TwoPlanes):
        depth_protocol = None

        def depth_frames(self):
            return []

    assert check_depth(KnowsEverything(), NoDepth()) == {}
    assert sentences({}) == []


class Sided(KnowsEverything):
    """Sees the left half nearer by a tenth, whatever is there."""

    def predict(self, images):
        factor = torch.ones(images.shape[-1])
        factor[: len(factor) // 2] = 1.1
        seen = super().predict(images)
        return DepthPrediction(seen.disparity * factor, seen.meaning)


def test_flip_average_mends_a_network_with_a_side():
    image = np.full((8, 40, 3), 5, np.uint8)
    plain, flipped = (predict_disparity(Sided(), image, flip=flip) for flip in (False, True))
    assert plain[0, 18] / plain[0, 22] == pytest.approx(1.1)
    assert flipped[0, 18] / flipped[0, 22] == pytest.approx(1.0)


def test_pictures_are_brought_to_the_size_of_the_network():
    assert predict_disparity(KnowsEverything(), np.full((30, 40, 3), 5, np.uint8), (8, 16)).shape == (8, 16)


def test_errors_of_each_image_carry_its_name():
    truth = np.repeat([[4.0, 2.0]], 4, 0).astype(np.float32)
    image = truth[..., None].repeat(3, 2).astype(np.uint8)
    frames = [
        MeasuredFrame("unmeasured", lambda: image, lambda: 0 * truth),
        MeasuredFrame("measured", lambda: image, lambda: truth),
    ]
    result = score_depth(KnowsEverything(), frames, "dense-80-median", per_image=True)
    assert [row["name"] for row in result["per_image"]] == ["measured"]
    assert (result["images"], result["skipped"], result["meaning"]) == (1, 1, "scale")


def test_a_protocol_never_takes_more_for_granted_than_the_run_knows():
    assert fitting_protocol("scale", "dense-80-median").scale == 1
    with pytest.raises(ConfigError, match="--protocol kitti-eigen-garg-80-median"):
        fitting_protocol("scale", "kitti-eigen-garg-80-stereo")
    with pytest.raises(ConfigError, match="--protocol aligned-median"):
        fitting_protocol("scale", "metric")
    assert fitting_protocol("scale_shift", "aligned-scale-shift").alignment == "scale_shift"
    with pytest.raises(ConfigError, match="aligned-scale-shift"):
        fitting_protocol("scale_shift", "dense-80-median")
    # a task that knows metres multiplies by the baseline itself, 5.4 must not count twice
    assert fitting_protocol("metric", "kitti-eigen-garg-80-stereo").scale == 1


def test_damaged_truth_at_the_end_of_training_costs_no_more_than_its_numbers(capsys):
    class HeldOutIsDamaged(TwoPlanes):
        def depth(self, clip, frame):
            if frame >= 25:
                raise DataError("cut off")
            return super().depth(clip, frame)

    assert set(check_depth(KnowsEverything(), HeldOutIsDamaged())) == {"in_sample"}
    assert "Depth on held-out frames is not scored. None of 5 frames can be read." in capsys.readouterr().out


def test_a_protocol_may_look_at_the_bottom_of_picture_and_truth_alone():
    whole = np.full((10, 12), 4.0, np.float32)
    whole[4:, 2:10] = 2.0
    frame = MeasuredFrame("a", lambda: whole[..., None].repeat(3, 2).astype(np.uint8), lambda: whole)
    assert at_bottom([frame], None) == [frame]
    (cut,) = at_bottom([frame], (6, 8))
    depth, image = cut.read()
    assert depth.shape == (6, 8)
    assert image.shape == (6, 8, 3)
    assert (depth == 2).all()
    assert (image == 2).all()
    resized = replace(frame, image=lambda: np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DataError, match="prepared with --crop bottom"):
        at_bottom([resized], (6, 8))[0].read()
    assert get_protocol("mim-kitti-bottom-80-garg").bottom == (352, 1216)
    rules = replace(get_protocol("dense-80-median"), bottom=(6, 8))
    both = score_depth(KnowsEverything(), [frame, frame], replace(rules, bottom=None), min_gap=1)
    assert score_depth(KnowsEverything(), [frame, frame], rules, min_gap=1)["abs_rel"] == pytest.approx(0)
    assert both["baselines"]["constant"]["abs_rel"] > 0
    assert score_depth(KnowsEverything(), [frame, frame], rules, min_gap=1)["baselines"]["constant"][
        "abs_rel"
    ] == pytest.approx(0)
