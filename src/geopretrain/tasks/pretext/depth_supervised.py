"""Supervised depth: one picture in, measured depth or a teacher's depth as the target.

Lao, Wu, Wong et al., *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV 2024,
supplement B.4 and B.5: the depth network of Monodepth2 learns from a Kinect (dense), LiDAR (sparse) or stereo
disparity turned into depth (focal length times baseline over disparity; the data set's reader does that).

From the paper: the absolute difference where there is a measurement (equation 11); jitter of brightness,
contrast and saturation of up to 20 % for half of the samples; Adam, 1e-4, halved after half of 10 epochs,
batches of 8 pictures of 384 x 448 (NYU); horizontal flips and patches of 256 x 256 (Cityscapes, section 4.2).

From the released code: all four scales, weighing 1 / 2**s; targets beyond ``max_depth`` count as
``max_depth``; with ``mean_over=all_pixels`` the sum is divided by all pixels, measured or not. Its vertical
flips of Cityscapes are left out, because the paper speaks of horizontal ones.

Our choice: every scale is compared at full size, where sparse measurements are (Godard et al. 2019, section
3.3), with weights that sum to 1; depth between ``min_depth`` and ``max_depth`` from the sigmoid as in
monodepth, so that either starts from the other; SILog (Eigen et al. 2014) and the scale-and-shift-invariant
losses of MiDaS and Depth Anything beside L1, these in disparity as in their papers, unless the teacher gives
depth of unknown offset; smoothness as an option for sparse targets (the released Cityscapes script has it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch, as_float
from geopretrain.data.dataset import Description, Fields, PseudoDepthInfo
from geopretrain.errors import ConfigError, one_of, require
from geopretrain.networks import Backbone, DepthNet
from geopretrain.schema import Natural, checked
from geopretrain.tasks.base import DepthTask, Logs
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.predictions import DepthMeaning, DepthPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step
from geopretrain.weights import Init, LoadReport, init_backbone, init_other_parts, read_init

METRIC = ("l1", "silog")
RELATIVE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "ssi": losses.ssi_mse,
    "ssi_trimmed": losses.ssi_trimmed_mae,
    "affine": losses.affine_invariant_mae,
}
"""Losses that ignore scale and shift: (prediction, target, valid), ``B 1 H W`` each."""


PAPER = Preset(size=(384, 448), batch_size=8, lr=1e-4, schedule="halve", epochs=10)
"""Supplement B.5 (NYU)."""


@checked
class DepthSupervisedConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value, or two contradict each other.
    """

    backbone: str = "resnet18"
    """Encoder of the depth network: any timm model."""
    target: str = "depth"
    """What to learn from: ``depth`` (measured) or ``pseudo_depth`` (a teacher's, see data pseudo-depth)."""
    loss: str = "l1"
    """``l1`` (m), ``silog``, or for depth up to scale and shift ``ssi``, ``ssi_trimmed`` (MiDaS) or
    ``affine`` (Depth Anything)."""
    silog_focus: float = 0.5
    """How much of a common factor SILog ignores (lambda): 0 nothing, 1 all of it."""
    mean_over: str = "valid"
    """``valid``: L1 is the mean over measured pixels; ``all_pixels``: over all, as the released script."""
    smoothness: float = 0.0
    """Weight of the edge-aware smoothness of the mean-normalised disparity."""
    min_depth: float = 0.1
    """Depth at sigmoid 1, m."""
    max_depth: float = 100.0
    """Depth at sigmoid 0, m; measurements beyond it count as this."""
    scales: int = 4
    """Number of scales with a loss, 1 to 4."""
    crop: Natural = 0
    """Side, px, of square patches to train on (Lao et al., Depth-cropped of table 5: 256), at least 64; 0 =
    none."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    jitter: float = 0.5
    """Probability of a change of colours in what the network sees."""
    decoder: str = "init"
    """``init``: begins as that of the run that is started from, where it has one; ``fresh``: with random
    numbers."""

    def __post_init__(self) -> None:
        one_of("target", self.target, ("depth", "pseudo_depth"))
        one_of("loss", self.loss, (*METRIC, *RELATIVE))
        one_of("mean_over", self.mean_over, ("valid", "all_pixels"))
        one_of("decoder", self.decoder, ("init", "fresh"))
        for name in ("silog_focus", "flip", "jitter"):
            require(0 <= getattr(self, name) <= 1, name, "between 0 and 1", getattr(self, name))
        require(self.smoothness >= 0, "smoothness", "0 or more", self.smoothness)
        require(0 < self.min_depth < self.max_depth, "min_depth", "positive, below max_depth", self.min_depth)
        require(self.scales in (1, 2, 3, 4), "scales", "1, 2, 3 or 4", self.scales)
        require(self.crop == 0 or self.crop >= 64, "crop", "0 or at least 64", self.crop)
        if self.mean_over == "all_pixels" and self.loss != "l1":
            raise ConfigError(f"mean_over=all_pixels belongs to loss=l1, not to loss={self.loss}.")


class DepthSupervised(DepthTask):
    """The method as a task: ``depth_net``, its loss, its checks and its pictures.

    Attributes:
        teacher: what the maps of ``target=pseudo_depth`` mean, once the data are known.

    Args:
        config: options of the method.
        backbone: encoder of the depth network, initialised.
    """

    name: ClassVar[str] = "depth_supervised"
    Config = DepthSupervisedConfig

    def __init__(self, config: DepthSupervisedConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config: DepthSupervisedConfig = config
        self.required = Fields(names=(config.target,))
        self.depth_net = DepthNet(backbone, range(config.scales))
        self.teacher: PseudoDepthInfo | None = None

    @classmethod
    def create(cls, config: DepthSupervisedConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; a run also gives its decoder, unless a fresh one is asked for.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone)
        fresh = {"decoder.": "a fresh decoder is asked for"} if config.decoder == "fresh" else {}
        init_other_parts(task, found.others, report, fresh=fresh)
        return task, report

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {"backbone.": "depth_net.backbone.model.", "decoder.": "depth_net.decoder."}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: supplement B.5."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    @property
    def depth_meaning(self) -> DepthMeaning:
        """``metric`` from measurements, ``scale`` from a teacher, ``scale_shift`` with relative losses."""
        return "scale_shift" if self.config.loss in RELATIVE else _METRIC_MEANING[self.config.target]

    @property
    def max_depth(self) -> float:
        """Depth at sigmoid 0, m."""
        return self.config.max_depth

    def check_data(self, data: Description) -> None:
        """Learn what a teacher's maps mean; refuse a loss in metres for maps of unknown scale and shift."""
        info = self.teacher = data.pseudo_depth if self.config.target == "pseudo_depth" else None
        if info is None:
            return
        if info.meaning == "scale_shift" and self.config.loss not in RELATIVE:
            raise ConfigError(
                f"The pseudo-depth of {data.path} is {info.in_words()}; loss={self.config.loss} needs "
                f"depth. Use --settings target=pseudo_depth loss=ssi; {', '.join(RELATIVE)} "
                "ignore scale and shift."
            )

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Cut out patches where that is asked for, flip and jitter."""
        from geopretrain.data.augment.batches import augment_clip
        from geopretrain.data.augment.crops import random_crop

        if self.config.crop:
            batch = random_crop(batch, (self.config.crop, self.config.crop))
        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, neither flipped nor jittered."""
        from geopretrain.data.augment.batches import augment_clip

        return augment_clip(batch, flip=0.0, jitter=0.0)

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the weighted mean of the scales' losses, and what the diagnostics need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target, and its ``depth`` or ``pseudo_depth``.
        """
        seen = batch.images if batch.jittered is None else batch.jittered
        sigmoids = self.depth_net(seen[:, 0])
        with torch.autocast(seen.device.type, enabled=False):  # bf16 has too few digits for depth
            target = self._target(batch)
            inverse = [self._inverse_depth(sigmoid, target.shape[-2:]) for sigmoid in sigmoids]
            weights = [2.0**-scale for scale in range(len(inverse))]
            terms = [w * self._loss(q, target, batch) for w, q in zip(weights, inverse, strict=True)]
            loss = torch.stack(terms).sum() / sum(weights)
            logs = self._logs(inverse[0], target)
        return loss, {name: value.detach() for name, value in logs.items()}

    def _target(self, batch: ClipBatch) -> Tensor:
        """Return the target ``B 1 H W`` in its own quantity, 0 = none."""
        target = batch.depth if self.config.target == "depth" else batch.pseudo_depth
        if target is None:
            raise ConfigError(f"The batch has no {self.config.target}: read it with task.required.")
        return target.float()

    def _inverse_depth(self, sigmoid: Tensor, size: Any) -> Tensor:
        """Return 1 / depth ``B 1 H W`` at full size (1/m)."""
        whole = functional.interpolate(sigmoid.float(), size, mode="bilinear", align_corners=False)
        return geometry.disparity_to_inverse_depth(whole, self.config.min_depth, self.config.max_depth)

    def _loss(self, inverse: Tensor, target: Tensor, batch: ClipBatch) -> Tensor:
        """Return the loss of one scale."""
        config, valid = self.config, target > 0
        if config.loss in RELATIVE:
            loss = RELATIVE[config.loss](*self._relative(inverse, target), valid)
        elif config.loss == "silog":
            truth = target.clamp(max=config.max_depth)
            loss = losses.silog(1 / inverse, truth, valid, focus=config.silog_focus)
        else:
            truth, everywhere = target.clamp(max=config.max_depth), config.mean_over == "all_pixels"
            loss = losses.masked_l1(1 / inverse, truth, valid, over_all_pixels=everywhere)
        if config.smoothness:
            smooth = losses.edge_aware_smoothness(losses.mean_normalised(inverse), batch.images[:, 0])
            loss = loss + config.smoothness * smooth
        return loss

    def _relative(self, inverse: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return prediction and target ``B 1 H W`` in the quantity that is known up to scale and shift."""
        if self.teacher is not None and self.teacher.meaning == "scale_shift":
            return (inverse if self.teacher.quantity == "disparity" else 1 / inverse), target
        return inverse, torch.where(target > 0, 1 / target.clamp(min=_MIN_DEPTH), 0)

    def _logs(self, inverse: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return scalars for the log; ``abs_rel`` is the error of the finest scale relative to the target."""
        valid = target > 0
        count = valid.sum().clamp(min=1)
        logs = {
            "valid_fraction": valid.float().mean(),
            "empty_fraction": (~valid.flatten(1).any(1)).float().mean(),
            "beyond_fraction": (target > self.config.max_depth).sum() / count,
            "disparity_spread": (inverse.std((1, 2, 3)) / inverse.mean((1, 2, 3))).mean(),
        }
        if self.config.loss in METRIC:
            error = (1 / inverse - target).abs() / target.clamp(min=_MIN_DEPTH)
            logs["abs_rel"] = torch.where(valid, error, 0).sum() / count
        return logs

    def predict(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to disparity ``B 1 H W`` at full size, see ``depth_meaning``."""
        disparity = self._inverse_depth(self.depth_net(images, scales=(0,))[0], images.shape[-2:])
        return DepthPrediction(disparity, self.depth_meaning)

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: frame, predicted depth, target (near = bright, grey = none)."""
        from geopretrain import pictures

        frames = as_float(batch.images)
        predicted, target = self.predict(frames[:, 0]).disparity.cpu(), self._target(batch).cpu()
        near = target if self.teacher is not None and self.teacher.quantity == "disparity" else 1 / target
        near = torch.where(target > 0, near, torch.nan)
        rows = {}
        for i in range(len(frames)):
            parts = [
                pictures.image(frames[i, 0].cpu().numpy()),
                pictures.colour_depth(predicted[i, 0].numpy()),
                pictures.colour_depth(near[i, 0].numpy()),
            ]
            rows[f"sample_{i:02d}"] = pictures.side_by_side(parts, ["frame", "depth", "target"])
        return rows

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        return _in_sentences(logs, step, self.config)


_METRIC_MEANING: dict[str, DepthMeaning] = {"depth": "metric", "pseudo_depth": "scale"}
_MIN_DEPTH = 1e-6
"""Keeps divisions by masked targets finite."""


def _in_sentences(logs: Mapping[str, float], step: int, config: DepthSupervisedConfig) -> list[str]:
    found = []
    if (empty := logs.get("empty_fraction", 0.0)) > 0.01:
        found.append(
            f"{empty:.0%} of the samples have no pixel with a target: nothing is learned from them. Prepare "
            "the data again, or look at its depth maps."
        )
    if (beyond := logs.get("beyond_fraction", 0.0)) > 0.2:
        found.append(
            f"{beyond:.0%} of the targets lie beyond max_depth ({config.max_depth:g}) and count as this. Are "
            "they in metres? If so, raise --settings max_depth=..."
        )
    if step >= SETTLED_AFTER and (spread := logs.get("disparity_spread", 1.0)) < 0.01:
        found.append(
            f"The depth map is flat (its disparity varies by {spread:.1%}): the network has collapsed to one "
            "depth. Lower the learning rate, and look at the targets in the pictures."
        )
    return found
