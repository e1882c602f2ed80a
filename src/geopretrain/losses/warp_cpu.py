"""Warping of images together with their depth as an operation for tensors on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from geopretrain.geometry import check_shapes
from geopretrain.losses.loops import share_out
from geopretrain.losses.warp_loops import warp_with_depth, warp_with_depth_gradient


class WarpWithDepth(torch.autograd.Function):
    """Sources and their depths seen from a target; differentiable by all but the sources."""

    @staticmethod
    def forward(
        ctx: Any, inverse_depth: Tensor, form: Tensor, sources: Tensor, depths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the images ``B C H W`` and depths read, z / depth and what is in view, ``B 1 H W`` each.

        Args:
            inverse_depth: ``B 1 H W`` of the target.
            form: ``B 3 4``, see `losses.reprojection_scale`.
            sources: ``B C H W``.
            depths: ``B 1 H W`` of the sources.

        Raises:
            ValueError: the shapes differ.
        """
        check_shapes(  # loops do not notice when they leave an array
            ("sources", sources, "B C H W"),
            ("inverse_depth", inverse_depth, "B 1 H W"),
            ("depths", depths, "B 1 H W"),
            ("form", form, "B 3 4"),
        )
        given = [values.detach().contiguous() for values in (inverse_depth, form, sources, depths)]
        ctx.save_for_backward(*given)
        images, read, z = (torch.empty_like(values) for values in (given[2], given[3], given[0]))
        in_view = torch.empty_like(z, dtype=torch.bool)
        share_out(warp_with_depth, len(z), *given, images, read, z, in_view)
        ctx.mark_non_differentiable(in_view)
        return images, read, z, in_view

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, Tensor]:
        """Return the gradients by the inverse depth, the form and the sources' depths."""
        inverse_depth, form, sources, depths = ctx.saved_tensors
        results = [torch.empty_like(values) for values in (inverse_depth, form, depths)]
        given = [values.contiguous() for values in upstream[:3]]
        share_out(warp_with_depth_gradient, len(form), inverse_depth, form, sources, depths, *given, *results)
        return results[0], results[1], None, results[2]
