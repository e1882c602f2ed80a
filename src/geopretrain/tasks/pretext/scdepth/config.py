"""Options of SC-Depth V1, V2, V3 and their combination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from geopretrain.errors import ConfigError, require
from geopretrain.losses import ConsistencyOptions
from geopretrain.schema import Count, NonNegative, Positive, Unit, checked
from geopretrain.tasks.presets import Preset

#: 100 epochs of 1000 batches at a constant rate (released code); outdoors, and with rectification indoors.
OUTDOORS = Preset(size=(256, 832), batch_size=4, lr=1e-4, schedule="constant", steps=100_000)
INDOORS = Preset(size=(256, 320), batch_size=8, lr=1e-4, schedule="constant", steps=100_000)


@checked
class SCDepthConfig:
    """Options of the method; weights and sizes are those of the released code.

    Raises:
        ConfigError: an option has an impossible value, or two contradict each other.
    """

    backbone: str = "resnet18"
    """Encoder of the depth network: any timm model."""
    pose_backbone: str = "resnet18"
    """Encoder of the pose and the rectification network."""
    pose_init: Literal["auto", "imagenet", "random"] = "auto"
    """What the encoders of these begin with, where init has none: ``imagenet``, ``random``, or
    ``auto``: ImageNet's weights where the depth network's encoder, or the run that it is from, began so."""
    version: Literal[1, 2, 3] = 1
    """1: geometry consistency; 2: with rectification, for hand-held cameras; 3: with a teacher's depth."""
    rectify: bool | None = None
    """Take the rotation out of the sources first; None = only in version 2. With version 3: the union of
    both that MeSa (Khan et al.) implies."""
    min_depth: Positive = 1 / 10.01
    """Depth at sigmoid 1, in units of the (unknown) scale of the scene: 1 / depth = 10 sigmoid + 0.01."""
    max_depth: Positive = 100.0
    """Depth at sigmoid 0, same units."""
    photometric: NonNegative = 1.0
    """Weight of the photometric term."""
    geometry: NonNegative = 0.1
    """Weight of the geometry consistency."""
    smoothness: NonNegative | None = None
    """Weight of the edge-aware smoothness; None = 0.1, and 0 in version 3."""
    rotation_consistency: NonNegative = 1.0
    """Weight of the given rotations that teach the rectification network (version 2)."""
    rotation_triplet: NonNegative = 1.0
    """Weight of the demand that rectification leaves less rotation (version 2)."""
    normals: NonNegative = 0.1
    """Weight of the difference from the teacher's normals (version 3)."""
    ranking: NonNegative = 0.1
    """Weight of the confident depth ranking (version 3)."""
    relative_normals: NonNegative = 0.1
    """Weight of the edge-aware relative normals (version 3)."""
    ssim_weight: Unit = 0.85
    """Weight of SSIM in the photometric error; L1 has the rest."""
    ssim_window: Count = 7
    """Side of SSIM's windows, px, odd."""
    automask: bool = True
    """Leave out pixels that an unmoved neighbour explains better."""
    self_mask: bool = True
    """Weight the photometric error by the consistency of the depths (self-discovered mask)."""
    minimum: bool = True
    """For each pixel of the target count only the neighbour that explains it best."""
    as_released: bool = False
    """Reproduce the quirks of the released code, see the head of the method; for comparisons with it."""
    batch_frames: bool = True
    """Send all frames through the depth network and all pairs through the pose network as one batch.

    With running statistics (evaluation) both give the same; in training, batch normalisation then takes its
    statistics over all frames at once. Off reproduces the released code's order.
    """
    flip: Unit = 0.5
    """Probability of a horizontal flip; the principal point moves along."""
    enlarge: Positive = 1.15
    """Largest factor by which width and height are enlarged before cutting back; 1 = never."""
    jitter: Unit = 0.0
    """Probability of a change of colours in what the networks see; the released code has none."""

    def __post_init__(self) -> None:
        require(self.min_depth < self.max_depth, "min_depth", "below max_depth", self.min_depth)
        require(self.ssim_window % 2 == 1, "ssim_window", "odd", self.ssim_window)
        require(self.enlarge >= 1, "enlarge", "1 or more", self.enlarge)
        if self.version == 2 and self.rectify is False:
            raise ConfigError("version=2 is version 1 with rectification. Use version=1 with rectify=false.")

    @property
    def rectifies(self) -> bool:
        """Whether there is a rectification network."""
        return self.version == 2 if self.rectify is None else self.rectify

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each term of the loss, by its name in the logs."""
        smoothness = self.smoothness
        if smoothness is None:
            smoothness = 0.0 if self.version == 3 else 0.1
        return {
            "photometric": self.photometric,
            "geometry": self.geometry,
            "smoothness": smoothness,
            "rotation_consistency": self.rotation_consistency,
            "rotation_triplet": self.rotation_triplet,
            "normals": self.normals,
            "ranking": self.ranking,
            "relative_normals": self.relative_normals,
        }

    @property
    def consistency(self) -> ConsistencyOptions:
        """What the photometric and the geometry term are made of."""
        return ConsistencyOptions(
            ssim_weight=self.ssim_weight,
            ssim_window=self.ssim_window,
            automask=self.automask,
            self_mask=self.self_mask,
            minimum=self.minimum,
            as_released=self.as_released,
        )
