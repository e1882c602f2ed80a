import pytest
import torch

from geopretrain.losses import photometric_error, ssim_dissimilarity


def test_equal_images_do_not_differ():
    image = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    assert ssim_dissimilarity(image, image).abs().max() < 1e-12
    assert photometric_error(image, image).abs().max() < 1e-12


def test_constant_images_by_hand():
    """Without structure SSIM is (2 a b + C1) / (a² + b² + C1)."""
    x, y = torch.full((1, 3, 4, 4), 0.2).double(), torch.full((1, 3, 4, 4), 0.6).double()
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert torch.allclose(ssim_dissimilarity(x, y), torch.full_like(x, (1 - ssim) / 2))
    expected = 0.85 * (1 - ssim) / 2 + 0.15 * 0.4
    assert photometric_error(x, y)[0, 0, 1, 1].item() == pytest.approx(expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_ssim_is_golden(golden, dtype, tolerance):
    arrays = golden("monodepth2_layers.npz")
    x, y = (torch.tensor(arrays[f"in_ssim_{name}"], dtype=dtype) for name in "xy")
    assert (ssim_dissimilarity(x, y).double() - torch.tensor(arrays["out_ssim"])).abs().max() < tolerance


def test_convention_photometric_error_is_ssim_and_l1():
    x, y = torch.rand(2, 2, 3, 5, 6, dtype=torch.float64).unbind()
    ssim, l1 = ssim_dissimilarity(x, y).mean(1), (x - y).abs().mean(1)
    assert torch.allclose(photometric_error(x, y)[:, 0], 0.85 * ssim + 0.15 * l1)
    assert torch.allclose(photometric_error(x, y, 0)[:, 0], l1)
    # the window at a corner is reflected: it sees the diagonal neighbour four times
    spot = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    spot[..., 1, 1] = 9
    padded = torch.nn.functional.pad(spot, (1, 1, 1, 1), mode="reflect")
    assert padded[0, 0, :3, :3].sum() == 36
    mean, variance = 4, (4 * 81) / 9 - 16
    ssim = (1e-4 * 9e-4) / ((mean**2 + 1e-4) * (variance + 9e-4))
    assert ssim_dissimilarity(spot, torch.zeros_like(spot))[0, 0, 0, 0].item() == pytest.approx(
        (1 - ssim) / 2
    )


def test_convention_losses_take_images_in_zero_to_one():
    """The constants of SSIM belong to images in [0, 1]: the same images in [0, 255] give other values."""
    x, y = (0.5 + 0.02 * torch.rand(2, 1, 3, 5, 6, dtype=torch.float64)).unbind()
    assert (ssim_dissimilarity(x, y) - ssim_dissimilarity(255 * x, 255 * y)).abs().max() > 0.1
    assert ssim_dissimilarity(x, y).min() >= 0
    assert ssim_dissimilarity(1 - x, x).max() <= 1


def test_gradients():
    torch.manual_seed(0)
    x, y = (torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(ssim_dissimilarity, (x, y))
    assert torch.autograd.gradcheck(photometric_error, (x, y))


@pytest.mark.parametrize("window", [3, 7])
def test_value_and_gradients_of_ssim_are_those_of_its_definition(window):
    torch.manual_seed(0)
    x, y = (torch.rand(3, 2, 9, 10, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.rand(3, 2, 9, 10, dtype=torch.float64)
    value, expected = ssim_dissimilarity(x, y, window), plain_dissimilarity(x, y, window)
    assert torch.allclose(value, expected, rtol=0, atol=1e-12)
    for wanted in ((x, y), (x,), (y,)):
        gradients = torch.autograd.grad((value * weight).sum(), wanted, retain_graph=True)
        for a, b in zip(
            gradients, torch.autograd.grad((expected * weight).sum(), wanted, retain_graph=True), strict=True
        ):
            assert torch.allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("size", [(4, 5), (9, 23)])
def test_photometric_error_is_its_definition_with_its_gradients(window, size):
    torch.manual_seed(0)
    x, y = (torch.rand(5, 2, *size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.rand(5, 1, *size, dtype=torch.float64)
    value = photometric_error(x, y, 0.7, window)
    expected = 0.3 * (x - y).abs() + 0.7 * plain_dissimilarity(x, y, window)
    torch.testing.assert_close(value, expected.mean(1, keepdim=True), rtol=0, atol=1e-12)
    for wanted in ((x, y), (x,), (y,)):
        ours = torch.autograd.grad((value * weight).sum(), wanted, retain_graph=True)
        theirs = torch.autograd.grad(
            (expected.mean(1, keepdim=True) * weight).sum(), wanted, retain_graph=True
        )
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_photometric_error_of_images_in_any_memory_order():
    x, y = torch.rand(2, 2, 3, 6, 7).unbind()
    x = x.requires_grad_()
    results = []
    for order in (torch.contiguous_format, torch.channels_last):
        error = photometric_error(x.contiguous(memory_format=order), y.contiguous(memory_format=order))
        results.append([error, *torch.autograd.grad(error.sum(), x)])
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_photometric_error_of_half_precision_is_that_of_the_rounded_images():
    x, y = torch.rand(2, 2, 3, 6, 7).bfloat16().unbind()
    x.requires_grad_()
    error = photometric_error(x, y)
    assert torch.equal(error, photometric_error(x.float(), y.float()))
    assert torch.autograd.grad(error.sum(), x)[0].dtype == torch.bfloat16


def plain_dissimilarity(x, y, window):
    def mean(image):
        padded = torch.nn.functional.pad(image, (window // 2,) * 4, mode="reflect")
        return torch.nn.functional.avg_pool2d(padded, window, 1)

    covariance = mean(x * y) - mean(x) * mean(y)
    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    similarity = (2 * mean(x) * mean(y) + 1e-4) * (2 * covariance + 9e-4)
    similarity = similarity / ((mean(x) ** 2 + mean(y) ** 2 + 1e-4) * (variances + 9e-4))
    return ((1 - similarity) / 2).clamp(0, 1)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="window must be odd, got 4"):
        ssim_dissimilarity(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4), 4)
    with pytest.raises(ValueError, match="a window of 7 px needs images larger than 3 px"):
        photometric_error(torch.rand(1, 3, 3, 9), torch.rand(1, 3, 3, 9), window=7)
    with pytest.raises(ValueError, match=r"y must have shape \(B C H W\) with B=1, C=3, H=4, W=4"):
        ssim_dissimilarity(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 5))
    with pytest.raises(ValueError, match="target"):
        photometric_error(torch.rand(1, 3, 4, 4), torch.rand(2, 3, 4, 4))
