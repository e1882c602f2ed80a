"""Networks: any timm backbone as a feature pyramid, and the decoders that stand on it."""

from geopretrain.networks.backbone import DEFAULT_MEAN, DEFAULT_STD, Backbone, empty_model
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder
from geopretrain.networks.depth_net import DepthNet
from geopretrain.networks.flow_net import CODE_SIZE, ConditionalFlowNet, MotionEncoder, SiameseFlowNet
from geopretrain.networks.heads.learned_focal import LearnedFocal
from geopretrain.networks.heads.metric_scale import MetricScale
from geopretrain.networks.pose_net import PoseDecoder, PoseNet, SharedPoseNet
from geopretrain.networks.rotation_net import RotationNet
from geopretrain.networks.segmentation_net import SegmentationNet
from geopretrain.networks.small_swin import geopretrain_swinv2_mini

__all__ = [
    "CODE_SIZE",
    "DEFAULT_MEAN",
    "DEFAULT_STD",
    "Backbone",
    "ConditionalFlowNet",
    "DepthNet",
    "LearnedFocal",
    "MetricScale",
    "MotionEncoder",
    "MultiscaleDecoder",
    "PoseDecoder",
    "PoseNet",
    "RotationNet",
    "SegmentationNet",
    "SharedPoseNet",
    "SiameseFlowNet",
    "empty_model",
    "geopretrain_swinv2_mini",
]
