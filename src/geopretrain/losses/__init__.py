"""Losses as pure functions, each citing its equation.

What people read is the plain form in tensor operations. Three losses that take time have an operator of the
same name in `losses.kernels`, and those are what this package exports: ``photometric_error`` (plain:
`losses.photometric`), ``minimum_reprojection`` (`losses.reprojection`) and ``synthesise_with_depth``
(`losses.synthesis`).
"""

from geopretrain.losses.automask import identity_error, source_errors
from geopretrain.losses.flow import accumulate_flow, flow_reprojection, image_at
from geopretrain.losses.geometry_consistency import (
    Comparison,
    ConsistencyOptions,
    compare_views,
    geometry_loss,
    photometric_loss,
)
from geopretrain.losses.kernels import minimum_reprojection, photometric_error, synthesise_with_depth
from geopretrain.losses.masked import (
    from_patches,
    hidden_l1,
    like_patches,
    normalised_in_windows,
    normalised_patches,
    patches_of,
)
from geopretrain.losses.normals import edge_aware_relative_normals, normal_matching, valid_normals
from geopretrain.losses.ranking import confident_ranking
from geopretrain.losses.rectification import rotation_consistency, rotation_triplet, training_rotations
from geopretrain.losses.regression import (
    affine_invariant_mae,
    masked_l1,
    silog,
    ssi_mse,
    ssi_trimmed_mae,
)
from geopretrain.losses.reprojection import Reprojection, full_size
from geopretrain.losses.smoothness import edge_aware_smoothness, mean_normalised
from geopretrain.losses.ssim import ssim_dissimilarity
from geopretrain.losses.synthesis import SynthesisWithDepth, synthesise

__all__ = [
    "Comparison",
    "ConsistencyOptions",
    "Reprojection",
    "SynthesisWithDepth",
    "accumulate_flow",
    "affine_invariant_mae",
    "compare_views",
    "confident_ranking",
    "edge_aware_relative_normals",
    "edge_aware_smoothness",
    "flow_reprojection",
    "from_patches",
    "full_size",
    "geometry_loss",
    "hidden_l1",
    "identity_error",
    "image_at",
    "like_patches",
    "masked_l1",
    "mean_normalised",
    "minimum_reprojection",
    "normal_matching",
    "normalised_in_windows",
    "normalised_patches",
    "patches_of",
    "photometric_error",
    "photometric_loss",
    "rotation_consistency",
    "rotation_triplet",
    "silog",
    "source_errors",
    "ssi_mse",
    "ssi_trimmed_mae",
    "ssim_dissimilarity",
    "synthesise",
    "synthesise_with_depth",
    "training_rotations",
    "valid_normals",
]
