"""Pyramids for detection: as many channels at the strides 4 to 64, whatever the backbone.

Backbones with levels get a feature pyramid network (Lin et al., CVPR 2017), plain transformers the simple
pyramid of ViTDet (Li et al., *Exploring plain vision transformer backbones for object detection*, ECCV 2022,
section 3): all levels are made from their last features alone.
"""

from __future__ import annotations

from collections import OrderedDict

from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from geopretrain.errors import ConfigError
from geopretrain.networks.backbone import Backbone
from geopretrain.networks.fitting import resize

STRIDES = (4, 8, 16, 32)
"""Strides that objects are looked for at; proposals are also made at `COARSEST`."""
COARSEST = 64
_FLAT = 16  # stride that the simple pyramid starts from


class PyramidNetwork(nn.Module):
    """A feature pyramid network on the levels of a backbone.

    Args:
        backbone: whose features come in, finest first.
        channels: of each level that goes out.

    Raises:
        ConfigError: the backbone has not all of the strides 4, 8, 16 and 32.
    """

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        if missing := [stride for stride in STRIDES if stride not in backbone.strides]:
            raise ConfigError(
                f"{backbone.name} has features at the strides {', '.join(map(str, backbone.strides))}; a "
                f"detector also needs {', '.join(map(str, missing))}. Use another backbone, e.g. resnet18."
            )
        self.levels = [backbone.strides.index(stride) for stride in STRIDES]
        self.fpn = FeaturePyramidNetwork(
            [backbone.channels[level] for level in self.levels], channels, extra_blocks=LastLevelMaxPool()
        )

    def forward(self, backbone: Backbone, images: Tensor) -> dict[str, Tensor]:
        """Return the levels by the names ``0`` to ``3`` and ``pool``, of images ``B 3 H W`` in [0, 1]."""
        features = backbone(images)
        found: dict[str, Tensor] = self.fpn(
            OrderedDict((str(i), features[level]) for i, level in enumerate(self.levels))
        )
        return found


class SimplePyramid(nn.Module):
    """The simple feature pyramid of ViTDet on the last features of a plain transformer.

    Patches of another size than 16 px have their features resized to the stride 16 first.

    Args:
        backbone: a plain transformer.
        channels: of each level that goes out.
    """

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        width = backbone.channels[-1]
        self.scales = nn.ModuleList(
            [
                nn.Sequential(
                    _doubled(width, width // 2),
                    LayerNorm2d(width // 2),
                    nn.GELU(),
                    _doubled(width // 2, width // 4),
                ),
                _doubled(width, width // 2),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )
        self.outputs = nn.ModuleList(
            _smoothed(inside, channels) for inside in (width // 4, width // 2, width, width)
        )

    def forward(self, backbone: Backbone, images: Tensor) -> dict[str, Tensor]:
        """Return the levels by the names ``0`` to ``3`` and ``pool``, of images ``B 3 H W`` in [0, 1].

        Sides are multiples of 32 px.
        """
        last = backbone.last(backbone.whole_patches(images))
        last = resize(last, [side // _FLAT for side in images.shape[-2:]])
        levels = [output(scale(last)) for scale, output in zip(self.scales, self.outputs, strict=True)]
        return {
            **{str(i): level for i, level in enumerate(levels)},
            "pool": F.max_pool2d(levels[-1], 1, 2),
        }


def _doubled(inside: int, outside: int) -> nn.Module:
    return nn.ConvTranspose2d(inside, outside, 2, stride=2)


def _smoothed(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 1, bias=False),
        LayerNorm2d(outside),
        nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        LayerNorm2d(outside),
    )


def make_pyramid(backbone: Backbone, channels: int) -> PyramidNetwork | SimplePyramid:
    """Return the pyramid that suits a backbone.

    Raises:
        ConfigError: there is none.
    """
    kind = SimplePyramid if backbone.is_plain_transformer else PyramidNetwork
    return kind(backbone, channels)
