"""How well a flow explains one image by another."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry import check_shapes, resize_flow, warp_flow
from geopretrain.losses.kernels import photometric_error


def flow_reprojection(
    flow: Tensor, target: Tensor, source: Tensor, ssim_weight: float = 0.85
) -> tuple[Tensor, Tensor]:
    """Return the photometric error of the source read where the flow says (Wang et al., equation 4).

    Args:
        flow: ``B 2 H W`` px (right, down), target to source.
        target: ``B 3 H W`` in [0, 1].
        source: ``B 3 H W`` in [0, 1]; beyond its border the border is repeated.
        ssim_weight: weight of the SSIM term (beta); the absolute difference gets the rest.

    Returns:
        The error ``B 1 H W`` and ``B 1 H W`` bool: the flow ends inside the source.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("target", target, "B 3 H W"), ("source", source, "B 3 H W"), ("flow", flow, "B 2 H W"))
    warped, in_view = warp_flow(source, flow)
    return photometric_error(warped, target, ssim_weight), in_view


def accumulate_flow(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Add each scale's flow to the next coarser one's, resized: flow from coarse to fine.

    Args:
        outputs: ``B 2 H/2**s W/2**s`` px of their own scale, finest first; the coarsest is a flow, the others
            are corrections.

    Returns:
        The flows, same shapes and units.
    """
    flows = [outputs[-1]]
    for correction in reversed(outputs[:-1]):
        flows.append(resize_flow(flows[-1], correction.shape[-2:]) + correction)
    return flows[::-1]


def image_at(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return the image ``B C H W`` averaged down to ``size``."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, tuple(size), mode="area")
