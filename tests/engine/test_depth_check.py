from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.engine.depth_check import check_depth, sentences
from geopretrain.task import Task

SIZE = (8, 6)


class KnowsEverything(Task):
    """Reads the depth (m) off the grey value; predicts it up to a factor."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def predict(self, images):
        return 0.2 / (images[:, :1] * 255)


class TwoPlanes:
    """Frames 0-24: upper half 4 m, lower half 2 m; held-out frames 25-29: the other way round."""

    depth_protocol = "dense"

    def depth_frames(self):
        return [(0, frame, frame >= 25) for frame in range(30)]

    def depth(self, clip, frame):
        near, far = (4.0, 2.0) if frame < 25 else (2.0, 4.0)
        return np.repeat([near, far], SIZE[0] // 2)[:, None].repeat(SIZE[1], 1).astype(np.float32)

    def frame_image(self, clip, frame):
        return self.depth(clip, frame)[..., None].repeat(3, 2).astype(np.uint8)


def test_network_and_guesses_by_hand():
    result = check_depth(KnowsEverything(), TwoPlanes())
    assert result["in_sample"]["images"] == 25
    assert result["held_out"]["images"] == 5
    for kind in ("in_sample", "held_out"):
        assert result[kind]["abs_rel"] == pytest.approx(0, abs=1e-5)
        # everywhere 3 m, the median of the truth: half the pixels are off by 1/2, half by 1/4
        assert result[kind]["guesses"]["constant"]["abs_rel"] == pytest.approx(0.375)
    assert result["in_sample"]["guesses"]["row_wise"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    # made from the other frames, so it is upside down: 4 m for 2 m and 2 m for 4 m
    assert result["held_out"]["guesses"]["row_wise"]["abs_rel"] == pytest.approx(0.75)


def test_every_sentence_names_its_protocol():
    lines = sentences(check_depth(KnowsEverything(), TwoPlanes()))
    assert len(lines) == 2
    assert lines[0].startswith("Depth on held-out frames (5, dense-80-median): AbsRel 0.000")
    assert "constant guess AbsRel 0.375" in lines[0]


def test_without_true_depth_there_is_nothing_to_say():
    class NoDepth(TwoPlanes):
        depth_protocol = None

        def depth_frames(self):
            return []

    assert check_depth(KnowsEverything(), NoDepth()) == {}
    assert sentences({}) == []
