"""Losses as pure functions, each citing its equation."""

from geopretrain.losses.photometric import photometric_error, ssim_dissimilarity
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
    "edge_aware_smoothness",
    "mean_normalised",
    "multiscale_reprojection",
    "photometric_error",
    "reprojection_candidates",
    "ssim_dissimilarity",
]
