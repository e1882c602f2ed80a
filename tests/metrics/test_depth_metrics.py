from __future__ import annotations

import math

import numpy as np
import pytest

from geopretrain.errors import ConfigError, DataError
from geopretrain.metrics import (
    ERROR_NAMES,
    DepthProtocol,
    baseline_errors,
    blend_flipped,
    constant_baseline,
    depth_errors,
    evaluate_depth,
    evaluate_depth_maps,
    get_protocol,
    ground_ramp_baseline,
    row_wise_baseline,
)
from geopretrain.metrics.depth import resize_disparity, valid_mask


def _values(result):
    return [result[name] for name in ERROR_NAMES]


def test_errors_by_hand():
    errors = depth_errors([1.0, 4.0], [2.0, 4.0])
    assert errors["abs_rel"] == pytest.approx(0.5)
    assert errors["sq_rel"] == pytest.approx(0.5)
    assert errors["rmse"] == pytest.approx(math.sqrt(0.5))
    assert errors["rmse_log"] == pytest.approx(math.log(2) / math.sqrt(2))
    assert (errors["a1"], errors["a2"], errors["a3"]) == (0.5, 0.5, 0.5)  # ratio 2 > 1.25^3 = 1.953


def test_errors_equal_the_official_ones(golden):
    data = golden("monodepth2_eval.npz")
    errors = depth_errors(data["in_vec_gt"], data["in_vec_pred"])
    np.testing.assert_allclose(_values(errors), data["out_vec_errors"], rtol=1e-6)


@pytest.mark.parametrize(("kind", "protocol"), [("mono", "kitti"), ("stereo", "kitti-eigen-garg-80-stereo")])
def test_evaluation_equals_the_official_one(golden, kind, protocol):
    data = golden("monodepth2_eval.npz")
    result = evaluate_depth(data["in_pred_disp"], data["in_gt_depth"], protocol)
    np.testing.assert_allclose(_values(result), data[f"out_{kind}_errors_mean"], rtol=1e-5)
    for row, expected in zip(result["per_image"], data[f"out_{kind}_errors_per_image"], strict=True):
        np.testing.assert_allclose(_values(row), expected, rtol=1e-5)
    if kind == "mono":
        ratios = [row["ratio"] for row in result["per_image"]]
        np.testing.assert_allclose(ratios, data["out_median_ratio"], rtol=1e-6)
        ratios = np.array(ratios)
        assert result["ratio_spread"] == pytest.approx(ratios.std() / ratios.mean())


def test_crop_mask_and_resizing_equal_the_official_ones(golden):
    data = golden("monodepth2_eval.npz")
    counts = [valid_mask(gt, get_protocol("kitti")).sum() for gt in data["in_gt_depth"]]
    assert counts == data["out_num_valid"].tolist()
    y0, y1, x0, x1 = data["out_crop_y0y1x0x1"]
    size = data["in_gt_depth"].shape[1:]
    rows, columns = np.nonzero(valid_mask(np.full(size, 5.0), get_protocol("kitti")))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (y0, y1, x0, x1)
    resized = resize_disparity(data["in_pred_disp"][0], size)
    probed = resized[data["in_probe_y"], data["in_probe_x"]]
    np.testing.assert_allclose(probed, data["out_probe_resized_disp_image0"], rtol=1e-5)


def test_flip_average_equals_the_official_one(golden):
    data = golden("monodepth2_eval.npz")
    np.testing.assert_allclose(
        blend_flipped(data["in_pp_left"], data["in_pp_right_flipped_back"]), data["out_pp"], rtol=1e-6
    )


def test_clipping_happens_after_scaling():
    gt = np.array([[10.0, 10.0, 70.0]])
    pred = np.array([[1.0, 1.0, 20.0]])  # x10 gives 200, clipped to 80; clipping first would leave 200
    result = evaluate_depth_maps([pred], [gt], "dense-80-median")
    assert result["abs_rel"] == pytest.approx((10 / 70) / 3)


def test_disparity_is_resized_and_not_depth():
    disparity = np.array([[0.1, 0.5]], dtype=np.float32)
    protocol = DepthProtocol("metric", alignment="none")
    gt = 1.0 / resize_disparity(disparity, (1, 4))
    assert evaluate_depth([disparity], [gt], protocol)["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert gt[0, 1] == pytest.approx(1 / 0.2, rel=1e-5)  # depths 10 and 2 would give 8


def test_median_scaling_makes_the_scale_irrelevant_and_metric_does_not():
    gt = np.linspace(1, 40, 60).reshape(6, 10)
    assert evaluate_depth_maps([gt * 0.01], [gt], "dense-80-median")["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert evaluate_depth_maps([gt * 2], [gt], "dense-80-metric")["abs_rel"] == pytest.approx(1.0, abs=0.05)


def test_images_count_the_same_whatever_their_number_of_pixels():
    sparse, dense = np.zeros((4, 4)), np.full((4, 4), 10.0)
    sparse[0, 0] = 10.0
    protocol = DepthProtocol("metric", alignment="none")
    result = evaluate_depth_maps([np.full((4, 4), 20.0), dense], [sparse, dense], protocol)
    assert result["abs_rel"] == pytest.approx(0.5)


def test_images_without_truth_are_counted_and_none_at_all_is_an_error():
    gt, nothing = np.full((4, 4), 5.0), np.zeros((4, 4))
    result = evaluate_depth_maps([gt, gt], [gt, nothing], "dense")
    assert (result["images"], result["skipped"]) == (1, 1)
    with pytest.raises(DataError, match="metres"):
        evaluate_depth_maps([gt], [gt * 1000], "dense")
    with pytest.raises(DataError, match="diverged"):
        evaluate_depth_maps([gt * np.nan], [gt], "dense")


def test_unknown_protocol_names_the_nearest():
    with pytest.raises(ConfigError, match="kitti-eigen-garg-80-median"):
        get_protocol("kitti-eigen-garg-80-medain")


def test_baselines_by_hand():
    first = np.array([[0.0, 0.0], [20.0, 40.0], [4.0, 6.0]])
    second = np.array([[0.0, 0.0], [50.0, 50.0], [7.0, 0.0]])
    assert constant_baseline([first], (2, 2)).tolist() == [[13.0, 13.0], [13.0, 13.0]]
    rows = row_wise_baseline([first, second], (3, 2))
    # in units of the frames' medians, 13 and 50, rows 1 and 2 are 30/13, 50/50 and 5/13, 7/50; times 31.5;
    # the last value is one measurement against two
    expected = [31.5 * (30 / 13 + 1) / 2, 31.5 * (30 / 13 + 1) / 2, 31.5 * 5 / 13]
    np.testing.assert_allclose(rows, np.array(expected)[:, None].repeat(2, 1))  # row 0: that of row 1


def test_row_wise_solves_a_ramp_and_constant_does_not():
    ramp = np.repeat(np.linspace(40, 2, 20)[:, None], 8, axis=1)
    baselines = baseline_errors([ramp, ramp * 1.5, ramp * 0.5], "dense")
    assert baselines["row_wise"]["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert baselines["constant"]["abs_rel"] > 0.5


def test_a_baseline_never_sees_its_own_frame_nor_its_neighbours():
    rng = np.random.default_rng(0)
    frames = [rng.uniform(5, 50, (6, 8)) for _ in range(12)]
    protocol = DepthProtocol("metric", alignment="none")
    changed = [*frames[:3], frames[3] * 1.1, *frames[4:]]
    before = baseline_errors(frames, protocol, min_gap=4)["row_wise"]["per_image"]
    after = baseline_errors(changed, protocol, min_gap=4)["row_wise"]["per_image"]
    touched = [i for i in range(12) if before[i]["abs_rel"] != after[i]["abs_rel"]]
    assert 3 in touched  # its own truth moved
    assert not {0, 1, 2, 4, 5, 6} & set(touched)  # neighbours are not told of it
    assert baseline_errors(frames[:1], protocol) == {}


def test_sc_depth_evaluation_equals_the_official_one(golden):
    data = golden("sc_depth_eval.npz")
    order = ("abs_diff", "abs_rel", "sq_rel", "log10", "rmse", "rmse_log", "a1", "a2", "a3")
    cases = [
        ("kitti", "in_kitti_pred", "scdepth-kitti-80-median", "out_kitti_errors"),
        ("kitti", "in_kitti_pred_fullres", "scdepth-kitti-80-median", "out_kitti_errors_fullres"),
        ("kitti", "in_kitti_pred_fullres", "scdepth-ddad-200-median", "out_ddad_errors_fullres"),
        ("nyu", "in_nyu_pred", "scdepth-nyu-10-median", "out_nyu_errors"),
    ]
    for truth, depth, protocol, expected in cases:
        disparities = 1 / data[depth][:, 0].astype(np.float64)
        result = evaluate_depth(disparities, data[f"in_{truth}_gt"], protocol)
        np.testing.assert_allclose([result[name] for name in order], data[expected], rtol=1e-5)


def test_mim_depth_evaluation_equals_the_official_one(golden):
    data = golden("mim_depth.npz")
    order = ("a1", "a2", "a3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog")
    cases = [
        ("nyu", "mim-nyu-10", "nyu"),
        ("kitti", "mim-kitti-80-garg", "kitti_garg_crop"),
        ("kitti", "mim-kitti-80-eigen", "kitti_eigen_crop"),
    ]
    for truth, protocol, expected in cases:
        result = evaluate_depth_maps([data[f"in_{truth}_pred"]], [data[f"in_{truth}_gt"]], protocol)
        np.testing.assert_allclose(
            [result[name] for name in order], data[f"out_{expected}_errors"], rtol=1e-5
        )
        assert result["per_image"][0]["pixels"] == data[f"out_{expected}_num_valid"]


def test_the_largest_errors_are_dropped_by_hand():
    gt = np.full((1, 20), 10.0)
    pred = gt.copy()
    pred[0, 0] = 60.0
    assert evaluate_depth_maps([pred], [gt], "dense-80-median")["abs_rel"] == pytest.approx(5 / 20)
    dropped = evaluate_depth_maps([pred], [gt], "cityscapes-80-median-drop5")
    assert (dropped["abs_rel"], dropped["a1"]) == (0, 1)


def test_truth_beyond_the_cap_counts_in_the_benchmark_only():
    gt, pred = np.array([[20.0, 100.0]]), np.array([[20.0, 100.0]])
    result = evaluate_depth_maps([pred], [gt], "kitti-benchmark-80")
    assert result["abs_rel"] == pytest.approx(0.1)  # 100 m is predicted as 80 m
    assert evaluate_depth_maps([pred], [gt], "dense-80-metric")["abs_rel"] == 0


def test_alignment_undoes_what_it_says():
    gt = np.random.default_rng(0).uniform(1, 20, (6, 9))
    assert evaluate_depth_maps([gt * 7], [gt], "aligned-scale")["abs_rel"] == pytest.approx(0, abs=1e-9)
    shifted = 1 / (0.3 / gt + 0.2)
    assert evaluate_depth_maps([shifted], [gt], "aligned-scale")["abs_rel"] > 0.1
    aligned = evaluate_depth_maps([shifted], [gt], "aligned-scale-shift")
    assert aligned["abs_rel"] == pytest.approx(0, abs=1e-9)
    relative = 0.1 / gt - 0.02  # a disparity up to scale and shift may be negative
    assert (relative < 0).any()
    aligned = evaluate_depth_maps([1 / relative], [gt], "aligned-scale-shift")
    assert aligned["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert evaluate_depth_maps([gt * 2 + 3], [gt], "aligned-scale-shift-depth")["abs_rel"] < 1e-9
    flat = evaluate_depth_maps([np.full_like(gt, 5.0)], [gt], "aligned-scale-shift")
    assert flat["abs_rel"] > 0.1  # nothing to align; the best constant disparity


def test_least_squares_scale_by_hand():
    result = evaluate_depth_maps([np.array([[1.0, 2.0]])], [np.array([[2.0, 3.0]])], "aligned-scale")
    assert result["per_image"][0]["ratio"] == pytest.approx((1 * 2 + 2 * 3) / (1 + 4))


def test_ground_ramp_finds_the_horizon_and_beats_the_constant():
    rows = (np.arange(100) + 0.5) / 100
    street = np.repeat((1.5 / np.maximum(rows - 0.42, 0.02))[:, None], 10, axis=1)
    found = ground_ramp_baseline([street, street * 1.1, street * 0.9], (100, 10), "dense-80-metric")
    assert np.mean(np.abs(found - street) / street) < 0.1
    baselines = baseline_errors([street, street * 1.5, street * 0.5], "dense")
    assert baselines["ground_ramp"]["abs_rel"] < 0.2 * baselines["constant"]["abs_rel"]


def test_baselines_are_metres_whatever_the_factor_of_the_protocol():
    frames = [np.full((40, 60), 10.0), np.full((40, 60), 10.0)]
    assert baseline_errors(frames, "kitti-eigen-garg-80-stereo")["constant"]["abs_rel"] == pytest.approx(0)


def test_baselines_made_from_other_frames_alone():
    here, there = [np.full((4, 4), 10.0)], [np.full((4, 4), 5.0)] * 3
    result = baseline_errors(here, "dense-80-metric", made_from=there)
    assert result["constant"]["abs_rel"] == result["row_wise"]["abs_rel"] == pytest.approx(0.5)
