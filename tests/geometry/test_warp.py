import pytest
import torch

from geopretrain.geometry import pose_matrix, rigid_flow, sample, warp, warp_flow


@pytest.fixture
def arrays(golden):
    return {name: torch.tensor(a) for name, a in golden("monodepth2_layers.npz").items() if a.ndim}


def scene(arrays, dtype=torch.float64):
    return (
        arrays["in_depth"].to(dtype),
        arrays["in_K"][:, :3, :3].to(dtype),
        pose_matrix(
            arrays["in_axisangle_proj"][:, 0].to(dtype), arrays["in_translation_proj"][:, 0].to(dtype)
        ),
    )


def test_rigid_flow_is_golden(arrays):
    flow, _ = rigid_flow(*scene(arrays))
    height, width = flow.shape[-2:]
    grid = arrays["out_grid"]
    pixels = torch.stack([(grid[..., 0] + 1) / 2 * (width - 1), (grid[..., 1] + 1) / 2 * (height - 1)], dim=1)
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    assert torch.allclose(flow, pixels - torch.stack([u, v]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_warp_is_golden(arrays, align_corners, dtype, tolerance):
    depth, intrinsics, pose = scene(arrays, dtype)
    warped, _ = warp(arrays["in_src"].to(dtype), depth, intrinsics, pose, align_corners=align_corners)
    expected = arrays[f"out_warp_border_align{str(align_corners).lower()}"]
    assert (warped.double() - expected).abs().max() < tolerance


def test_warp_is_valid_in_view_in_front_and_measured(arrays):
    depth, intrinsics, pose = scene(arrays)
    _, valid = warp(arrays["in_src"].double(), depth, intrinsics, pose)
    flow, z = rigid_flow(depth, intrinsics, pose)
    assert (z <= 0).any()
    assert not valid[z <= 0].any()
    assert not valid[depth == 0].any()
    grid = arrays["out_grid"].abs().amax(-1)[:, None]
    assert torch.equal(valid, (grid <= 1) & (z > 0) & (depth > 0))
    assert 0 < valid.double().mean() < 1
    assert flow.isfinite().all()


def test_moving_right_shifts_the_image_left():
    """A camera one unit further right sees a plane at depth 4 with focal length 8 two pixels further left."""
    source = torch.rand(1, 3, 6, 10, dtype=torch.float64)
    depth = torch.full((1, 1, 6, 10), 4.0, dtype=torch.float64)
    intrinsics = torch.tensor([[[8, 0, 4.5], [0, 8, 2.5], [0, 0, 1]]], dtype=torch.float64)
    pose = pose_matrix(torch.zeros(1, 3).double(), torch.tensor([[-1.0, 0, 0]]).double())
    flow, _ = rigid_flow(depth, intrinsics, pose)
    assert torch.allclose(flow[:, 0], torch.full_like(flow[:, 0], -2), atol=1e-5)
    assert torch.allclose(flow[:, 1], torch.zeros_like(flow[:, 1]), atol=1e-5)
    warped, valid = warp(source, depth, intrinsics, pose)
    assert torch.allclose(warped[..., 2:], source[..., :-2], atol=1e-5)
    assert not valid[..., :2].any()
    assert valid[..., 3:].all()
    by_flow, in_view = warp_flow(
        source, torch.tensor([-2.0, 0.0]).double()[None, :, None, None].expand(1, 2, 6, 10)
    )
    assert torch.allclose(by_flow[..., 2:], source[..., :-2])
    assert torch.equal(in_view[0, 0, 0], torch.tensor([False, False] + [True] * 8))


def test_sample_reads_between_pixels_and_pads():
    image = torch.tensor([[0.0, 1], [2, 3]])[None, None]
    pixels = torch.tensor([[0.5, 0.5], [1, 0], [3, 1], [-1, 0]]).T[None, :, :, None]
    assert sample(image, pixels).flatten().tolist() == pytest.approx([1.5, 1, 3, 0])
    assert sample(image, pixels, "zeros").flatten().tolist() == pytest.approx([1.5, 1, 0, 0])
    with pytest.raises(ValueError, match="'mirror'"):
        sample(image, pixels, "mirror")
    with pytest.raises(ValueError, match=r"pixels must have shape \(B 2 h w\) with B=1"):
        sample(image, torch.zeros(2, 2, 1, 1))


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("position", [float("nan"), float("inf"), float("-inf"), 1e30])
def test_convention_positions_that_are_none_are_outside(padding, position):
    """torch alone ends it in the backward pass; they read the border, or 0, and get no gradient."""
    image = torch.rand(1, 3, 6, 9, dtype=torch.float64)
    pixels = (4 * torch.rand(1, 2, 6, 9, dtype=torch.float64)).clone()
    pixels[0, 0, 2] = position
    pixels.requires_grad_()
    read = sample(image, pixels, padding)
    (gradient,) = torch.autograd.grad(read.sum(), pixels)
    assert gradient.isfinite().all()
    assert (gradient[0, 0, 2] == 0).all()
    border = sample(image, pixels.detach().nan_to_num(-1e3, 1e3, -1e3), padding)
    assert torch.equal(read, border)


@pytest.mark.parametrize("value", [0.0, -3.0, float("nan"), float("inf")])
def test_without_a_depth_nothing_is_valid(value):
    depth = torch.full((1, 1, 4, 5), 2.0, dtype=torch.float64)
    depth[0, 0, 1:3, 1:4] = value
    intrinsics = torch.tensor([[[5, 0, 2.1], [0, 5, 1.4], [0, 0, 1]]], dtype=torch.float64)
    pose = pose_matrix(torch.zeros(1, 3).double(), torch.tensor([[0.0, 0, 4]]).double()).requires_grad_()
    depth.requires_grad_()
    warped, valid = warp(torch.rand(1, 3, 4, 5, dtype=torch.float64), depth, intrinsics, pose)
    assert not valid[0, 0, 1:3, 1:4].any()
    assert valid.any()
    gradients = torch.autograd.grad(warped.sum(), (depth, pose))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients():
    torch.manual_seed(3)
    source = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    depth = (torch.rand(1, 1, 4, 5, dtype=torch.float64) + 1).requires_grad_()
    intrinsics = torch.tensor([[[5, 0, 2.1], [0, 5, 1.4], [0, 0, 1]]], dtype=torch.float64)
    vector = torch.tensor([[0.02, -0.01, 0.03]], dtype=torch.float64, requires_grad=True)
    translation = torch.tensor([[0.11, 0.07, -0.05]], dtype=torch.float64, requires_grad=True)

    def warped(source, depth, vector, translation):
        return warp(source, depth, intrinsics, pose_matrix(vector, translation))[0]

    assert torch.autograd.gradcheck(warped, (source, depth, vector, translation))
