"""Networks: any timm backbone as a feature pyramid, and the decoders that stand on it."""

from geopretrain.networks.backbone import DEFAULT_MEAN, DEFAULT_STD, Backbone
from geopretrain.networks.depth_decoder import MultiscaleDecoder
from geopretrain.networks.depth_net import DepthNet
from geopretrain.networks.pose_net import PoseDecoder, PoseNet
from geopretrain.networks.segmentation_net import SegmentationNet

__all__ = [
    "DEFAULT_MEAN",
    "DEFAULT_STD",
    "Backbone",
    "DepthNet",
    "MultiscaleDecoder",
    "PoseDecoder",
    "PoseNet",
    "SegmentationNet",
]
