"""Boundaries, planes and directed errors: equal to the script of iBims-1, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geopretrain.data.structure import Plane, Structure, ibims_normal
from geopretrain.errors import DataError
from geopretrain.metrics import depth_errors
from geopretrain.metrics.boundaries import boundary_errors, canny, depth_edges
from geopretrain.metrics.ibims import directed_errors, errors_by_distance, structure_errors
from geopretrain.metrics.planes import planarity_error

KINDS = ("floor", "wall", "table")


@pytest.fixture
def ibims(golden):
    return golden("ibims.npz")


def camera(data):
    """Return the calibration as we have it: not transposed, pixels counted from 0."""
    return data["in_calib"].T - [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def plane(data, kind):
    return Plane(kind, data[f"in_mask_{kind}"] == 1, ibims_normal(data[f"in_paras_{kind}"][0, 4:7]))


def test_global_and_directed_errors_equal_the_official_ones(ibims):
    gt, pred = ibims["in_depth"], ibims["in_pred"]
    both = (gt != 0) & (pred != 0)
    errors = depth_errors(gt[both], pred[both])
    names = ("abs_rel", "sq_rel", "rmse", "log10", "a1", "a2", "a3")
    np.testing.assert_allclose([errors[n] for n in names], ibims["out_global_errors"], rtol=1e-5)
    directed = directed_errors(gt, pred)
    np.testing.assert_allclose(list(directed.values()), ibims["out_dde_0_m_p"], rtol=1e-5)


def test_edges_and_boundary_errors_equal_the_official_ones(ibims):
    found = depth_edges(ibims["in_pred"])
    assert (found == (ibims["out_edges_est"] != 0)).mean() >= 0.995
    errors = boundary_errors(ibims["in_edges"], ibims["out_edges_est"])
    assert errors["dbe_acc"] == pytest.approx(float(ibims["out_dbe_acc"]), rel=1e-5)
    assert errors["dbe_com"] == pytest.approx(float(ibims["out_dbe_com"]), rel=1e-5)
    ours = boundary_errors(ibims["in_edges"], found)
    assert ours == pytest.approx(errors, rel=1e-5)


def test_a_prediction_without_edges_misses_all_of_them(ibims):
    flat = depth_edges(np.full_like(ibims["in_pred"], 3.0))
    assert not flat.any()
    errors = boundary_errors(ibims["in_edges"], flat)
    assert [errors["dbe_acc"], errors["dbe_com"]] == ibims["out_dbe_noedge_acc_com"].tolist()
    assert not depth_edges(np.zeros((9, 9))).any()


def test_errors_by_distance_equal_the_official_ones(ibims):
    found = errors_by_distance(ibims["in_depth"], ibims["in_pred"])
    for name, theirs in (("abs_rel", "abs_rel"), ("log10", "log10"), ("rmse", "rms")):
        np.testing.assert_allclose(found[name], ibims[f"out_distance_{theirs}"], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_planarity_equals_the_official_one(ibims, kind):
    error = planarity_error(
        ibims["in_depth"],
        ibims["in_pred"],
        plane(ibims, kind),
        camera(ibims),
        smallest=0.05 * 640 * 480,
    )
    expected = [ibims[f"out_pe_plan_{kind}_cm"][0], ibims[f"out_pe_orie_{kind}_deg"][0]]
    np.testing.assert_allclose([error["flatness_cm"], error["orientation_deg"]], expected, rtol=1e-5)


def test_all_numbers_of_a_picture_are_means_over_what_could_be_scored(ibims):
    planes = [plane(ibims, kind) for kind in KINDS]
    structure = Structure(ibims["in_edges"], planes, camera(ibims))
    found = structure_errors(ibims["in_depth"], ibims["in_pred"], structure, smallest_plane=15360)
    wanted = [float(ibims[f"out_pe_plan_{kind}_cm"][0]) for kind in ("floor", "wall")]
    assert found["pe_plan"] == pytest.approx(np.mean(wanted), rel=1e-5)
    assert found["dbe_acc"] == pytest.approx(float(ibims["out_dbe_acc"]), rel=1e-5)
    doubled = structure_errors(ibims["in_depth"], 2 * ibims["in_pred"], structure, smallest_plane=15360)
    for name in ("pe_plan", "pe_orie", "dbe_acc", "dbe_com"):
        assert doubled[name] == pytest.approx(found[name])  # the unit of a prediction does not matter
    assert doubled["dde_0"] < found["dde_0"]
    nothing = structure_errors(ibims["in_depth"], ibims["in_pred"], Structure())
    assert set(nothing) == {"dde_0", "dde_m", "dde_p"}


def slanted(normal, distance, size=(60, 80), focal=70.0):
    """Return depth ``H W`` of a plane and its camera, by hand."""
    height, width = size
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    row, column = np.indices(size)
    rays = np.stack([(column - K[0, 2]) / focal, (row - K[1, 2]) / focal, np.ones(size)], -1)
    return distance / (rays @ normal), K


def test_a_true_plane_is_flat_and_the_angle_of_another_one_is_found():
    normal = np.array([0.1, 0.3, 1.0]) / math.sqrt(1.1)
    depth, K = slanted(normal, 3.0)
    here = Plane("wall", np.ones(depth.shape), -normal)
    perfect = planarity_error(depth, 5 * depth, here, K)
    assert perfect["flatness_cm"] == pytest.approx(0, abs=1e-6)
    assert perfect["orientation_deg"] == pytest.approx(0, abs=1e-3)
    turned, _ = slanted(np.array([0.0, 0.0, 1.0]), 3.0)
    assert planarity_error(depth, turned, here, K)["orientation_deg"] == pytest.approx(
        math.degrees(math.acos(1 / math.sqrt(1.1))), abs=1e-3
    )
    unknown = Plane("wall", np.ones(depth.shape))  # the normal of the true depth
    assert planarity_error(depth, turned, unknown, K)["orientation_deg"] == pytest.approx(
        math.degrees(math.acos(1 / math.sqrt(1.1))), abs=1e-3
    )


def test_planes_too_small_or_unknown_are_not_scored_and_sizes_must_agree():
    depth, K = slanted(np.array([0.0, 0.0, 1.0]), 3.0)
    mask = np.zeros(depth.shape)
    mask[:2] = 1
    assert math.isnan(planarity_error(depth, depth, Plane("table", mask), K)["flatness_cm"])
    assert planarity_error(depth, depth, Plane("table", mask), K, smallest=9)["flatness_cm"] < 1e-6
    assert math.isnan(planarity_error(depth, 0 * depth, Plane("t", mask + 1), K)["flatness_cm"])
    with pytest.raises(DataError, match="one size"):
        planarity_error(depth, depth, Plane("table", mask[:5]), K)
    with pytest.raises(DataError, match="one size"):
        boundary_errors(mask, mask[:5])


def test_an_edge_of_depth_lies_where_the_depth_jumps():
    depth = np.full((40, 50), 2.0)
    depth[:, 25:] = 4.0
    found = depth_edges(depth)
    columns = np.nonzero(found.any(0))[0]
    assert set(columns) <= {24, 25}
    assert found[5:-5].any(1).all()
    true = np.zeros_like(found)
    true[:, 28] = True
    errors = boundary_errors(true, np.roll(true, -3, 1))
    assert errors == {"dbe_acc": pytest.approx(3), "dbe_com": pytest.approx(3)}
    assert math.isnan(boundary_errors(np.zeros_like(true), true)["dbe_acc"])


def test_weak_edges_are_kept_where_they_touch_strong_ones():
    image = np.zeros((30, 60))
    image[15:] = np.linspace(1.0, 0.05, 60)
    found = canny(image, 1.0, 0.15, 0.5)
    assert found[13:17, 3:40].any(0).all()
    image[15:, :45] = 0
    assert not canny(image, 1.0, 0.15, 1.5)[:, 50:].any()
