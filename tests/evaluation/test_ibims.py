"""iBims-1 from its files to its numbers: a network that predicts what the official script was given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.io import savemat

from geopretrain.evaluation.depth import score_depth
from geopretrain.evaluation.depth_pictures import draw_scored
from geopretrain.evaluation.measured import find_frames
from geopretrain.tasks.base import DepthTask
from geopretrain.tasks.predictions import DepthPrediction


class Predicts(DepthTask):
    """Predicts one depth map, in the unit of a factor."""

    eval_transform = train_transform = loss = None
    depth_meaning = "metric"

    def __init__(self, depth, factor=1.0):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(1))
        self.disparity = torch.from_numpy(1 / (factor * depth))[None, None]

    def predict(self, images):
        return DepthPrediction(self.disparity, self.depth_meaning)


@pytest.fixture
def frames(golden, tmp_path):
    """Write the official inputs as a file of the data set; what the prediction lacks is masked, as it is
    there."""
    data = golden("ibims.npz")
    content = {
        "rgb": np.zeros((*data["in_depth"].shape, 3), np.uint8),
        "depth": data["in_depth"],
        "edges": data["in_edges"],
        "calib": data["in_calib"],
        "mask_transp": np.ones_like(data["in_edges"]),
        "mask_invalid": (data["in_pred"] != 0).astype(np.uint8),
    }
    for kind in ("floor", "wall", "table"):
        content[f"mask_{kind}"] = data[f"in_mask_{kind}"]
        content[f"mask_{kind}_paras"] = data[f"in_paras_{kind}"]
    folder = tmp_path / "ibims1_core_mat"
    folder.mkdir()
    savemat(folder / "corridor_01.mat", {"data": content})
    found = find_frames(str(folder), SimpleNamespace(config={"data": ""}), frames="all").frames
    return data, np.where(data["in_pred"] > 0, data["in_pred"], 1.0), found


def test_numbers_of_a_file_equal_the_official_ones(frames):
    data, predicted, found = frames
    scores = score_depth(Predicts(predicted), found, "ibims")
    names = ("abs_rel", "sq_rel", "rmse", "log10", "a1", "a2", "a3")
    np.testing.assert_allclose([scores[n] for n in names], data["out_global_errors"], rtol=1e-5)
    np.testing.assert_allclose(
        [scores[n] for n in ("dde_0", "dde_m", "dde_p")], data["out_dde_0_m_p"], rtol=1e-5
    )
    np.testing.assert_allclose(
        [scores["dbe_acc"], scores["dbe_com"]], [data["out_dbe_acc"], data["out_dbe_com"]], rtol=1e-5
    )
    planes = {
        "pe_plan": np.mean([data[f"out_pe_plan_{kind}_cm"][0] for kind in ("floor", "wall")]),
        "pe_orie": np.mean([data[f"out_pe_orie_{kind}_deg"][0] for kind in ("floor", "wall")]),
    }
    assert {name: scores[name] for name in planes} == pytest.approx(planes, rel=1e-5)
    by_distance = [np.nan if value is None else value for value in scores["by_distance"]["abs_rel"]]
    np.testing.assert_allclose(by_distance, data["out_distance_abs_rel"], rtol=1e-5)
    assert scores["alignment"] == "not aligned"


def test_an_aligned_prediction_of_another_unit_has_the_same_structure(frames):
    _, predicted, found = frames
    raw = score_depth(Predicts(predicted), found, "ibims-median")
    other = Predicts(predicted, factor=0.3)
    other.depth_meaning = "scale"
    scaled = score_depth(other, found, "ibims-median")
    for name in ("abs_rel", "dbe_acc", "dbe_com", "pe_plan", "pe_orie", "dde_0"):
        assert scaled[name] == pytest.approx(raw[name], rel=1e-5), name
    assert scaled["alignment"] == "scaled by the median of each picture"


def test_pictures_of_it_have_a_column_of_edges(frames):
    _, predicted, found = frames
    drawn = draw_scored(Predicts(predicted), found, "ibims", count=1)
    assert drawn.shape[1] >= 5 * predicted.shape[1]
