import math

import pytest
import torch

from geopretrain.geometry import invert_pose, pose_matrix, rotation_from_axis_angle


def test_quarter_turn_about_z_takes_x_to_y():
    rotation = rotation_from_axis_angle(torch.tensor([[0, 0, math.pi / 2]], dtype=torch.float64))
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    assert torch.allclose(rotation[0] @ x, torch.tensor([0.0, 1, 0], dtype=torch.float64), atol=1e-6)


def test_golden(golden):
    arrays = {name: torch.tensor(a) for name, a in golden("monodepth2_layers.npz").items() if a.ndim}
    vectors, translations = arrays["in_axisangle"][:, 0].double(), arrays["in_translation"][:, 0].double()
    pose = pose_matrix(vectors, translations)
    assert torch.allclose(rotation_from_axis_angle(vectors), arrays["out_R"][:, :3, :3], atol=1e-12)
    assert torch.allclose(pose, arrays["out_T"], atol=1e-12)
    assert torch.allclose(invert_pose(pose), arrays["out_T_invert"], atol=1e-12)
    single = pose_matrix(vectors.float(), translations.float())
    assert torch.allclose(single.double(), arrays["out_T"], atol=5e-6)


def test_small_rotations_keep_their_second_order():
    """1 - cos of 1e-4 is zero in float32 when computed as written."""
    rotation = rotation_from_axis_angle(torch.tensor([[1e-4, 2e-4, 0]]))
    exact = torch.linalg.matrix_exp(
        torch.tensor([[0, 0, 2e-4], [0, 0, -1e-4], [-2e-4, 1e-4, 0]], dtype=torch.float64)
    )
    assert rotation[0, 0, 1].item() == pytest.approx(exact[0, 1].item(), rel=2e-3)


def test_inverse_undoes_the_motion():
    pose = pose_matrix(torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64))
    identity = torch.eye(4, dtype=torch.float64).expand(5, 4, 4)
    assert torch.allclose(invert_pose(pose) @ pose, identity, atol=1e-6)


def test_gradients():
    vector = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    translation = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, t: invert_pose(pose_matrix(a, t)), (vector, translation))
    zero = torch.zeros(1, 3, requires_grad=True)
    rotation_from_axis_angle(zero).sum().backward()
    assert zero.grad.isfinite().all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"axis_angle must have shape \(B 3\), got \(2, 1, 3\)"):
        rotation_from_axis_angle(torch.zeros(2, 1, 3))
    with pytest.raises(ValueError, match="translation"):
        pose_matrix(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="pose"):
        invert_pose(torch.eye(3)[None])
