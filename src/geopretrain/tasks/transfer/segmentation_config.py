"""Options of the transfer to segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from geopretrain.data.dataset import IGNORE
from geopretrain.errors import ConfigError, require
from geopretrain.networks.decoders.multiscale import Upsampling
from geopretrain.networks.depth_input import MONODEPTH2
from geopretrain.networks.heads.segmentation import HeadName
from geopretrain.networks.segmentation_net import DEPTH
from geopretrain.schema import Count, Unit, checked, defaults
from geopretrain.tasks.transfer.views import ViewOptions

HEADS_OF: Mapping[str, tuple[str, ...]] = {
    "output_stride": ("deeplabv3", "deeplabv3plus"),
    "blocks": ("linear",),
}
"""Settings that only some heads have."""
RELEASED = ("mode", "flip", "num_classes", "backbone", "as_released", "class_names", "class_colours")
"""Options that the released script knows."""


@checked
class SegmentationConfig(ViewOptions):
    """Options of the transfer; the defaults are the paper's, with correct behaviour.

    Raises:
        ConfigError: an option has an impossible value.
    """

    num_classes: int
    """Number of classes; labels are 0 to ``num_classes - 1``, 255 = no label."""
    backbone: str = "resnet18"
    """Encoder: any timm model, the one that the initial weights were made with."""
    mode: Literal["full", "encoder", "frozen"] = "full"
    """``full``: encoder and decoder start from the initial weights; ``encoder``: the decoder starts fresh;
    ``frozen``: as ``encoder``, and the encoder does not change in any way."""
    head: HeadName = "depth"
    """What stands on the backbone: depth (the depth network's decoder), linear (a linear probe: one 1x1
    layer, the encoder frozen), or a decoder of segmentation-models-pytorch: deeplabv3, deeplabv3plus, fpn,
    unet, upernet, segformer, dpt."""
    output_stride: Literal[8, 16] | None = None
    """Stride that the backbone ends at under deeplabv3 (left away: 8) and deeplabv3plus (left away: 16)."""
    blocks: Count = 1
    """Last blocks of the backbone that the layer of head=linear sees."""
    backbone_bn_momentum: Unit | None = None
    """Of the backbone's batch norms: how fast their statistics follow; left away: as timm builds them."""
    head_bn_momentum: Unit | None = None
    """The same of the head's, where it has any."""
    class_weights: Literal["none", "balanced", "median"] = "none"
    """Weights of the classes in the loss, from the labels that are learned from: balanced (inverse
    frequency) or median (median frequency over that of the class)."""
    ohem_fraction: Unit | None = None
    """Fraction of the labelled pixels of a batch that counts, the hardest ones (online hard example mining);
    left away: all, or with ``ohem_threshold`` 1/16 at least."""
    ohem_threshold: Unit | None = None
    """Only pixels whose true class has a probability below this count, e.g. 0.7."""
    depth_mix: Unit = 0.0
    """Probability that an image shows another one of the batch wherever that is nearer (DepthMix, Hoyer et
    al. 2021), by the depth of ``--depth-from``; 0: none."""
    depth_margin: Unit = 0.03
    """How much nearer the other image must be for ``depth_mix``, as a fraction of the range of inverse depth
    within an image; so that roads, say, which lie in one plane, are not mixed by noise."""
    depth_input: bool = False
    """Show the network the depth of each image beside the image itself, as the run in ``--depth-from`` sees
    it, when it learns and when it predicts; that network becomes a part of this one and stays as it is."""
    depth_backbone: str | None = None
    """Backbone of that network; None where there is none."""
    depth_upsampling: Upsampling = "nearest"
    """How its decoder makes maps larger."""
    depth_range: tuple[float, float] = MONODEPTH2
    """Nearest and farthest depth that it tells."""
    as_released: bool = False
    """Behave as the released script does, defects included (see ``tasks/transfer/released.py``)."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes in results; None = numbers."""
    class_colours: tuple[tuple[int, int, int], ...] | None = None
    """Colours of the classes in pictures; None = colours made up."""

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= IGNORE:
            raise ConfigError(f"num_classes must be 2 to {IGNORE}, not {self.num_classes}.")
        standard = defaults(type(self))
        changed = [name for name in standard if getattr(self, name) != standard[name]]
        for name, heads in HEADS_OF.items():
            if name in changed and self.head not in heads:
                raise ConfigError(f"{name} is a setting of head={' and '.join(heads)}, not of {self.head}.")
        if self.as_released and (more := [name for name in changed if name not in RELEASED]):
            raise ConfigError(f"The released script knows no {more[0]}: leave it or as_released away.")
        if self.depth_input and self.frozen:
            raise ConfigError(
                "depth_input teaches the backbone to see depth, so that it cannot be frozen: use mode "
                "full or encoder and another head than linear, or leave depth_input away."
            )
        super().__post_init__()
        for name in ("ohem_fraction", "ohem_threshold"):
            require(
                getattr(self, name) is None or getattr(self, name) > 0, name, "above 0", getattr(self, name)
            )

    @property
    def frozen(self) -> bool:
        """Whether the encoder does not change; under a linear probe it never does."""
        return self.mode == "frozen" or self.head == "linear"

    @property
    def depth_head(self) -> bool:
        """Whether the head is the depth network's decoder, which a run hands on."""
        return self.head == DEPTH
