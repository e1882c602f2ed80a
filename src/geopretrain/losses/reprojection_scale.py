"""What the scales of the reprojection loss are computed from.

The camera motion enters in its homography form: a pixel r = (u, v, 1) with inverse depth q lies in the source
at A r + q b with A = K' R K⁻¹ and b = K' t, so that no point is ever lifted to space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry import pixel_grid
from geopretrain.geometry.camera import PROJECTION_EPSILON
from geopretrain.losses.photometric import photometric_error


@dataclass(frozen=True)
class PhotometricOptions:
    """What the photometric error is made of.

    Attributes:
        ssim_weight: weight of the SSIM term; the absolute difference has the rest.
        average: average the sources instead of taking the best one for each pixel.
        align_corners: how ``grid_sample`` reads positions normalised by (W - 1, H - 1); True is exact.
        compiled: tensor operations everywhere, run through ``torch.compile``.
    """

    ssim_weight: float = 0.85
    average: bool = False
    align_corners: bool = True
    compiled: bool = False

    def errors(self, predictions: Tensor, target: Tensor) -> Tensor:
        """Return the photometric errors ``N B H W`` of images ``N B 3 H W``."""
        pair = predictions.flatten(0, 1), target.flatten(0, 1)
        flat = photometric_error(*pair, self.ssim_weight, compiled=self.compiled)
        return flat[:, 0].unflatten(0, predictions.shape[:2])


@dataclass(frozen=True)
class Views:
    """What all scales share: images, auto-mask and pixel grid.

    Attributes:
        target: ``N B 3 H W``, the same for each source.
        sources: ``N B 3 H W``.
        identity: ``B H W`` smallest (or average) error of the unwarped sources plus noise.
        grid: ``3 H W``, (u, v, 1) of each pixel.
        automask: whether ``identity`` competes with the warped sources.
        options: what the photometric error is made of.
    """

    target: Tensor
    sources: Tensor
    identity: Tensor
    grid: Tensor
    automask: bool
    options: PhotometricOptions


@torch.no_grad()
def prepare_views(
    target: Tensor, sources: Tensor, noise: Tensor | None, automask: bool, options: PhotometricOptions
) -> Views:
    """Compute what the scales share.

    Args:
        target: ``B 3 H W``.
        sources: ``N B 3 H W``.
        noise: ``N B H W`` added to the errors of the unwarped sources (``1 B H W`` with ``average``), or
            None.
        automask: whether the unwarped sources compete with the warped ones.
        options: what the photometric error is made of.
    """
    repeated = target.expand_as(sources).contiguous()
    identity = options.errors(sources, repeated)
    if options.average:
        identity = identity.mean(0, keepdim=True)
    if noise is not None:
        identity = identity + noise
    grid = pixel_grid(*target.shape[-2:], device=target.device, dtype=target.dtype)
    return Views(repeated, sources, identity.amin(0), grid, automask, options)


def homography_form(
    source_intrinsics: Tensor, inverse_intrinsics: Tensor, pose: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return [K' R K⁻¹ | K' t] in coordinates that run from -1 to 1 over the image; K' is the source's.

    Args:
        source_intrinsics: ``B N 3 3`` px, or ``B 1 3 3`` for all sources.
        inverse_intrinsics: ``B 3 3`` of the target.
        pose: ``B N 4 4``, ``T_target_to_source``.
        size: (height, width).

    Returns:
        ``N B 3 4``.

    Raises:
        ValueError: the image is less than 2 px high or wide.
    """
    if min(size) < 2:
        raise ValueError(f"images must be at least 2 px high and wide, got {size[0]} x {size[1]}")
    rays = _matmul(pose[..., :3, :3], inverse_intrinsics[:, None])
    moved = _matmul(source_intrinsics, torch.cat([rays, pose[..., :3, 3:]], dim=-1))
    x, y, z = moved.unbind(-2)
    z = z + F.pad(z.new_full((1,), PROJECTION_EPSILON), (3, 0))
    form = torch.stack([x * (2 / (size[1] - 1)) - z, y * (2 / (size[0] - 1)) - z, z], dim=-2)
    return form.transpose(0, 1).contiguous()


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    # written out, because matrix units may round to TF32, which is some pixels here
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


class Explained(NamedTuple):
    """How well the warped sources explain the target, summed over all pixels.

    Attributes:
        minimum: smallest error, after the auto-mask.
        reprojection: smallest error of the warped sources.
        masked: number of pixels where an unwarped source is as good.
        in_view: number of pixels in view and in front of a source, mean over the sources.
        gradients: of ``minimum`` by the inverse depth ``B 1 H W`` and the form ``N B 3 4``, where asked for.
    """

    minimum: Tensor
    reprojection: Tensor
    masked: Tensor
    in_view: Tensor
    gradients: tuple[Tensor, Tensor] | None
