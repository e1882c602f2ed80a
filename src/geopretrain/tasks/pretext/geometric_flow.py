"""Geometric pre-training: explain the optical flow of uncalibrated video by structure and motion.

Wang, Chen, Guo, Wen, Shen, *Geometric Pretraining for Monocular Depth Estimation*, ICRA 2020. No code was
released. The structure encoder sees one frame, the motion encoder sees two and may say only 128 numbers;
from both the decoder must make the flow. Since the motion does not fit through so few numbers pixel by
pixel, the structure encoder has to find the structure of the scene. Needs no labels and no intrinsics.

From the paper: the networks (section III-A, figure 2): any backbone for structure, Monodepth2's pose
network with 128 outputs for motion, the code repeated over the image and joined to the structure features,
a decoder of 14 layers with nearest upsampling and skip connections (as many as Monodepth2's has with its
four outputs), flow from coarse to fine; the loss (equations 3-5): 0.85 SSIM and 0.15 L1 between I_t and the
warped I_t+1, and 0.001 edge-aware smoothness of the flow; Adam at 1e-4 throughout, 20 samples of 640x192 or
8 of 1024x320.

Our choice, since nothing settles it:

- Flow: a linear output times ``flow_unit`` of the width, for both directions, unbounded; each scale's
  output is a correction of the coarser scale's flow (``refine``).
- Scales: the mean over four, each compared at its own size with averaged images (``compare``), which lets
  coarse scales follow large motions; smoothness of the flow in px of its own scale, not normalised, over
  2**s.
- The code enters at the bottleneck only, as the figure shows (``motion_levels``); it is linear in the mean
  over the image of the bottleneck's last features.
- The motion encoder sees the source as its difference from the target (``motion_input``), and its code is
  standardised over the batch. Without either the decoder first learns the mean motion from structure alone
  and ignores the code for hundreds of steps: on the synthetic street (64x96, a small ResNet, 150 to 200
  steps) equal pictures then get 1.4 px of flow without the standardisation, 1.6 px without the difference,
  0.2 to 0.3 px with both.
- One pair, t and t+1 (``neighbours``); with both, the mean of their errors (``combine``). Their per-pixel
  minimum is worse than no flow at all on the street: nothing ties the two flows together as one depth ties
  them in Monodepth2, so that a pixel explained by one neighbour lets the other flow go anywhere. Occlusion is
  not handled: where flow leaves the picture its border counts, and ``valid_fraction`` is logged.
- Both encoders get the same normalisation, which travels with the weights; horizontal flips as in
  Monodepth2, but no colour jitter, which the paper does not mention and which slows the start; 20 epochs. A
  fraction of the samples has its source replaced by the target (``static``): no other data say that equal
  pictures mean no motion, since still frames are removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Fields
from geopretrain.errors import one_of, require
from geopretrain.networks import Backbone, ConditionalFlowNet, MotionEncoder
from geopretrain.schema import checked
from geopretrain.tasks.base import Logs
from geopretrain.tasks.motion import MOTION, PairStart, pair_net
from geopretrain.tasks.predictions import FlowPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.pretext.flow_task import FlowPretext, flow_logs
from geopretrain.tasks.step import Step
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    read_init,
)

PRESETS = {
    "640x192": Preset(size=(192, 640), batch_size=20, lr=1e-4, schedule="constant", epochs=20),
    "1024x320": Preset(size=(320, 1024), batch_size=8, lr=1e-4, schedule="constant", epochs=20),
}
"""The paper's settings (section III-D); the epochs are ours."""


@checked
class GeometricFlowConfig:
    """Options of the method; the defaults are the paper's where it says something.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Structure encoder: any timm model."""
    motion_backbone: str | None = None
    """Motion encoder; None = the same as ``backbone``."""
    motion_init: Literal["auto", "imagenet", "random"] = "auto"
    """What the motion encoder begins with, where init has none: ``imagenet``, ``random``, or ``auto``:
    ImageNet's weights where the encoder, or the run that it is from, began so."""
    code_size: int = 128
    """Numbers that the motion encoder may say."""
    motion_input: str = "difference"
    """What the motion encoder sees beside the target: the ``difference`` of the source from it, or the
    ``source`` itself, as Monodepth2's pose network."""
    motion_levels: int = 1
    """Levels of the structure features, from the deepest, that the motion code is joined to."""
    flow_unit: float = 0.01
    """Flow that an output of 1 stands for, as a fraction of the image's width."""
    refine: str = "residual"
    """``residual``: each scale corrects the flow of the coarser one; ``independent``: each gives its own."""
    compare: str = "own"
    """``own``: each scale's images are compared at its own size; ``full``: all at full size."""
    neighbours: str = "next"
    """``next``: explain a frame by the one after it; ``both``: by the one before as well."""
    combine: str = "mean"
    """With both neighbours: ``mean`` of their errors, or the per-pixel ``minimum``, as Monodepth2."""
    ssim_weight: float = 0.85
    """Weight of SSIM in the photometric error (beta of eq. 4); the rest is L1."""
    smoothness: float = 1e-3
    """Weight of the edge-aware smoothness (alpha of eq. 3)."""
    scales: int = 4
    """Number of scales with a loss, 1 to 4."""
    static: float = 0.05
    """Fraction of the samples shown without motion, so that equal frames give no flow."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    jitter: float = 0.0
    """Probability of a change of colours in what the networks see."""
    resolution: str = "640x192"
    """Width x height of the paper's settings that preset ``paper`` takes: ``640x192`` or ``1024x320``."""

    def __post_init__(self) -> None:
        one_of("refine", self.refine, ("residual", "independent"))
        one_of("compare", self.compare, ("own", "full"))
        one_of("motion_input", self.motion_input, ("difference", "source"))
        one_of("neighbours", self.neighbours, ("next", "both"))
        one_of("combine", self.combine, ("mean", "minimum"))
        one_of("resolution", self.resolution, PRESETS)
        for name in ("ssim_weight", "static", "flip", "jitter"):
            require(0 <= getattr(self, name) <= 1, name, "between 0 and 1", getattr(self, name))
        require(1 <= self.code_size <= 65_536, "code_size", "from 1 to 65536", self.code_size)
        require(1 <= self.motion_levels <= 100, "motion_levels", "from 1 to 100", self.motion_levels)
        require(self.flow_unit > 0, "flow_unit", "above 0", self.flow_unit)
        require(self.smoothness >= 0, "smoothness", "0 or more", self.smoothness)
        require(self.scales in (1, 2, 3, 4), "scales", "1, 2, 3 or 4", self.scales)


class GeometricFlow(FlowPretext):
    """The method as a task: ``flow_net`` with its structure and motion encoders and the decoder.

    Args:
        config: options of the method.
        backbone: the structure encoder, initialised.
        motion: the motion encoder.
    """

    name: ClassVar[str] = "geometric_flow"
    Config = GeometricFlowConfig

    def __init__(self, config: GeometricFlowConfig, backbone: Backbone, motion: MotionEncoder) -> None:
        super().__init__()
        self.config: GeometricFlowConfig = config
        self.required = Fields((0, 1) if config.neighbours == "next" else (0, 1, -1))
        self.flow_net = ConditionalFlowNet(backbone, motion, range(config.scales), config.motion_levels)

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {
            "backbone.": "flow_net.backbone.model.",
            "decoder.": "flow_net.decoder.",
            MOTION: "flow_net.motion.backbone.model.",
            "motion.decoder.": "flow_net.motion.decoder.",
            "motion.norm.": "flow_net.motion.norm.",
        }

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: see ``PRESETS``."""
        return {"paper": PRESETS[self.config.resolution], "short": SHORT, "tiny": TINY}

    @classmethod
    def create(cls, config: GeometricFlowConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; a run also gives what fits of its decoder and motion encoder.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        start = PairStart(config.motion_init, init, found.others, "motion")
        motion = pair_net(
            lambda pretrained: MotionEncoder(
                config.motion_backbone or config.backbone,
                pretrained,
                config.code_size,
                config.motion_input == "difference",
                **backbone.normalisation,
            ),
            MOTION,
            start,
        )
        task = cls(config, backbone, motion)
        init_other_parts(task, found.others, report)
        start.say(report)
        return task, report

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Flip and jitter; some samples get their target as their source."""
        batch = super().train_transform(batch)
        static = torch.rand(len(batch.images)) < self.config.static
        if not static.any() or batch.jittered is None:
            return batch
        return replace(
            batch,
            images=_without_motion(batch.images, static),
            jittered=_without_motion(batch.jittered, static),
        )

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the loss of equation 3, averaged over the scales, and what the diagnostics need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target.
        """
        seen = batch.images if batch.jittered is None else batch.jittered
        outputs, _ = self.flow_net(seen[:, 0], _one_batch(seen[:, 1:]))
        target, source = batch.images[:, 0], _one_batch(batch.images[:, 1:])
        with torch.autocast(seen.device.type, enabled=False):  # bf16 has too few digits for pixel positions
            flows = self._flows(outputs)
            pairs = [self._errors(flow, target, source) for flow in flows]
            photometric = torch.stack([self._combined(error, len(target)).mean() for error, _ in pairs])
            smoothness = torch.stack([self._smoothness(s, flow, target) for s, flow in enumerate(flows)])
            loss = (photometric + smoothness).mean()
            with torch.no_grad():
                unmoved = losses.photometric_error(source, _like(target, source), self.config.ssim_weight)
                logs = flow_logs(flows[0], pairs[0][1], pairs[0][0], unmoved)
        logs |= {"photometric": photometric.mean(), "smoothness": smoothness.mean()}
        return loss, {name: value.detach() for name, value in logs.items()}

    def predict(self, frames: Tensor) -> FlowPrediction:
        """Map frames ``B 2 3 H W`` in [0, 1] to the flow ``B 2 H W`` px from the first to the second."""
        return FlowPrediction(self.flow_with_code(frames[:, 0], self.motion_code(frames)))

    def motion_code(self, frames: Tensor) -> Tensor:
        """Return the code ``B code_size`` of the motion between frames ``B 2 3 H W`` in [0, 1]."""
        code: Tensor = self.flow_net.motion(frames[:, 0], frames[:, 1])
        return code

    def flow_with_code(self, images: Tensor, code: Tensor) -> Tensor:
        """Return the flow ``B 2 H W`` px of images ``B 3 H W`` if they moved as another pair's code says."""
        structure = self.flow_net.backbone(images)
        return self._flows(self.flow_net.decode(structure, code, images.shape[-2:]))[0]

    def _flows(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Turn the decoder's outputs into flows in px of their own scale, finest first."""
        flows = [output.float() * (self.config.flow_unit * output.shape[-1]) for output in outputs]
        return losses.accumulate_flow(flows) if self.config.refine == "residual" else flows

    def _errors(self, flow: Tensor, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the photometric error of one scale and whether the flow stays in view, ``N*B 1 h w``."""
        if self.config.compare == "full":
            flow = geometry.resize_flow(flow, target.shape[-2:])
        size = flow.shape[-2:]
        target = _like(losses.image_at(target, size), flow)
        return losses.flow_reprojection(flow, target, losses.image_at(source, size), self.config.ssim_weight)

    def _combined(self, error: Tensor, samples: int) -> Tensor:
        """Return the errors ``N*B 1 h w``, or the smallest over the N neighbours, ``B 1 h w``."""
        if self.config.combine == "mean" or len(error) == samples:
            return error
        smallest: Tensor = error.unflatten(0, (-1, samples)).amin(0)
        return smallest

    def _smoothness(self, scale: int, flow: Tensor, target: Tensor) -> Tensor:
        """Return the weighted smoothness of one scale (equation 5)."""
        image = _like(losses.image_at(target, flow.shape[-2:]), flow)
        weight: float = self.config.smoothness / 2**scale
        return weight * losses.edge_aware_smoothness(flow, image)


def _one_batch(sources: Tensor) -> Tensor:
    """Turn neighbours ``B N 3 H W`` into one batch ``N*B 3 H W``, neighbour after neighbour."""
    return sources.transpose(0, 1).flatten(0, 1)


def _like(target: Tensor, pairs: Tensor) -> Tensor:
    """Repeat the target ``B ...`` for each of the neighbours in ``N*B ...``."""
    count = len(pairs) // len(target)
    return target if count == 1 else target.repeat(count, 1, 1, 1)


def _without_motion(frames: Tensor, static: Tensor) -> Tensor:
    """Replace the sources of the chosen samples of ``B F 3 H W`` by their targets."""
    chosen = static.to(frames.device).view(-1, 1, 1, 1, 1)
    return torch.where(chosen, frames[:, :1], frames)
