"""Scores: depth errors under named protocols, and segmentation from one confusion matrix."""

from geopretrain.metrics.depth import (
    ERROR_NAMES,
    DepthScores,
    blend_flipped,
    depth_errors,
    evaluate_depth,
    evaluate_depth_maps,
)
from geopretrain.metrics.depth_baselines import (
    DepthBaselines,
    baseline_errors,
    constant_baseline,
    ground_ramp_baseline,
    row_wise_baseline,
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
    "DepthBaselines",
    "DepthProtocol",
    "DepthScores",
    "SegmentationScore",
    "as_released_kitti_labels",
    "baseline_errors",
    "blend_flipped",
    "constant_baseline",
    "depth_errors",
    "evaluate_depth",
    "evaluate_depth_maps",
    "evaluate_flow",
    "flow_errors",
    "get_protocol",
    "ground_ramp_baseline",
    "per_image_score",
    "row_wise_baseline",
]
