"""Losses against depth with gaps: golden values, values by hand, gradients, empty masks."""

from __future__ import annotations

import pytest
import torch

from geopretrain.errors import ConfigError
from geopretrain.losses import regression as r


def double(values) -> torch.Tensor:
    return torch.from_numpy(values).double()


@pytest.fixture
def ssi(golden):
    numbers = golden("midas_ssi.npz")
    maps = double(numbers["in_prediction"]), double(numbers["in_target"])
    return numbers, (*maps, torch.from_numpy(numbers["in_mask"]) > 0)


def test_l1_counts_valid_pixels_only_or_all_pixels_as_released():
    prediction, target = torch.tensor([[1.0, 2.0, 9.0, 4.0]]), torch.tensor([[2.0, 2.0, 0.0, 1.0]])
    assert r.masked_l1(prediction, target, target > 0).item() == pytest.approx(4 / 3)
    assert r.masked_l1(prediction, target, target > 0, over_all_pixels=True).item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("focus", "name"),
    [(0.5, "out_silog_loss"), (1.0, "out_silog_loss_lambda1"), (0.85, "out_silog_loss_lambda0p85")],
)
def test_silog_equals_the_official_one(golden, focus, name):
    numbers = golden("mim_depth.npz")
    prediction, target = double(numbers["in_pred"]), double(numbers["in_gt"])
    found = r.silog(prediction, target, target > 0, focus=focus)
    assert found.item() == pytest.approx(float(numbers[name]), rel=1e-9)
    single = r.silog(prediction.float(), target.float(), target > 0, focus=focus)
    assert single.item() == pytest.approx(float(numbers[name]), rel=1e-5)


def test_silog_with_full_focus_ignores_a_common_factor():
    target = torch.rand(2, 1, 8, 9, dtype=torch.float64) + 0.5
    everywhere = torch.ones_like(target, dtype=torch.bool)
    assert r.silog(3 * target, target, everywhere, focus=1.0).item() == pytest.approx(0, abs=1e-5)
    assert r.silog(3 * target, target, everywhere, focus=0.0).item() == pytest.approx(1.0986, abs=1e-4)


def test_scale_and_shift_equal_the_official_ones(ssi):
    numbers, (prediction, target, valid) = ssi
    scale, shift = r.scale_and_shift(prediction, target, valid)
    torch.testing.assert_close(scale, double(numbers["out_scale"]), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(shift, double(numbers["out_shift"]), rtol=1e-9, atol=1e-12)
    aligned = r.align(prediction, target, valid)
    torch.testing.assert_close(aligned, double(numbers["out_aligned"]), rtol=1e-9, atol=1e-12)


def test_a_constant_prediction_has_no_scale_also_in_single_precision():
    target = torch.rand(1, 1, 16, 16)
    scale, shift = r.scale_and_shift(torch.full_like(target, 0.3), target, torch.ones_like(target) > 0)
    assert (scale.item(), shift.item()) == (0, 0)


@pytest.mark.parametrize("reduction", ["batch", "image"])
def test_the_scale_and_shift_invariant_losses_equal_the_official_ones(ssi, reduction):
    numbers, maps = ssi
    data = r.ssi_mse(*maps, gradient_weight=0.0, reduction=reduction)
    aligned = r.align(*maps)
    gradient = r.gradient_matching(aligned, *maps[1:], reduction=reduction)
    total = r.ssi_mse(*maps, reduction=reduction)
    for found, name in ((data, "mse"), (gradient, "gradient"), (total, "total")):
        assert found.item() == pytest.approx(float(numbers[f"out_{name}_{reduction}"]), rel=1e-9), name
    single = r.ssi_mse(maps[0].float(), maps[1].float(), maps[2], reduction=reduction)
    assert single.item() == pytest.approx(float(numbers[f"out_total_{reduction}"]), rel=1e-5)


def test_unknown_reduction_is_refused(ssi):
    with pytest.raises(ConfigError, match="'batch' or 'image'"):
        r.ssi_mse(*ssi[1], reduction="sum")


def test_the_robust_normalisation_as_released_equals_the_official_one(ssi):
    numbers, (prediction, target, valid) = ssi
    for values, name in ((prediction, "pred"), (target, "target")):
        found = r.robust_normalised(values, valid, as_released=True)
        # two images have valid pixels; of the third nothing counts
        torch.testing.assert_close(
            found[valid], double(numbers[f"out_robust_{name}"])[valid], rtol=1e-9, atol=1e-9
        )
        affine = r.robust_normalised(values, valid)[:2]
        # the official version adds 1e-8 to the deviation
        torch.testing.assert_close(
            affine[valid[:2]], double(numbers[f"out_affine_{name}"])[valid[:2]], rtol=1e-6, atol=1e-7
        )


def test_the_trimmed_loss_equals_the_official_one_and_really_trims_by_default(ssi):
    numbers, maps = ssi
    released = r.ssi_trimmed_mae(*maps, gradient_weight=0.0, as_released=True)
    assert released.item() == pytest.approx(float(numbers["out_trimmed_mae"]), rel=1e-9)
    p, q = (r.robust_normalised(x, maps[2], as_released=True) for x in maps[:2])
    gradient = r.gradient_matching(p, q, maps[2])
    assert gradient.item() == pytest.approx(float(numbers["out_robust_gradient"]), rel=1e-9)
    affine = r.affine_invariant_mae(*(x[:2] for x in maps))
    assert affine.item() == pytest.approx(float(numbers["out_affine_loss"]), rel=1e-6)
    prediction, target = torch.zeros(1, 2, 5), torch.arange(10.0).view(1, 2, 5)
    prediction[0, 0, 0] = 1  # so that its deviation is not zero
    everywhere = torch.ones_like(target, dtype=torch.bool)
    p, q = (r.robust_normalised(x, everywhere) for x in (prediction, target))
    largest = (p - q).abs().flatten().sort().values
    found = r.ssi_trimmed_mae(prediction, target, everywhere, gradient_weight=0.0)
    assert found.item() == pytest.approx(largest[:8].sum().item() / 20)


def test_trimming_equals_an_independent_computation(ssi):
    numbers, maps = ssi
    p, q = (r.robust_normalised(x, maps[2], as_released=True) for x in maps[:2])
    ordered = (p - q).abs()[maps[2]].sort().values
    kept = ordered[: int(0.8 * len(ordered))].sum() / (2 * len(ordered))
    assert kept.item() == pytest.approx(
        float(numbers["out_trimmed_mae_really_trimmed_own_computation"]), rel=1e-9
    )


@pytest.mark.parametrize("loss", [r.ssi_mse, r.ssi_trimmed_mae, r.affine_invariant_mae])
def test_scale_and_shift_do_not_matter(loss):
    torch.manual_seed(0)
    prediction, target = torch.rand(2, 2, 1, 16, 20, dtype=torch.float64)
    valid = torch.rand(2, 1, 16, 20) > 0.3
    assert loss(3 * prediction + 2, target, valid).item() == pytest.approx(
        loss(prediction, target, valid).item(), rel=1e-9
    )
    assert loss(0.1 * target + 7, target, valid).item() == pytest.approx(0, abs=1e-9)


LOSSES = [
    r.masked_l1,
    lambda *maps: r.masked_l1(*maps, over_all_pixels=True),
    r.silog,
    r.ssi_mse,
    lambda *maps: r.ssi_mse(*maps, reduction="image"),
    r.ssi_trimmed_mae,
    lambda *maps: r.ssi_trimmed_mae(*maps, as_released=True),
    r.affine_invariant_mae,
]


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences_also_beside_an_empty_image(loss):
    torch.manual_seed(1)
    prediction = (torch.rand(3, 1, 6, 7, dtype=torch.float64) + 0.5).requires_grad_()
    target, valid = torch.rand(3, 1, 6, 7, dtype=torch.float64) + 0.5, torch.rand(3, 1, 6, 7) > 0.4
    valid[2] = False
    assert torch.autograd.gradcheck(lambda p: loss(p, target, valid), (prediction,))


@pytest.mark.parametrize("loss", LOSSES)
def test_without_any_valid_pixel_nothing_becomes_nan(loss):
    prediction = torch.rand(2, 1, 8, 8, requires_grad=True)
    target = torch.full((2, 1, 8, 8), float("nan"))
    value = loss(prediction, target, torch.zeros(2, 1, 8, 8, dtype=torch.bool))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)
    assert (prediction.grad == 0).all()
