"""Class maps from a single image."""

from __future__ import annotations

from torch import Tensor, nn

from geopretrain.errors import OptionError
from geopretrain.networks.backbone import Backbone
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder
from geopretrain.networks.depth_input import DepthInput
from geopretrain.networks.fitting import crop, pad, resize
from geopretrain.networks.heads.segmentation import Head, HeadOptions, make_head

DEPTH = "depth"
"""The head that is the depth network's own decoder."""


class SegmentationNet(nn.Module):
    """A backbone and a head.

    ``depth`` is the depth network with its last layer replaced, finest scale only (Lao et al., section 3).
    Other heads (see `geopretrain.networks.heads.segmentation`) see images that are padded on the right and
    below by repeating their border; their logits are resized bilinearly and cut back.

    Args:
        backbone: the encoder; dilated in place where the head wants that.
        num_classes: channels of the output.
        head: ``depth``, or a key of ``HEADS``.
        output_stride: see `HeadOptions`.
        blocks: see `HeadOptions`.

    Raises:
        ConfigError: the head does not fit the backbone.

    Attributes:
        depth_input: what shows depth to the backbone, None where nothing does.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        head: str = DEPTH,
        output_stride: int | None = None,
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        if head == DEPTH:
            self.decoder: MultiscaleDecoder | Head = MultiscaleDecoder(
                backbone.channels, backbone.strides, num_classes, scales=(0,)
            )
        else:
            self.decoder = make_head(head, backbone, HeadOptions(num_classes, output_stride, blocks))
        self.depth_input: DepthInput | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` in [0, 1] to logits ``B num_classes H W``.

        Raises:
            OptionError: a head that normalises one value an image over the batch is trained on one image.
        """
        if self.depth_input is not None:
            images = self.depth_input(images)
        if isinstance(self.decoder, MultiscaleDecoder):
            logits: Tensor = self.decoder(self.backbone(images), size=images.shape[-2:])[0]
            return logits
        if self.decoder.training and self.decoder.pools and len(images) == 1:
            raise OptionError(
                "batch_size",
                f"must leave two images or more to each part of a step with head={self.head}, which "
                "normalises one value an image over them; there is one. Use a larger --batch-size, or a "
                "smaller --accumulate or --devices.",
            )
        height, width = images.shape[-2:]
        whole = self.backbone.padded_size((height, width))
        small = self.decoder(self.decoder.read(self.backbone, pad(images, whole)))
        return crop(resize(small, list(whole)), (height, width))
