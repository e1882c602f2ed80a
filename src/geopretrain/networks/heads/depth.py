"""Heads that turn features of a backbone into depth in metres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError
from geopretrain.geometry import disparity_to_inverse_depth
from geopretrain.networks.backbone import Backbone
from geopretrain.networks.decoders.multiscale import MultiscaleDecoder
from geopretrain.networks.fitting import Size, crop, pad, resize
from geopretrain.networks.heads.segmentation import HeadOptions, make_head

DepthHeadName = Literal["deconv", "multiscale", "dpt"]
DECONV_CHANNELS = (32, 32, 32)
FARTHEST_SHIFT = 16.0
"""Of a logit: beyond, float32 tells sigmoids from 0 and 1 hardly."""
SHIFT_HALVINGS = 24
"""Of the interval in which a shift is looked for: to 2e-6."""


class DeconvDepth(nn.Module):
    """Three transposed convolutions on the last features: the depth head of Xie et al., *Revealing the Dark
    Secrets of Masked Image Modeling*, CVPR 2023, appendix.

    Each doubles the size (kernel 2, 32 channels, batch norm, ReLU); then a convolution to an eighth of the
    features' channels, twice bilinear times two, and two more convolutions, whose sigmoid is the fraction of
    ``max_depth``. Layers and widths are those of the released code; first weights are its too (normal,
    0.001).

    Args:
        channels: of the last features.
        max_depth: m.
    """

    def __init__(self, channels: int, max_depth: float) -> None:
        super().__init__()
        self.max_depth = max_depth
        steps: list[nn.Module] = []
        before = channels
        for width in DECONV_CHANNELS:
            steps += [nn.ConvTranspose2d(before, width, 2, stride=2, bias=False), nn.BatchNorm2d(width)]
            steps += [nn.ReLU(inplace=True)]
            before = width
        width = max(8, channels // 8)
        self.deconvolutions = nn.Sequential(*steps)
        self.convolution = nn.Sequential(
            nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, 1, 3, padding=1)
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, std=0.001)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def read(self, backbone: Backbone, images: Tensor) -> Tensor:
        """Return the last features after the final norm, of images resized to whole patches."""
        return backbone.last(backbone.whole_patches(images))

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Map features ``B C h w`` to depth ``B 1 H W`` in m."""
        x = self.convolution(self.deconvolutions(features))
        for _ in range(2):
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        logits = resize(self.last(x), list(size))
        return torch.sigmoid(logits.float()) * self.max_depth


class MultiscaleDepth(nn.Module):
    """The decoder of Monodepth2 at its finest scale; its disparity is depth between two limits, as there.

    Args:
        backbone: that is read.
        min_depth: at sigmoid 1, m.
        max_depth: at sigmoid 0, m.
    """

    def __init__(self, backbone: Backbone, min_depth: float, max_depth: float) -> None:
        super().__init__()
        self.min_depth, self.max_depth = min_depth, max_depth
        self.decoder = MultiscaleDecoder(backbone.channels, backbone.strides, 1, (0,))

    def read(self, backbone: Backbone, images: Tensor) -> list[Tensor]:
        """Return the whole pyramid."""
        return backbone(images)

    def forward(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Map features, finest first, to depth ``B 1 H W`` in m."""
        return self.to_depth(self.decoder(features, size=size)[0])

    def to_depth(self, logits: Tensor) -> Tensor:
        """Map what the decoder says, of any shape, to depth, m."""
        sigmoid = torch.sigmoid(logits.float())
        return 1 / disparity_to_inverse_depth(sigmoid, self.min_depth, self.max_depth)

    @torch.no_grad()
    def shift_to_median(self, logits: Tensor, measured: Tensor) -> None:
        """Shift the last bias so that half of what is predicted is nearer than measured, and half farther.

        A decoder that has learned depth from video knows no unit, and a fresh one begins at twice
        ``min_depth`` everywhere. Where no shift within `FARTHEST_SHIFT` does it, the nearest one is taken.

        Args:
            logits: what the decoder says of measured pixels, ``N``.
            measured: their depth, ``N``, m.
        """
        low, high = -FARTHEST_SHIFT, FARTHEST_SHIFT
        for _ in range(SHIFT_HALVINGS):
            middle = (low + high) / 2
            is_farther = bool((self.to_depth(logits + middle) / measured).median() > 1)
            low, high = (middle, high) if is_farther else (low, middle)
        last = self.decoder.heads["0"]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        last.bias += (low + high) / 2


class DptDepth(nn.Module):
    """The decoder of DPT (Ranftl et al., ICCV 2021), of segmentation-models-pytorch; its sigmoid is the
    fraction of ``max_depth``.

    Args:
        backbone: that is read: blocks of a plain transformer, or four levels of a pyramid.
        max_depth: m.

    Raises:
        ConfigError: it does not fit the backbone, or its library is missing.
    """

    def __init__(self, backbone: Backbone, max_depth: float) -> None:
        super().__init__()
        self.max_depth = max_depth
        self.dense = make_head("dpt", backbone, HeadOptions(num_classes=1))

    def read(self, backbone: Backbone, images: Tensor) -> tuple[Any, Size]:
        """Return what the decoder reads of padded images, and their (height, width)."""
        whole = backbone.padded_size((images.shape[-2], images.shape[-1]))
        return self.dense.read(backbone, pad(images, whole)), whole

    def forward(self, features: tuple[Any, Size], size: Sequence[int]) -> Tensor:
        """Map what `read` returns to depth ``B 1 H W`` in m."""
        found, whole = features
        logits = crop(resize(self.dense(found), list(whole)), (size[0], size[1]))
        return torch.sigmoid(logits.float()) * self.max_depth


class MetricDepthNet(nn.Module):
    """A backbone and a head that knows metres.

    Args:
        backbone: the encoder.
        head: ``deconv`` (`DeconvDepth`), ``multiscale`` (`MultiscaleDepth`) or ``dpt`` (`DptDepth`).
        min_depth: nearest depth of ``multiscale``, m.
        max_depth: farthest depth, m.

    Raises:
        ConfigError: unknown head.
    """

    def __init__(self, backbone: Backbone, head: DepthHeadName, min_depth: float, max_depth: float) -> None:
        super().__init__()
        self.backbone = backbone
        if head == "deconv":
            self.head: DeconvDepth | MultiscaleDepth | DptDepth = DeconvDepth(
                backbone.channels[-1], max_depth
            )
        elif head == "multiscale":
            self.head = MultiscaleDepth(backbone, min_depth, max_depth)
        elif head == "dpt":
            self.head = DptDepth(backbone, max_depth)
        else:
            raise ConfigError(f"head must be deconv, multiscale or dpt, not {head!r}.")

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` in [0, 1] to depth ``B 1 H W``, m."""
        depth: Tensor = self.head(self.head.read(self.backbone, images), images.shape[-2:])
        return depth
