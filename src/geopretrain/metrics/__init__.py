"""Scores: depth errors under named protocols, and segmentation from one confusion matrix."""

from geopretrain.metrics.depth import (
    ERROR_NAMES,
    blend_flipped,
    depth_errors,
    evaluate_depth,
    evaluate_depth_maps,
)
from geopretrain.metrics.depth_baselines import (
    guess_constant,
    guess_ground_ramp,
    guess_row_wise,
    naive_guesses,
)
from geopretrain.metrics.depth_protocols import PROTOCOLS, DepthProtocol, get_protocol
from geopretrain.metrics.flow import FLOW_ERROR_NAMES, FLOW_PROTOCOL, evaluate_flow, flow_errors
from geopretrain.metrics.segmentation import (
    KITTI_SEVEN_CLASSES,
    SegmentationScore,
    as_released_kitti_labels,
    per_image_score,
)

__all__ = [
    "ERROR_NAMES",
    "FLOW_ERROR_NAMES",
    "FLOW_PROTOCOL",
    "KITTI_SEVEN_CLASSES",
    "PROTOCOLS",
    "DepthProtocol",
    "SegmentationScore",
    "as_released_kitti_labels",
    "blend_flipped",
    "depth_errors",
    "evaluate_depth",
    "evaluate_depth_maps",
    "evaluate_flow",
    "flow_errors",
    "get_protocol",
    "guess_constant",
    "guess_ground_ramp",
    "guess_row_wise",
    "naive_guesses",
    "per_image_score",
]
