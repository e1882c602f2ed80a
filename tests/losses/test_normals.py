"""Normal matching and edge-aware relative normals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain import geometry
from geopretrain.losses.normals import (
    draw_anchors,
    edge_aware_relative_normals,
    edge_pixels,
    edges,
    normal_matching,
    points_along,
    relative_normals,
    usable_edges,
    valid_normals,
)


@pytest.fixture
def arrays(golden):
    return {n: torch.from_numpy(np.array(a)) for n, a in golden("sc_depth_v3.npz").items()}


@pytest.fixture
def normals(arrays):
    K = arrays["in_intrinsics"].double()
    names = ("in_tgt_depth", "in_pseudo_depth")
    return [geometry.surface_normals(arrays[n].double(), K) for n in names]


def test_normal_matching_equals_the_released_one(arrays, normals):
    np.testing.assert_allclose(normals[0], arrays["out_tgt_normal"], atol=1e-12)
    np.testing.assert_allclose(normal_matching(*normals), arrays["out_normal_l1_loss"], atol=1e-12)


def test_edge_strengths_equal_the_released_ones(arrays, normals):
    image, teacher = (arrays[n].double() for n in ("in_tgt_img", "in_pseudo_depth"))
    for found, name in (
        (edges(image[:, :1]), "rgb"),
        (edges(teacher), "depth"),
        (edges(normals[1], as_released=True), "normal"),
    ):
        np.testing.assert_allclose(found[0], arrays[f"out_edge_{name}_raw"], atol=1e-9)


def test_points_and_loss_equal_the_released_ones(arrays, normals):
    image, teacher = (arrays[n].double() for n in ("in_tgt_img", "in_pseudo_depth"))
    errors, size = [], image.shape[-2:]
    found = usable_edges(image, teacher, normals[1], as_released=True)
    for (strength, direction), name in zip(found, ("rgb", "normal"), strict=True):
        for i in (0, 1):
            key = f"{name}{i}"
            np.testing.assert_allclose(strength[i, 0], arrays[f"out_nr_edges_{key}"], atol=1e-9)
            edge_list = edge_pixels(strength)[i].flatten().nonzero().flatten()
            assert len(edge_list) == arrays[f"out_nr_num_edges_{key}"]
            anchors = edge_list[arrays[f"in_nr_anchor_{key}"].long()][None]
            distances = arrays[f"in_nr_dist_{key}"].long()[:, None]
            points = points_along(anchors, direction[i : i + 1], distances, size, as_released=True)
            np.testing.assert_array_equal(points[:, 0] // size[1], arrays[f"out_nr_row_{key}"])
            np.testing.assert_array_equal(points[:, 0] % size[1], arrays[f"out_nr_col_{key}"])
            errors.append(relative_normals(*(n[i : i + 1] for n in normals), points).flatten())
    np.testing.assert_allclose(torch.cat(errors).mean(), arrays["out_normal_ranking_loss"], atol=1e-12)


def test_drawing_a_part_of_the_edges_expects_the_same_loss(arrays, normals):
    image, teacher = (arrays[n].double() for n in ("in_tgt_img", "in_pseudo_depth"))
    torch.manual_seed(0)
    draws = [edge_aware_relative_normals(*normals, image, teacher, True)[0] for _ in range(40)]
    assert torch.stack(draws).mean().item() == pytest.approx(0.27, abs=0.02)


def test_anchors_are_edge_pixels_each_as_likely():
    strength = torch.zeros(2, 1, 6, 8)
    strength[0, 0, 2, [1, 5]] = 1.0
    torch.manual_seed(0)
    anchors, number = draw_anchors(strength, 1000)
    assert number.tolist() == [2, 0]
    assert set(anchors[0].tolist()) == {2 * 8 + 1, 2 * 8 + 5}
    assert abs((anchors[0] == 17).float().mean().item() - 0.5) < 0.06


def test_points_lie_on_both_sides_along_the_gradient():
    direction = torch.full((1, 1, 40, 40), -torch.pi / 4)  # brighter to the upper right
    anchors, distances = torch.tensor([[20 * 40 + 20]]), torch.full((4, 1, 1), 10)
    rows, columns = (
        f(points_along(anchors, direction, distances, (40, 40)), 40) for f in (torch.div, torch.fmod)
    )
    assert columns[:2].max() < 20 < columns[2:].min()
    assert rows[2:].max() < 20 < rows[:2].min()


def test_unknown_depth_does_not_count():
    teacher = torch.ones(1, 1, 8, 8)
    teacher[..., 4, 4] = 0
    valid = valid_normals(teacher)
    assert (~valid).sum() == 9
    a, b = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    b[..., 3:6, 3:6] = 5.0
    assert normal_matching(a, b, valid) == 0
    assert normal_matching(a, b) > 0


def test_no_edge_no_loss():
    flat = torch.zeros(1, 3, 20, 20)
    loss, fraction = edge_aware_relative_normals(flat, flat, flat, torch.ones(1, 1, 20, 20))
    assert (loss.item(), fraction.item()) == (0, 0)


def test_gradients_are_right():
    torch.manual_seed(0)
    depth = (1 + torch.rand(1, 1, 9, 10, dtype=torch.float64)).requires_grad_()
    K = torch.tensor([[[8.0, 0, 4.5], [0, 8, 4], [0, 0, 1]]], dtype=torch.float64)
    teacher = geometry.surface_normals(1 + torch.rand(1, 1, 9, 10, dtype=torch.float64), K)
    points = torch.randint(90, (4, 1, 12))

    def total(depth):
        normals = geometry.surface_normals(depth, K)
        return normal_matching(normals, teacher) + relative_normals(normals, teacher, points).mean()

    assert torch.autograd.gradcheck(total, depth)
