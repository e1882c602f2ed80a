from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from geopretrain import pictures
from geopretrain.data.structure import Structure
from geopretrain.errors import DataError
from geopretrain.evaluation.measured import MeasuredFrame
from geopretrain.metrics.boundaries import depth_edges
from geopretrain.pictures.error_maps import BOTH, MISSED
from geopretrain.recipes.depth_pictures import (
    LARGE_ERROR,
    WIDEST,
    colour_against,
    draw_errors,
    frame_pictures,
    inverse,
)
from geopretrain.tasks.base import DepthTask
from geopretrain.tasks.predictions import DepthPrediction

DEPTH = np.linspace(1, 5, 64 * 96, dtype=np.float32).reshape(64, 96)


class Knows(DepthTask):
    """Predicts the truth times a factor."""

    depth_meaning = "metric"
    eval_transform = train_transform = loss = None

    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def predict(self, images):
        return DepthPrediction(1 / (self.factor * torch.from_numpy(DEPTH)[None, None]), "metric")


def test_only_a_prediction_of_free_unit_is_brought_to_that_of_the_truth():
    truth = colour_against(inverse(DEPTH), DEPTH, "metric")
    assert np.abs(np.int64(colour_against(inverse(3 * DEPTH), DEPTH, "scale")) - truth).max() <= 2
    assert np.abs(np.int64(colour_against(inverse(3 * DEPTH), DEPTH, "metric")) - truth).mean() > 30
    assert colour_against(inverse(DEPTH), None, "metric").shape == (64, 96, 3)
    assert colour_against(inverse(DEPTH), np.zeros_like(DEPTH), "scale").shape == (64, 96, 3)


def torn():
    raise DataError("It is cut off.")


@pytest.mark.parametrize(("factor", "relative"), [(1.0, 0.0), (1.25, 0.25), (3.0, 0.5)])
def test_errors_are_relative_to_the_truth_and_grey_where_nobody_measured(tmp_path, factor, relative):
    depth = DEPTH.copy()
    depth[:10] = 0
    frame = MeasuredFrame("one", lambda: np.zeros((64, 96, 3), np.uint8), lambda: depth)
    damaged = MeasuredFrame("torn", lambda: np.zeros((64, 96, 3), np.uint8), torn)
    assert frame_pictures({"net": Knows(factor)}, [damaged], (64, 96)) == []
    (shown,) = frame_pictures({"net": Knows(factor)}, [damaged, frame], (64, 96))
    assert shown.name == "one"
    drawn = np.asarray(Image.open(draw_errors(tmp_path / "x.png", [shown])))
    height, width = pictures.error_map(depth, what="relative error").shape[:2]  # with the bar below it
    errors = drawn[-height : 64 - height, -width : 96 - width]
    assert (errors[:9] == 128).all()
    expected = pictures.error_map(np.full((1, 1), relative), 0.5)[0, 0]
    assert np.abs(np.int64(errors[20:]) - expected).max() <= 2
    assert (errors == shown.networks["net"]["error"][: len(errors)]).all()


def test_parts_of_a_frame_are_of_one_size_and_each_network_has_its_own():
    frame = MeasuredFrame("one", lambda: np.full((480, 768, 3), 200, np.uint8), lambda: DEPTH)
    networks = {"right": Knows(1.0), "far": Knows(2.0)}
    (shown,) = frame_pictures(networks, [frame], None)
    assert list(shown.networks) == ["right", "far"]
    right, far = shown.networks.values()
    assert list(right) == list(far) == ["depth", "error"], "nobody knows the edges"
    assert len({one.shape for one in (shown.image, shown.truth, *right.values(), *far.values())}) == 1
    assert shown.image.shape[1] <= WIDEST
    assert (shown.image == 200).all()
    assert np.abs(np.int64(right["depth"]) - shown.truth).max() <= 2
    assert np.abs(np.int64(far["depth"]) - shown.truth).mean() > 30
    least, most = (pictures.error_map(np.full((1, 1), error), LARGE_ERROR)[0, 0] for error in (0.0, 0.5))
    assert np.abs(np.int64(right["error"]) - least).max() <= 2
    assert np.abs(np.int64(far["error"]) - most).max() <= 2


def test_edges_are_as_large_as_the_other_parts_also_where_the_truth_is_larger():
    edges = np.zeros((640, 960), bool)
    edges[:, 470:490] = True
    large = np.full(edges.shape, 2.0, np.float32)
    frame = MeasuredFrame(
        "one", lambda: np.full((64, 96, 3), 200, np.uint8), lambda: large, lambda: Structure(edges=edges)
    )
    (shown,) = frame_pictures({"net": Knows(1.0)}, [frame], (64, 96))
    drawn = shown.networks["net"]["edges"]
    assert drawn.shape == shown.image.shape == (64, 96, 3)
    assert np.abs(np.int64(drawn[:, 48]) - MISSED).max() <= 40
    assert np.ptp(drawn[:, 20], -1).max() == 0, "no edge there"


def test_edges_of_each_network_are_a_row_where_they_are_known(tmp_path):
    depth = np.full((64, 96), 2.0, np.float32)
    depth[:, 48:] = 6.0
    edges = np.zeros(depth.shape, bool)
    edges[:, 47] = True

    class Steps(Knows):
        def predict(self, images):
            return DepthPrediction(1 / (self.factor * torch.from_numpy(depth)[None, None]), "metric")

    def drawn(name, structure):
        frame = MeasuredFrame("one", lambda: np.full((64, 96, 3), 200, np.uint8), lambda: depth, structure)
        shown = frame_pictures({"net": Steps(1.0)}, [frame], (64, 96))
        return np.asarray(Image.open(draw_errors(tmp_path / name, shown)))

    plain, more = drawn("plain.png", lambda: None), drawn("more.png", lambda: Structure(edges=edges))
    assert (more[: len(plain), : plain.shape[1]] == plain).all(), "two rows as before"
    both = edges & depth_edges(depth)
    assert both.any()
    marked = (more == BOTH).all(-1)
    assert marked[len(plain) :].sum() >= both.sum()
    assert not (plain == BOTH).all(-1).any()
