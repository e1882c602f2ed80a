"""Class maps from a single image."""

from __future__ import annotations

from torch import Tensor, nn

from geopretrain.networks.backbone import Backbone
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder


class SegmentationNet(nn.Module):
    """The depth network with its last layer replaced, finest scale only (Lao et al., section 3).

    Args:
        backbone: the encoder.
        num_classes: channels of the output.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = MultiscaleDecoder(backbone.channels, backbone.strides, num_classes, scales=(0,))

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` in [0, 1] to logits ``B num_classes H W``."""
        logits: Tensor = self.decoder(self.backbone(images), size=images.shape[-2:])[0]
        return logits
