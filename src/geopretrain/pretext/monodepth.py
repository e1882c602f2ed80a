"""Monodepth2: depth and camera motion from video alone.

Godard, Mac Aodha, Firman, Brostow, *Digging Into Self-Supervised Monocular Depth Estimation*, ICCV 2019.
A depth network looks at a frame, a pose network at the frame and each neighbour; together they must
explain how the neighbour becomes the frame. Needs no labels, but the camera's intrinsics.

From the paper: view synthesis as supervision (eq. 1); the photometric error of SSIM and L1 (eq. 2);
edge-aware smoothness of the mean-normalised disparity (eq. 3); per-pixel minimum over the neighbours (eq.
4); the auto-mask of pixels that look the same without moving (eq. 5); every scale compared at full
resolution (section 3.3); the networks, flips and colour jitter (sections 3.4 and 4).

From the released code: the identity errors get noise of 1e-5 to break ties and compete in the minimum,
which is the auto-mask; smoothness at scale s weighs 1 / 2**s; the pose network's output is multiplied by
0.01; frames enter it in the order of time, and the motion is inverted for the earlier neighbour; the
networks see jittered colours, the loss clean ones.

Our choice: any timm backbone; border padding with align_corners=True, which is what the released code did
with the PyTorch of its time; all pose pairs in one batch (see ``batch_pose_pairs``); normalisation
travels with the weights, which may start from any earlier run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone, DepthNet, PoseNet
from geopretrain.task import Recipe, Task
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    normalise_like_timm,
    read_init,
)


@dataclass(frozen=True)
class MonodepthConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder of the depth network: any timm model."""
    pose_backbone: str | None = None
    """Encoder of the pose network; None = the same as ``backbone``, as in the released code."""
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
    compile_loss: bool = False
    """Compile the loss with torch.compile: faster steps after about ten seconds; needs a C++ compiler."""

    def __post_init__(self) -> None:
        _require(
            0 < self.min_depth < self.max_depth, "min_depth", "positive and below max_depth", self.min_depth
        )
        _require(0 <= self.ssim_weight <= 1, "ssim_weight", "between 0 and 1", self.ssim_weight)
        _require(self.smoothness >= 0, "smoothness", "0 or more", self.smoothness)
        _require(self.tie_noise >= 0, "tie_noise", "0 or more", self.tie_noise)
        _require(self.scales in (1, 2, 3, 4), "scales", "1, 2, 3 or 4", self.scales)
        _require(0 <= self.flip <= 1, "flip", "between 0 and 1", self.flip)
        _require(0 <= self.jitter <= 1, "jitter", "between 0 and 1", self.jitter)


class Monodepth(Task):
    """The method as a task: ``depth_net``, ``pose_net``, their loss, their checks and their pictures.

    Args:
        config: options of the method.
        backbone: encoder of the depth network, initialised.
        pose_net: the pose network.
    """

    name: ClassVar[str] = "monodepth"
    offsets: tuple[int, ...] = (0, -1, 1)
    paper: ClassVar[Recipe] = Recipe(size=(192, 640), batch_size=12, lr=1e-4, schedule="step", epochs=20)
    weight_parts: ClassVar[dict[str, str]] = {
        "backbone.": "depth_net.backbone.model.",
        "decoder.": "depth_net.decoder.",
        "pose.backbone.": "pose_net.backbone.model.",
        "pose.decoder.": "pose_net.decoder.",
    }

    def __init__(self, config: MonodepthConfig, backbone: Backbone, pose_net: PoseNet) -> None:
        super().__init__()
        self.config = config
        self.depth_net = DepthNet(backbone, range(config.scales))
        self.pose_net = pose_net

    @classmethod
    def create(cls, config: MonodepthConfig, init: Init) -> tuple[Monodepth, LoadReport]:
        """Build the task from ``init``; a run or official folder also gives its decoder and pose network.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        pose_net = PoseNet(
            config.pose_backbone or config.backbone, init.kind == "imagenet", **backbone.normalisation
        )
        if init.kind == "imagenet":
            normalise_like_timm(pose_net.backbone)
        task = cls(config, backbone, pose_net)
        init_other_parts(task, found.others, report)
        return task, report

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Flip and jitter (section 4): same draw for all frames of a sample."""
        from geopretrain.data.augment import augment_clip

        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def clean(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, neither flipped nor jittered."""
        from geopretrain.data.augment import augment_clip

        return augment_clip(batch, flip=0.0, jitter=0.0)

    def training_loss(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of section 3.3 averaged over scales, and what the health checks need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target.
        """
        seen = batch.images if batch.jittered is None else batch.jittered
        disparities = self.depth_net(seen[:, 0])
        axis_angle, translation = self._motions(seen, batch.offsets)
        result = losses.multiscale_reprojection(
            disparities,
            batch.images[:, 0],
            batch.images[:, 1:],
            batch.intrinsics,
            _poses_from_target(axis_angle, translation, batch.offsets),
            min_depth=self.config.min_depth,
            max_depth=self.config.max_depth,
            smoothness_weight=self.config.smoothness,
            ssim_weight=self.config.ssim_weight,
            automask=self.config.automask,
            noise=self.config.tie_noise,
            compiled=self.config.compile_loss,
        )
        logs = {
            "photometric": result.photometric,
            "smoothness": result.smoothness,
            "identity_share": result.identity_share,
            "identity_error": result.identity_error,
            "reprojection_error": result.reprojection_error,
            "valid_share": result.valid_share,
            "pose_translation": translation.norm(dim=-1).mean(),
            "pose_rotation": axis_angle.norm(dim=-1).mean(),
            "disparity_std": disparities[0].float().std((1, 2, 3)).mean(),
        }
        return result.loss, {name: value.detach() for name, value in logs.items()}

    def poses(self, frames: Tensor, offsets: tuple[int, ...]) -> Tensor:
        """Return ``T_target_to_source``, ``B F-1 4 4``, of the neighbours in frames ``B F 3 H W``."""
        return _poses_from_target(*self._motions(frames, offsets), offsets)

    def predict(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` in [0, 1] to disparity ``B 1 H W`` (1 / units of depth) at full size."""
        sigmoid = self.depth_net(images, scales=(0,))[0]
        return geometry.disparity_to_inverse_depth(
            sigmoid.float(), self.config.min_depth, self.config.max_depth
        )

    def _motions(self, frames: Tensor, offsets: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return axis-angle and translation ``B F-1 3`` of each pair, from its earlier to its later frame."""
        target = frames[:, 0]
        pairs = [
            (frames[:, i], target) if offset < 0 else (target, frames[:, i])
            for i, offset in enumerate(offsets)
            if i > 0
        ]
        if self.config.batch_pose_pairs:
            axis_angle, translation = self.pose_net(*(torch.cat(side) for side in zip(*pairs, strict=True)))
            return (
                axis_angle.unflatten(0, (len(pairs), -1)).transpose(0, 1),
                translation.unflatten(0, (len(pairs), -1)).transpose(0, 1),
            )
        motions = [self.pose_net(first, second) for first, second in pairs]
        return torch.stack([m[0] for m in motions], 1), torch.stack([m[1] for m in motions], 1)

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: target, depth (near = bright), first neighbour warped, auto-mask.

        The auto-mask is white where a moved neighbour explains the pixel better than an unmoved one.
        """
        from geopretrain import pictures

        frames = batch.images.float() / 255 if batch.images.dtype == torch.uint8 else batch.images
        disparity = self.predict(frames[:, 0])
        poses = self.poses(frames, batch.offsets)
        warped, _ = geometry.warp(frames[:, 1], 1 / disparity, batch.intrinsics, poses[:, 0])
        kept = self._kept_pixels(frames, disparity, batch.intrinsics, poses)
        rows = {}
        for i in range(len(frames)):
            parts = [
                pictures.image(frames[i, 0].cpu().numpy()),
                pictures.colour_depth(disparity[i, 0].cpu().numpy()),
                pictures.image(warped[i].cpu().numpy()),
                pictures.grey(kept[i, 0].float().cpu().numpy()),
            ]
            captions = ["frame", "depth", "warped neighbour", "auto-mask"]
            rows[f"sample_{i:02d}"] = pictures.side_by_side(parts, captions)
        return rows

    def _kept_pixels(self, frames: Tensor, disparity: Tensor, intrinsics: Tensor, poses: Tensor) -> Tensor:
        """Return the auto-mask of eq. 5, ``B 1 H W`` bool: moving a neighbour explains the pixel better."""
        target, sources = frames[:, 0], frames[:, 1:].unbind(1)
        moved = [
            losses.photometric_error(
                geometry.warp(s, 1 / disparity, intrinsics, T)[0], target, self.config.ssim_weight
            )
            for s, T in zip(sources, poses.unbind(1), strict=True)
        ]
        unmoved = [losses.photometric_error(s, target, self.config.ssim_weight) for s in sources]
        return torch.cat(moved, 1).amin(1, keepdim=True) < torch.cat(unmoved, 1).amin(1, keepdim=True)

    def health(self, logs: dict[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        broken = sorted(name for name, value in logs.items() if not math.isfinite(value))
        if broken:
            return [
                f"Not a number in {', '.join(broken)} at step {step}: training has diverged. "
                "Start again with a third of the learning rate, or train in fp32."
            ]
        return [] if step < SETTLED_AFTER else _symptoms(logs)


#: Before this step the networks may look ill without being so.
SETTLED_AFTER = 200


def _symptoms(logs: Mapping[str, float]) -> list[str]:
    found = []
    if logs.get("pose_translation", 1.0) < 1e-4 and logs.get("pose_rotation", 1.0) < 1e-4:
        found.append(
            "The predicted camera motion is almost zero: the frames may be too close in time. "
            "Prepare the video again with a larger --target-motion."
        )
    if (spread := logs.get("disparity_std", 1.0)) < 0.01:
        found.append(
            f"The depth map is flat (spread of the disparity {spread:.4f}): the network has collapsed to one "
            "depth. Check that the camera moves and the intrinsics are right, or lower the learning rate."
        )
    if (share := logs.get("valid_share", 1.0)) < 0.5:
        found.append(
            f"Only {share:.0%} of the pixels stay in view of the neighbouring frames: the predicted motion "
            "is too large. Check the intrinsics, use a smaller --target-motion, or lower the learning rate."
        )
    moved, unmoved = logs.get("reprojection_error", 0.0), logs.get("identity_error", 1.0)
    if moved > 0.99 * unmoved:
        found.append(
            f"Moving the neighbours explains the frames no better than leaving them (error {moved:.4f}, "
            f"unmoved {unmoved:.4f}): nothing is learned about depth yet. If this stays, the camera may "
            "stand still or the intrinsics may be wrong."
        )
    return found


def _poses_from_target(axis_angle: Tensor, translation: Tensor, offsets: tuple[int, ...]) -> Tensor:
    """Turn motions in the order of time (``B F-1 3``) into ``T_target_to_source`` (``B F-1 4 4``).

    For an earlier neighbour the predicted motion leads from it to the target and is inverted.
    """
    poses = []
    with torch.autocast(axis_angle.device.type, enabled=False):  # bf16 has too few digits for geometry
        for i, offset in enumerate(offsets[1:]):
            T = geometry.pose_matrix(axis_angle[:, i], translation[:, i])
            poses.append(geometry.invert_pose(T) if offset < 0 else T)
    return torch.stack(poses, 1)


def _require(condition: bool, option: str, expected: str, value: Any) -> None:
    if not condition:
        raise ConfigError(f"{option} must be {expected}, not {value}.")
