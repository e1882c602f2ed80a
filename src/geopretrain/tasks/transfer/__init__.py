"""Fine-tuning a pre-trained network with few labels."""

from geopretrain.tasks.transfer.segmentation import Segmentation, SegmentationConfig, segmentation_loss

__all__ = ["Segmentation", "SegmentationConfig", "segmentation_loss"]
