"""Losses as pure functions, each citing its equation."""

from geopretrain.losses.flow import accumulate_flow, flow_reprojection, image_at
from geopretrain.losses.photometric import photometric_error, ssim_dissimilarity
from geopretrain.losses.regression import (
    affine_invariant_mae,
    masked_l1,
    silog,
    ssi_mse,
    ssi_trimmed_mae,
)
from geopretrain.losses.reprojection import (
    ReprojectionCandidates,
    ReprojectionResult,
    multiscale_reprojection,
    reprojection_candidates,
)
from geopretrain.losses.smoothness import edge_aware_smoothness, mean_normalised

__all__ = [
    "ReprojectionCandidates",
    "ReprojectionResult",
    "accumulate_flow",
    "affine_invariant_mae",
    "edge_aware_smoothness",
    "flow_reprojection",
    "image_at",
    "masked_l1",
    "mean_normalised",
    "multiscale_reprojection",
    "photometric_error",
    "reprojection_candidates",
    "silog",
    "ssi_mse",
    "ssi_trimmed_mae",
    "ssim_dissimilarity",
]
