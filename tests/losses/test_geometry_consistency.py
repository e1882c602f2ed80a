"""The photometric and geometry terms of SC-Depth: released numbers, hand values, gradients, masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from consistency_terms import photometric_and_geometry

from geopretrain import geometry, losses
from geopretrain.losses import ConsistencyOptions
from geopretrain.losses.geometry_consistency import mean_over_mask, pair_maps

RELEASED = ConsistencyOptions(as_released=True)
VARIANTS = {
    "default": {},
    "nominopt": {"minimum": False},
    "nossim": {"ssim_weight": 0.0},
    "noautomask": {"automask": False},
    "nodynmask": {"self_mask": False},
}


@pytest.fixture
def arrays(golden):
    return {n: torch.from_numpy(np.array(a)) for n, a in golden("sc_depth_losses.npz").items()}


def poses(vectors):
    return torch.stack([geometry.euler_pose_matrix(v[:, 3:], v[:, :3]) for v in vectors], 1)


def inputs(arrays, dtype=torch.float64):
    """Images in [0, 1], depths, intrinsics, pose vectors (translation, angles) forward and backward."""
    names = ("tgt_img", "ref_img0", "ref_img1")
    images = torch.stack([arrays[f"in_{n}"] for n in names], 1).to(dtype) * 0.225 + 0.45
    depths = [arrays[f"in_{n}"].to(dtype) for n in ("tgt_depth", "ref_depth0", "ref_depth1")]
    forward, backward = ([arrays[f"in_{n}{i}"].to(dtype) for i in (0, 1)] for n in ("pose", "pose_inv"))
    return images, depths, arrays["in_intrinsics"].to(dtype), forward, backward


def compare(arrays, options, dtype=torch.float64):
    images, depths, intrinsics, forward, backward = inputs(arrays, dtype)
    return photometric_and_geometry(
        images, torch.stack(depths, 1), intrinsics, poses(forward), poses(backward), options=options
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_both_terms_equal_the_released_ones(arrays, variant, dtype, tolerance):
    result = compare(arrays, replace(RELEASED, **VARIANTS[variant]), dtype)
    np.testing.assert_allclose(result.photometric, arrays[f"out_{variant}_photo_loss"], atol=tolerance)
    np.testing.assert_allclose(result.geometry, arrays[f"out_{variant}_geometry_loss"], atol=tolerance)
    if variant == "default":
        off = (result.consistency - arrays["out_v3_dynamic_mask"]).abs() > 2e-4
        assert off.sum() <= (0 if dtype == torch.float64 else 2)  # rounding decides whether a pixel is valid


@pytest.mark.parametrize("i", [0, 1])
def test_the_maps_of_a_pair_equal_the_released_ones(arrays, i):
    images, depths, intrinsics, forward, _ = inputs(arrays)
    pair = (images[:, 0], images[:, i + 1], depths[0], depths[i + 1], intrinsics, poses(forward)[:, i], None)
    maps = pair_maps(*pair, RELEASED)
    np.testing.assert_allclose(maps.photometric, arrays[f"out_pair{i}_diff_img"], atol=1e-9)
    np.testing.assert_allclose(maps.colour, arrays[f"out_pair{i}_diff_color"], atol=1e-9)
    np.testing.assert_allclose(maps.inconsistency, arrays[f"out_pair{i}_diff_depth"], atol=1e-9)
    np.testing.assert_array_equal(maps.valid, arrays[f"out_pair{i}_valid_mask"] > 0)
    if i == 0:
        plain = pair_maps(*pair, replace(RELEASED, ssim_weight=0.0, self_mask=False, automask=False))
        np.testing.assert_allclose(plain.photometric, arrays["out_pair0_plain_diff_img"], atol=1e-9)
        np.testing.assert_array_equal(plain.valid, arrays["out_pair0_noautomask_valid_mask"] > 0)


def test_the_gradients_equal_the_released_ones(arrays):
    images, depths, intrinsics, forward, backward = inputs(arrays)
    leaves = [*depths, *forward, *backward]
    for leaf in leaves:
        leaf.requires_grad_()
    result = photometric_and_geometry(
        images, torch.stack(depths, 1), intrinsics, poses(forward), poses(backward), options=RELEASED
    )
    smooth = losses.edge_aware_smoothness(losses.mean_normalised(depths[0]), (images[:, 0] - 0.45) / 0.225)
    np.testing.assert_allclose(smooth.detach(), arrays["out_smooth_loss"], atol=1e-12)
    total = result.photometric + 0.1 * result.geometry + 0.1 * smooth
    np.testing.assert_allclose(total.detach(), arrays["out_v1_total_loss"], atol=1e-12)
    names = ("tgt_depth", "ref_depth0", "ref_depth1", "pose0", "pose1", "pose_inv0", "pose_inv1")
    for name, gradient in zip(names, torch.autograd.grad(total, leaves), strict=True):
        np.testing.assert_allclose(gradient, arrays[f"out_grad_{name}"], atol=1e-9, err_msg=name)


def test_the_seven_pixel_ssim_equals_the_released_one(arrays):
    x, y = (arrays[n].double() for n in ("in_tgt_img", "in_ref_img0"))
    np.testing.assert_allclose(losses.ssim_dissimilarity(x, y, 7), arrays["out_ssim7"], atol=1e-9)


def test_few_pixels_are_nothing_only_as_released(arrays):
    values = arrays["in_mom_diff"].double()
    for count in (100, 101):
        mask = arrays[f"in_mom_mask{count}"] > 0
        released = mean_over_mask(values, mask, as_released=True)
        np.testing.assert_allclose(released, arrays[f"out_mom_{count}"], atol=1e-12)
        np.testing.assert_allclose(mean_over_mask(values, mask), values[mask].mean(), atol=1e-12)


def wall(size=(16, 24), shift=2, dtype=torch.float64):
    """A textured wall at depth 4 seen by a camera that moves sideways by ``shift`` px per frame."""
    height, width = size
    columns = torch.arange(-shift, width + shift, dtype=dtype)
    texture = 0.5 + 0.3 * torch.sin(0.8 * columns) * torch.cos(torch.arange(height, dtype=dtype))[:, None]
    frames = [texture[:, shift + k * shift : shift + k * shift + width] for k in (0, -1, 1)]
    images = torch.stack([f.expand(3, -1, -1) for f in frames])[None]
    K = torch.tensor([[[20.0, 0, 11.5], [0, 20, 7.5], [0, 0, 1]]], dtype=dtype)
    T = torch.eye(4, dtype=dtype).repeat(1, 2, 1, 1)
    T[0, 0, 0, 3], T[0, 1, 0, 3] = shift * 4 / 20, -shift * 4 / 20
    return images, torch.full((1, 3, 1, *size), 4.0, dtype=dtype), K, T, geometry.invert_pose(T[0])[None]


def test_the_truth_costs_nothing_and_what_leaves_the_view_is_masked():
    images, depths, K, T, backward = wall()
    result = photometric_and_geometry(images, depths, K, T, backward)
    assert result.photometric < 0.02  # SSIM's windows see the repeated border
    assert result.geometry < 1e-6
    no_ssim = photometric_and_geometry(
        images, depths, K, T, backward, options=ConsistencyOptions(ssim_weight=0)
    )
    assert no_ssim.photometric < 1e-6
    np.testing.assert_allclose(result.logs["valid_fraction"], 22 / 24, atol=0.05)


def test_wrong_depth_of_one_frame_is_inconsistent_by_the_formula():
    images, depths, K, T, _ = wall()
    depths[:, 1:] = 6.0
    maps = pair_maps(
        images[:, 0], images[:, 1], depths[:, 0], depths[:, 1], K, T[:, 0], None, ConsistencyOptions()
    )
    np.testing.assert_allclose(maps.inconsistency, torch.full_like(depths[:, 0], 2 / 10), atol=1e-9)


def test_invalid_pixels_of_either_image_do_not_count():
    images, depths, K, T, backward = wall()
    valid = torch.ones(1, 3, 1, 16, 24, dtype=torch.bool)
    valid[:, 1, :, :, 12:] = False
    spoilt = images.clone()
    spoilt[:, 1, :, :, 12:] = 9.0
    options = ConsistencyOptions(ssim_weight=0.0)
    result = photometric_and_geometry(spoilt, depths, K, T, backward, valid=valid, options=options)
    assert result.photometric < 1e-6
    assert photometric_and_geometry(spoilt, depths, K, T, backward, options=options).photometric > 0.01


@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("depth", [0.0, -3.0, float("nan"), float("inf"), float("-inf")])
def test_convention_what_has_no_depth_is_never_in_view(frame, depth):
    """Neither as a pixel that looks for its place nor as one that is read; and it spoils no gradient."""
    images, depths, K, T, backward = wall()
    whole = photometric_and_geometry(images, depths, K, T, backward)
    depths[:, frame, :, 4:9, 6:15] = depth
    depths, T = depths.requires_grad_(), T.requires_grad_()
    result = photometric_and_geometry(images, depths, K, T, backward)
    assert result.logs["valid_fraction"] < whole.logs["valid_fraction"] - 0.05
    assert result.geometry < 1e-6
    loss = result.photometric + result.geometry
    gradients = torch.autograd.grad(loss, (depths, T))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (gradients[0][:, frame, :, 4:9, 6:15] == 0).all()


def test_an_empty_mask_is_told():
    images, depths, K, T, backward = wall()
    T[..., 2, 3] = -100.0
    backward[..., 2, 3] = -100.0
    result = photometric_and_geometry(images, depths, K, T, backward)
    assert result.logs["empty_mask"] == 1
    assert result.logs["kept_fraction"] == 0
    assert torch.isfinite(result.photometric)


def test_the_best_source_is_chosen_among_those_that_see_the_pixel():
    images, depths, K, T, backward = wall()
    images[:, 2] = 0.9  # the second source explains nothing
    options = ConsistencyOptions(ssim_weight=0.0, automask=False)
    best = photometric_and_geometry(images, depths, K, T, backward, options=options)
    average = photometric_and_geometry(
        images, depths, K, T, backward, options=replace(options, minimum=False)
    )
    assert best.photometric < average.photometric


@pytest.mark.parametrize("released", [False, True])
def test_gradients_are_right(released):
    torch.manual_seed(1)
    images, depths, K, *_ = wall((12, 12), dtype=torch.float64)
    depths = (depths + 0.3 * torch.rand_like(depths)).requires_grad_()
    angles = (0.01 * torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    shifts = (0.05 * torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    options = ConsistencyOptions(automask=False, minimum=False, self_mask=False, as_released=released)

    def total(depths, angles, shifts):
        T = geometry.euler_pose_matrix(angles, shifts).view(2, 1, 2, 4, 4)
        result = photometric_and_geometry(images, depths, K, T[0], T[1], options=options)
        return result.photometric + result.geometry

    assert torch.autograd.gradcheck(total, (depths, angles, shifts), atol=1e-4, nondet_tol=1e-9)
