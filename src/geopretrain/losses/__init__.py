"""Losses as pure functions, each citing its equation."""

from geopretrain.losses.flow import accumulate_flow, flow_reprojection, image_at
from geopretrain.losses.geometry_consistency import (
    ConsistencyOptions,
    ConsistencyResult,
    photometric_and_geometry,
)
from geopretrain.losses.normals import edge_aware_relative_normals, known_normals, normal_matching
from geopretrain.losses.photometric import photometric_error
from geopretrain.losses.ranking import confident_ranking
from geopretrain.losses.rectification import known_turns, rotation_consistency, rotation_triplet
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
from geopretrain.losses.ssim import ssim_dissimilarity

__all__ = [
    "ConsistencyOptions",
    "ConsistencyResult",
    "ReprojectionCandidates",
    "ReprojectionResult",
    "accumulate_flow",
    "affine_invariant_mae",
    "confident_ranking",
    "edge_aware_relative_normals",
    "edge_aware_smoothness",
    "flow_reprojection",
    "image_at",
    "known_normals",
    "known_turns",
    "masked_l1",
    "mean_normalised",
    "multiscale_reprojection",
    "normal_matching",
    "photometric_and_geometry",
    "photometric_error",
    "reprojection_candidates",
    "rotation_consistency",
    "rotation_triplet",
    "silog",
    "ssi_mse",
    "ssi_trimmed_mae",
    "ssim_dissimilarity",
]
