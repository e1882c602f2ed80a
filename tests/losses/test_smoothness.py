import math

import pytest
import torch

from geopretrain.losses import edge_aware_smoothness, mean_normalised


def test_by_hand():
    disparity = torch.tensor([[1.0, 3.0], [1.0, 1.0]])[None, None]
    image = torch.zeros(1, 3, 2, 2)
    image[:, 0, 0, 1] = 1.5  # mean over the colours: a step of 0.5 to the right and down
    x = (2 * math.exp(-0.5) + 0) / 2
    y = (0 + 2 * math.exp(-0.5)) / 2
    assert edge_aware_smoothness(disparity, image).item() == pytest.approx(x + y)


def test_golden(golden):
    arrays = golden("monodepth2_layers.npz")
    disparity, image = (torch.tensor(arrays[f"in_smooth_{name}"]).double() for name in ("disp", "img"))
    normalised = mean_normalised(disparity)
    assert torch.allclose(normalised, torch.tensor(arrays["out_norm_disp"]), rtol=1e-12)
    assert edge_aware_smoothness(disparity, image).item() == pytest.approx(
        arrays["out_smooth_raw"], rel=1e-12
    )
    computed = edge_aware_smoothness(normalised, image).item()
    assert computed == pytest.approx(arrays["out_smooth_normalised"], rel=1e-12)


def test_normalising_forgets_the_scale():
    disparity, image = torch.rand(2, 1, 4, 5).double(), torch.rand(2, 3, 4, 5).double()
    once, thrice = (edge_aware_smoothness(mean_normalised(k * disparity), image) for k in (1, 3))
    assert once.item() == pytest.approx(thrice.item(), rel=1e-6)


def test_gradients():
    disparity = torch.rand(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: edge_aware_smoothness(mean_normalised(d), image), (disparity,))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"image must have shape \(B C H W\) with B=1, H=4, W=4"):
        edge_aware_smoothness(torch.rand(1, 1, 4, 4), torch.rand(1, 3, 4, 5))
