import pytest
import torch

from geopretrain.geometry import resize_flow
from geopretrain.losses import accumulate_flow, edge_aware_smoothness, flow_reprojection, image_at


def sliding(shift: float, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """A pattern, and the same pattern seen ``shift`` px further to the right."""
    x = torch.arange(20, dtype=dtype)
    pattern = lambda at: (0.5 + 0.3 * torch.sin(at / 3)).expand(1, 3, 8, 20)
    return pattern(x), pattern(x - shift)


def test_the_true_flow_explains_everything_in_view_also_between_pixels():
    for shift, tolerance in ((3.0, 1e-9), (2.5, 2e-3)):
        target, source = sliding(shift)
        flow = torch.tensor([shift, 0.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 8, 20)
        error, in_view = flow_reprojection(flow, target, source)
        assert in_view[..., :16].all()
        assert not in_view[..., 17:].any()
        assert error[..., :15].max() < tolerance
        assert flow_reprojection(-flow, target, source)[0][..., 4:15].mean() > 0.05


def test_absolute_difference_by_hand():
    target, source = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    source[..., 2] = 0.6
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 0, :, 1] = 0.5  # half way between 0 and 0.6
    error, _ = flow_reprojection(flow, target, source, ssim_weight=0.0)
    assert torch.allclose(error[0, 0, 0], torch.tensor([0.0, 0.3, 0.6, 0.0]))


def test_gradients():
    torch.manual_seed(0)
    target, source = torch.rand(2, 1, 3, 5, 6, dtype=torch.float64)
    flow = (torch.rand(1, 2, 5, 6, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: flow_reprojection(f, target, source)[0], (flow,))
    assert torch.autograd.gradcheck(lambda f: edge_aware_smoothness(f, target), (flow,))
    coarse = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: accumulate_flow([a, b])[0], (flow, coarse))


def test_smoothness_adds_both_directions_of_the_flow():
    torch.manual_seed(0)
    flow, image = torch.rand(2, 2, 5, 6, dtype=torch.float64), torch.rand(2, 3, 5, 6, dtype=torch.float64)
    parts = [edge_aware_smoothness(flow[:, i : i + 1], image) for i in (0, 1)]
    assert edge_aware_smoothness(flow, image).item() == pytest.approx((parts[0] + parts[1]).item())


def test_a_resized_flow_points_at_the_same_places():
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0], flow[:, 1] = 2.0, -1.0
    resized = resize_flow(flow, (3, 16))
    assert resized.shape == (1, 2, 3, 16)
    assert torch.allclose(resized[:, 0], torch.tensor(4.0))
    assert torch.allclose(resized[:, 1], torch.tensor(-0.5))
    assert resize_flow(flow, (6, 8)) is flow


def test_finer_scales_correct_the_coarser_flow():
    fine, coarse = torch.full((1, 2, 8, 8), 0.25), torch.full((1, 2, 4, 4), 1.5)
    finest, coarsest = accumulate_flow([fine, coarse])
    assert torch.allclose(finest, torch.tensor(3.25))
    assert torch.equal(coarsest, coarse)


def test_an_image_is_averaged_down():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(image_at(image, (2, 2)), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
    assert image_at(image, (4, 4)) is image


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"flow must have shape \(B 2 H W\) with B=1, H=4, W=5"):
        flow_reprojection(torch.rand(1, 2, 4, 4), torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5))
