"""Optical flow as pre-training: the baseline that depth pre-training is compared with.

Lao, Yang, Wong, Soatto, *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV
2024, supplement B.3 and figure 7. One encoder looks at either frame, a decoder at the features of both; the
flow must explain one frame by the other. Needs no labels and no intrinsics.

From the paper: the loss (equations 9 and 10): colour 0.15, SSIM 0.15, edge-aware smoothness 5
(``weights=paper``); Adam at 5e-4 for 25 epochs and a tenth of it for 25 more, 8 samples of 640x192.

From the released code: the network: features of both frames joined at every level, the depth decoder with
two outputs; flow = 0.4 (sigmoid - 0.5), so at most 0.2 of the width and of the height; every scale is
resized to full size and compared there; colour and SSIM are summed over the three colours; all terms of
scale s weigh 1 / 2**s and are added; the weights of its script (``weights=script``): colour 0.15, SSIM
0.85, smoothness 2, at 5e-5 throughout.

Our choice: means over the pixels; smoothness of the flow in fractions of the image, as the network gives
it, at full size, because with px its weight would forbid any flow; SSIM enters as 1 - SSIM, as equation 9
has it, with 3x3 windows; the target comes first, and the next frame is its source (the paper's text has it
the other way round, its symbols both ways); resizing keeps the border of the image in place, where the
script aligns the corners; both frames go through the encoder as one batch; flips and colour jitter as in
Monodepth2, so that methods compare. The paper draws from KITTI's left and right cameras alike: prepare both
as clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.errors import one_of, require
from geopretrain.networks import Backbone, SiameseFlowNet
from geopretrain.schema import checked
from geopretrain.tasks.base import Logs
from geopretrain.tasks.predictions import FlowPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.pretext.flow_task import FlowPretext, flow_logs
from geopretrain.tasks.step import Step

MAX_FLOW = 0.2
"""Fraction of the image's width and height that flow is bounded to (released code)."""


@dataclass(frozen=True)
class FlowWeights:
    """Weights of the loss: absolute colour difference, 1 - SSIM, and edge-aware smoothness."""

    colour: float
    ssim: float
    smoothness: float


WEIGHTS = {"paper": FlowWeights(0.15, 0.15, 5.0), "script": FlowWeights(0.15, 0.85, 2.0)}
PRESETS = {
    "paper": Preset(size=(192, 640), batch_size=8, lr=5e-4, schedule="tenth", epochs=50),
    "script": Preset(size=(192, 640), batch_size=8, lr=5e-5, schedule="constant", epochs=50),
}


@checked
class OpticalFlowConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder: any timm model."""
    weights: str = "paper"
    """Weights of the loss and the settings of preset ``paper``: as printed, or those of the ``script``."""
    smoothness: float | None = None
    """Weight of the edge-aware smoothness; None = as ``weights`` says."""
    scales: int = 4
    """Number of scales with a loss, 1 to 4."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    jitter: float = 0.5
    """Probability of a change of colours in what the network sees."""

    def __post_init__(self) -> None:
        one_of("weights", self.weights, WEIGHTS)
        require(self.smoothness is None or self.smoothness >= 0, "smoothness", "0 or more", self.smoothness)
        require(self.scales in (1, 2, 3, 4), "scales", "1, 2, 3 or 4", self.scales)
        require(0 <= self.flip <= 1, "flip", "between 0 and 1", self.flip)
        require(0 <= self.jitter <= 1, "jitter", "between 0 and 1", self.jitter)


class OpticalFlow(FlowPretext):
    """The method as a task: ``flow_net`` and its loss.

    Args:
        config: options of the method.
        backbone: the encoder, initialised.
    """

    name: ClassVar[str] = "optical_flow"
    Config = OpticalFlowConfig

    def __init__(self, config: OpticalFlowConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: OpticalFlowConfig = config
        self.flow_net = SiameseFlowNet(backbone, range(config.scales))

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {
            "backbone.": "flow_net.backbone.model.",
            "decoder.": "flow_net.decoder.",
        }

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: see ``PRESETS``."""
        return {"paper": PRESETS[self.config.weights], "short": SHORT, "tiny": TINY}

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the sum of equations 9 and 10 over the scales, and what the diagnostics need.

        Args:
            batch: augmented, ``B 2 3 H W``, target and source.
        """
        seen = batch.images if batch.jittered is None else batch.jittered
        outputs = self.flow_net(seen[:, 0], seen[:, 1])
        target, source = batch.images[:, 0], batch.images[:, 1]
        weights = WEIGHTS[self.config.weights]
        smoothing = weights.smoothness if self.config.smoothness is None else self.config.smoothness
        with torch.autocast(seen.device.type, enabled=False):  # bf16 has too few digits for pixel positions
            flows = [_full_size_flow(output, target) for output in outputs]
            pairs = [flow_photometric(flow, target, source, weights) for flow in flows]
            smooth = [losses.edge_aware_smoothness(_as_fraction(flow), target) for flow in flows]
            photometric = _sum_of_scales([error.mean() for error, _ in pairs])
            smoothness = smoothing * _sum_of_scales(smooth)
            with torch.no_grad():
                unmoved = colour_and_ssim(source, target, weights)
                logs = flow_logs(flows[0], pairs[0][1], pairs[0][0], unmoved)
        logs |= {"photometric": photometric, "smoothness": smoothness}
        return photometric + smoothness, {name: value.detach() for name, value in logs.items()}

    def predict(self, frames: Tensor) -> FlowPrediction:
        """Map frames ``B 2 3 H W`` in [0, 1] to the flow ``B 2 H W`` px from the first to the second."""
        target = frames[:, 0]
        return FlowPrediction(_full_size_flow(self.flow_net(target, frames[:, 1])[0], target))


def flow_photometric(
    flow: Tensor, target: Tensor, source: Tensor, weights: FlowWeights
) -> tuple[Tensor, Tensor]:
    """Return the error of equation 9 ``B 1 H W`` with the flow ``B 2 H W`` px, and where it stays in view."""
    warped, in_view = geometry.warp_flow(source, flow)
    return colour_and_ssim(warped, target, weights), in_view


def colour_and_ssim(prediction: Tensor, target: Tensor, weights: FlowWeights) -> Tensor:
    """Return colour |x - y| + ssim (1 - SSIM), summed over the colours: ``B 3 H W`` to ``B 1 H W``.

    This is a multiple of Monodepth2's photometric error, whose SSIM term is (1 - SSIM) / 2 and which
    averages over the colours.
    """
    total = weights.colour + 2 * weights.ssim
    return 3 * total * losses.photometric_error(prediction, target, 2 * weights.ssim / total)


def _sum_of_scales(terms: list[Tensor]) -> Tensor:
    """Add the terms of all scales, finest first; scale s weighs 1 / 2**s."""
    return torch.stack([term / 2**scale for scale, term in enumerate(terms)]).sum()


def _full_size_flow(output: Tensor, target: Tensor) -> Tensor:
    """Turn the decoder's output ``B 2 h w`` into flow in px of the target, ``B 2 H W``."""
    height, width = output.shape[-2:]
    right, down = (2 * MAX_FLOW * (torch.sigmoid(output.float()) - 0.5)).unbind(1)
    return geometry.resize_flow(torch.stack([right * width, down * height], 1), target.shape[-2:])


def _as_fraction(flow: Tensor) -> Tensor:
    """Return flow ``B 2 H W`` px in fractions of the image's width and height."""
    height, width = flow.shape[-2:]
    return torch.stack([flow[:, 0] / width, flow[:, 1] / height], 1)
