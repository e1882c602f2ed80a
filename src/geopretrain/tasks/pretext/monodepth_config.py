"""Options and settings of Monodepth2; the method itself is in ``monodepth``."""

from __future__ import annotations

from geopretrain.errors import ConfigError, one_of, require
from geopretrain.schema import checked
from geopretrain.tasks.presets import Preset

SUPERVISION = ("mono", "stereo", "both")
RECIPES = {
    "640x192": Preset(size=(192, 640), batch_size=12, lr=1e-4, schedule="step", epochs=20),
    "1024x320": Preset(size=(320, 1024), batch_size=12, lr=1e-5, schedule="step", epochs=5),
}
"""The paper's settings; those at 1024x320 start from a run at 640x192 (--init)."""


@checked
class MonodepthConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder of the depth network: any timm model."""
    pose_backbone: str | None = None
    """Encoder of the pose network; None = the same as ``backbone``, as in the released code."""
    supervision: str = "mono"
    """``mono`` (M: the neighbours in time), ``stereo`` (S: the stereo partner) or ``both`` (MS)."""
    shared_encoder_pose: bool = False
    """Predict the camera's motion from the depth encoder's features instead of a network of its own."""
    learned_intrinsics: str = "none"
    """``none``, or learn the focal length of uncalibrated video: one factor on the given intrinsics for all
    data (``dataset``), or one predicted from the frames of each sample (``clip``)."""
    crop: int = 0
    """Side in px of the square patches to train on (Lao et al.: 256), a multiple of 32 from 64 on; 0 = whole
    frames."""
    resolution: str = "640x192"
    """Width x height of the paper's settings that preset ``paper`` takes: ``640x192`` or ``1024x320``."""
    min_depth: float = 0.1
    """Depth at disparity 1, in units of the (unknown) scale of the scene."""
    max_depth: float = 100.0
    """Depth at disparity 0, same units."""
    ssim_weight: float = 0.85
    """Share of SSIM in the photometric error (alpha of eq. 2); the rest is L1."""
    smoothness: float = 1e-3
    """Weight of the edge-aware smoothness at full size (lambda of section 3.3)."""
    automask: bool = True
    """Leave out pixels that an unmoved neighbour explains better (eq. 5)."""
    tie_noise: float = 1e-5
    """Standard deviation of the noise added to the identity errors."""
    scales: int = 4
    """Number of scales with a loss, 1 to 4."""
    batch_pose_pairs: bool = True
    """Send all pairs of frames through the pose network as one batch instead of one after the other.

    Three per cent faster on a CPU. With running statistics (evaluation) both give the same; in training,
    batch normalisation then takes its statistics over all pairs at once, twice the samples, which changes
    the first loss by about 4e-6. Off reproduces the released code's order.
    """
    flip: float = 0.5
    """Probability of a horizontal flip; the principal point moves along."""
    jitter: float = 0.5
    """Probability of a change of colours in what the networks see."""

    def __post_init__(self) -> None:
        one_of("supervision", self.supervision, SUPERVISION)
        one_of("learned_intrinsics", self.learned_intrinsics, ("none", "dataset", "clip"))
        one_of("resolution", self.resolution, tuple(RECIPES))
        fits = self.crop == 0 or (self.crop >= 64 and self.crop % 32 == 0)
        require(fits, "crop", "0 or a multiple of 32 from 64 on", self.crop)
        if self.supervision != "mono" and self.learned_intrinsics != "none":
            raise ConfigError(
                "Stereo pairs are calibrated: learned_intrinsics must be none unless supervision=mono."
            )
        if self.supervision == "stereo" and self.shared_encoder_pose:
            raise ConfigError(
                "With supervision=stereo there is no motion to predict: leave shared_encoder_pose."
            )
        require(
            0 < self.min_depth < self.max_depth, "min_depth", "positive and below max_depth", self.min_depth
        )
        require(0 <= self.ssim_weight <= 1, "ssim_weight", "between 0 and 1", self.ssim_weight)
        require(self.smoothness >= 0, "smoothness", "0 or more", self.smoothness)
        require(self.tie_noise >= 0, "tie_noise", "0 or more", self.tie_noise)
        require(self.scales in (1, 2, 3, 4), "scales", "1, 2, 3 or 4", self.scales)
        require(0 <= self.flip <= 1, "flip", "between 0 and 1", self.flip)
        require(0 <= self.jitter <= 1, "jitter", "between 0 and 1", self.jitter)
