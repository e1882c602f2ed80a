"""Scores: depth errors under named protocols, and segmentation from one confusion matrix."""

from geopretrain.metrics.depth import (
    ERROR_NAMES,
    PROTOCOLS,
    DepthProtocol,
    blend_flipped,
    depth_errors,
    evaluate_depth,
    evaluate_depth_maps,
    get_protocol,
    guess_constant,
    guess_row_wise,
    naive_guesses,
)
from geopretrain.metrics.segmentation import (
    KITTI_SEVEN_CLASSES,
    SegmentationScore,
    as_released_kitti_labels,
    per_image_score,
)

__all__ = [
    "ERROR_NAMES",
    "KITTI_SEVEN_CLASSES",
    "PROTOCOLS",
    "DepthProtocol",
    "SegmentationScore",
    "as_released_kitti_labels",
    "blend_flipped",
    "depth_errors",
    "evaluate_depth",
    "evaluate_depth_maps",
    "get_protocol",
    "guess_constant",
    "guess_row_wise",
    "naive_guesses",
    "per_image_score",
]
