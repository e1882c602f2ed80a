"""How well warped sources explain the target, and the gradient, out of loops over pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.losses.loops import Array, compiled_loops, share_out
from geopretrain.losses.photometric_loops import photometric_errors, photometric_gradient
from geopretrain.losses.reprojection_scale import Explained, Views
from geopretrain.losses.warp_loops import warp_gradient, warp_images


def explain(inverse_depth: Tensor, form: Tensor, views: Views, needs_gradient: bool) -> Explained:
    """Warp the sources, choose the best for each pixel, and carry the gradient back.

    Arguments as `reprojection_tensors.explain`. No tensor operation that would wake torch's threads comes in
    between: they keep their cores for some milliseconds.
    """
    options, sources = views.options, views.sources
    where = inverse_depth.contiguous(), form, sources, options.align_corners
    warped, in_view = torch.empty_like(sources), torch.empty_like(form[..., 0, 0])
    share_out(warp_images, len(inverse_depth), *where, warped, in_view)
    pairs = warped.flatten(0, 1), views.target.flatten(0, 1), float(options.ssim_weight), (0,) * 3
    errors = torch.empty_like(sources[:, :, :1])
    share_out(photometric_errors, len(pairs[0]), *pairs, errors.flatten(0, 1))
    shares, sums = torch.empty_like(errors), torch.empty_like(form[0, :, :, 0])
    choice = errors, views.identity, views.automask, options.average
    share_out(choose, len(inverse_depth), *choice, shares, sums)
    minimum, reprojection, masked = sums.sum(0).unbind()
    gradients = None
    if needs_gradient:
        of_warped = torch.empty_like(sources)
        maps = shares.flatten(0, 1), of_warped.flatten(0, 1)
        share_out(photometric_gradient, len(pairs[0]), *pairs, *maps)
        gradients = torch.empty_like(where[0]), torch.empty_like(form)
        share_out(warp_gradient, len(inverse_depth), *where, of_warped, *gradients)
    return Explained(minimum, reprojection, masked, in_view.sum() / len(form), gradients)


@compiled_loops
def choose(
    sample: int,
    errors: Array,
    identity: Array,
    automask: bool,
    average: bool,
    shares: Array,
    sums: Array,
) -> None:
    """Choose among the errors ``N B 1 H W`` of the warped and those, ``B H W``, of the unwarped sources.

    ``shares`` gets what each warped source counts at each pixel, ``sums`` (``B 3``) the smallest error with
    and without the unwarped sources and the number of pixels where these are chosen; with equal errors they
    are, since they stand first among the candidates.
    """
    sources, _, _, height, width = errors.shape
    smallest, reprojection, masked = 0.0, 0.0, 0
    for row in range(height):
        for column in range(width):
            best, least, total = 0, errors[0, sample, 0, row, column], errors[0, sample, 0, row, column]
            for source in range(1, sources):
                error = errors[source, sample, 0, row, column]
                total += error
                if error < least:
                    best, least = source, error
            value = total / sources if average else least
            unwarped = identity[sample, row, column]
            hidden = automask and value >= unwarped
            for source in range(sources):
                counts = average or source == best
                share = (1 / sources if average else 1.0) if counts and not hidden else 0.0
                shares[source, sample, 0, row, column] = share
            reprojection += value
            smallest += unwarped if hidden else value
            masked += hidden
    sums[sample, 0], sums[sample, 1], sums[sample, 2] = smallest, reprojection, masked
