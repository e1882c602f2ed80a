"""Surface normals against a teacher's: normal matching and edge-aware relative normals (SC-Depth V3).

Sun et al., *SC-DepthV3: Robust Self-supervised Monocular Depth Estimation for Dynamic Scenes*, TPAMI 2023;
the pairs of points along edges follow Xian et al., *Structure-Guided Ranking Loss*, CVPR 2020.

``as_released`` reproduces the released code where it differs from this: pixels without a teacher's depth
count like others; image edges come from the first colour only; the direction of an edge forgets its signs,
so that points lie only to the lower right and the upper left of it; the threshold of depth edges is taken
over the whole batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry import check_shapes
from geopretrain.geometry.normals import sobel

EDGE_RATIO = 0.1
"""A pixel is on an edge from this fraction of the strongest gradient on (released code)."""
BORDER = 5
"""Edges of normals nearer to the image's border than this, in px, are not used (released code)."""
MIN_DISTANCE, MAX_DISTANCE = 3, 19
"""Distances, in px, of the four points from their edge (released code)."""
ANCHOR_FRACTION = 0.05
"""Edge pixels that are drawn, as a fraction of all pixels (our choice; released: as many as there are)."""


def valid_normals(teacher: Tensor) -> Tensor:
    """Return ``B 1 H W`` bool: the teacher's depth (0 = none) is valid here and all around."""
    return F.max_pool2d((teacher <= 0).to(torch.float32), 3, 1, 1) == 0


def normal_matching(normals: Tensor, teacher_normals: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of two fields of normals, a scalar (SC-Depth V3, normal matching).

    Args:
        normals: ``B 3 H W``.
        teacher_normals: ``B 3 H W``.
        valid: ``B 1 H W`` bool, what counts; None = all.
    """
    check_shapes(("normals", normals, "B 3 H W"), ("teacher_normals", teacher_normals, "B 3 H W"))
    difference = (normals - teacher_normals).abs().mean(1, keepdim=True)
    if valid is None:
        return difference.mean()
    return (difference * valid).sum() / valid.sum().clamp(min=1)


def edges(image: Tensor, as_released: bool = False) -> tuple[Tensor, Tensor]:
    """Return strength and direction (rad, of the gradient) of the edges of ``B C H W``, each ``B 1 H W``.

    Sobel filters without a factor, 0 at the border. Of several channels the one with the strongest gradient
    counts; ``as_released`` takes the mean of their absolute derivatives.
    """
    derivatives = torch.stack(sobel(image)) * 8
    derivatives = F.pad(derivatives[..., 1:-1, 1:-1], (1, 1, 1, 1))
    if as_released and image.shape[1] > 1:
        by_x, by_y = derivatives.abs().mean(2, keepdim=True)
    else:
        by_x, by_y = _strongest(derivatives)
    return torch.sqrt(by_x**2 + by_y**2), torch.atan2(by_y, by_x)


def _strongest(derivatives: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives ``B 1 H W`` of the channel of ``2 B C H W`` where they are largest together."""
    # argmax along the channels is ten times slower on a CPU
    squares = derivatives.square().sum(0)
    best, largest = derivatives[:, :, :1], squares[:, :1]
    for channel in range(1, squares.shape[1]):
        other = squares[:, channel : channel + 1]
        better = other > largest
        best = torch.where(better, derivatives[:, :, channel : channel + 1], best)
        largest = torch.where(better, other, largest)
    by_x, by_y = best
    return by_x, by_y


def edge_pixels(strength: Tensor, over_batch: bool = False) -> Tensor:
    """Return ``B 1 H W`` bool: at least a tenth of the largest strength, of each image or of the batch."""
    largest = strength.amax() if over_batch else strength.amax((1, 2, 3), keepdim=True)
    return (strength >= EDGE_RATIO * largest) & (strength > 0)


def usable_edges(
    image: Tensor, teacher: Tensor, teacher_normals: Tensor, as_released: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """Return the edges of the image and of the teacher's normals that lie on one surface.

    Edges of the teacher's depth, where two surfaces meet in the image only, are left out with what touches
    them.

    Args:
        image: ``B 3 H W``.
        teacher: ``B 1 H W`` depth.
        teacher_normals: ``B 3 H W``.
        as_released: see the head of this file.

    Returns:
        Twice: strength ``B 1 H W``, 0 where the edge is not used, and direction ``B 1 H W`` rad.
    """
    depth_strength, _ = edges(teacher)
    if not as_released:
        depth_strength = depth_strength * valid_normals(teacher)
    jumps = edge_pixels(depth_strength, over_batch=as_released)
    flat = F.max_pool2d(jumps.to(image.dtype), 3, 1, 1) == 0
    inner = torch.zeros_like(flat)
    inner[..., BORDER:-BORDER, BORDER:-BORDER] = True
    of_image = edges(image[:, :1] if as_released else image)
    of_normals = edges(teacher_normals, as_released)
    return [(of_image[0] * flat, of_image[1]), (of_normals[0] * (flat & inner), of_normals[1])]


def points_along(
    anchors: Tensor, direction: Tensor, distances: Tensor, size: tuple[int, int], as_released: bool = False
) -> Tensor:
    """Return the positions of four points before and behind each edge, along its gradient.

    Args:
        anchors: ``B N`` positions in the flattened image.
        direction: ``B 1 H W`` rad.
        distances: ``4 B N`` px; the first two points lie against the gradient, the other two along it.
        size: (height, width); points outside are moved to the border.
        as_released: without the signs of the direction.

    Returns:
        ``4 B N`` positions in the flattened image.
    """
    height, width = size
    theta = direction.flatten(1).gather(1, anchors)
    x, y = theta.cos(), theta.sin()
    if as_released:
        x, y = x.abs(), y.abs()
    signed = distances * distances.new_tensor([-1, -1, 1, 1])[:, None, None]
    columns = anchors % width + (signed * x).round().long()
    rows = anchors.div(width, rounding_mode="floor") + (signed * y).round().long()
    return rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)


def relative_normals(normals: Tensor, teacher_normals: Tensor, points: Tensor) -> Tensor:
    """Return | |cos teacher| - |cos predicted| | of the normals of neighbouring points: a-b, b-c, c-d.

    Args:
        normals: ``B 3 H W``.
        teacher_normals: ``B 3 H W``.
        points: ``4 B N`` positions in the flattened image.

    Returns:
        ``3 B N``.
    """
    cosines = []
    for field in (teacher_normals, normals):
        read = torch.stack([field.flatten(2).gather(2, p[:, None].expand(-1, 3, -1)) for p in points])
        cosines.append((read[:-1] * read[1:]).sum(2).abs())
    return (cosines[0] - cosines[1]).abs()


def draw_anchors(strength: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw edge pixels with repetition, each as likely as any other, without waiting for the device.

    Returns:
        Positions ``B count`` in the flattened image, and the number of edge pixels ``B``; where there are
        none the positions mean nothing.
    """
    sums = edge_pixels(strength).flatten(1).cumsum(1)
    total = sums[:, -1:]
    wanted = (torch.rand(len(sums), count, device=sums.device) * total).long() + 1
    found = torch.searchsorted(sums, wanted.clamp(max=total.clamp(min=1)))
    return found.clamp(max=sums.shape[1] - 1), total[:, 0]


def edge_aware_relative_normals(
    normals: Tensor, teacher_normals: Tensor, image: Tensor, teacher: Tensor, as_released: bool = False
) -> tuple[Tensor, Tensor]:
    """Compare how normals change across edges with the teacher's (SC-Depth V3).

    Every edge pixel has the same weight, as if all were drawn.

    Args:
        normals: predicted, ``B 3 H W``.
        teacher_normals: ``B 3 H W``.
        image: ``B 3 H W``.
        teacher: ``B 1 H W`` depth, 0 = none.
        as_released: see the head of this file.

    Returns:
        The loss, a scalar, 0 where there is no edge; and the fraction of pixels on a usable edge.
    """
    batch, _, height, width = normals.shape
    count = max(1, int(ANCHOR_FRACTION * height * width))
    valid = torch.ones_like(teacher) if as_released else valid_normals(teacher).to(normals)
    totals, weights, edge_fraction = [], [], []
    for strength, direction in usable_edges(image, teacher, teacher_normals, as_released):
        anchors, number = draw_anchors(strength, count)
        distances = torch.randint(MIN_DISTANCE, MAX_DISTANCE + 1, (4, batch, count), device=anchors.device)
        points = points_along(anchors, direction, distances, (height, width), as_released)
        counts = torch.stack([valid.flatten(1).gather(1, p) for p in points])
        weight = counts[:-1] * counts[1:] * number[:, None].to(normals)
        totals.append((relative_normals(normals, teacher_normals, points) * weight).sum())
        weights.append(weight.sum())
        edge_fraction.append(number.to(normals).mean() / (height * width))
    total, weight = torch.stack(totals).sum(), torch.stack(weights).sum()
    return total / weight.clamp(min=1), torch.stack(edge_fraction).sum()
