"""Monodepth2: depth and camera motion from video, from stereo pairs, or from both.

Godard, Mac Aodha, Firman, Brostow, *Digging Into Self-Supervised Monocular Depth Estimation*, ICCV 2019.
A depth network looks at a frame, a pose network at the frame and each neighbour; together they must
explain how the neighbour becomes the frame. Needs no labels, but the camera's intrinsics. Where a stereo
partner is at hand, its known pose stands beside (MS) or instead of (S) the predicted ones.

From the paper: view synthesis as supervision (eq. 1); the photometric error of SSIM and L1 (eq. 2);
edge-aware smoothness of the mean-normalised disparity (eq. 3); per-pixel minimum over all partners, in time
and stereo (eq. 4); the auto-mask of pixels that look the same without moving (eq. 5); every scale compared
at full resolution (section 3.3); the networks, flips and colour jitter (sections 3.4 and 4).

From the released code: the identity errors get noise of 1e-5 to break ties and compete in the minimum,
which is the auto-mask; smoothness at scale s weighs 1 / 2**s; the pose network's output is multiplied by
0.01; frames enter it in the order of time, and the motion is inverted for the earlier neighbour; the
networks see jittered colours, the loss clean ones; a stereo partner stands 0.1 units away, so that a unit
is ten baselines (5.4 m on KITTI); at 1024x320 five epochs at 1e-5 follow those at 640x192.

From Lao, Yang, Wong, Soatto, *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*:
the pose from the depth encoder's own features (``shared_encoder_pose``, released code), and training on small
patches that do not know where in the image they lie (``crop``, Depth-cropped of its table 5).

Our choice: any timm backbone; border padding with align_corners=True, which is what the released code did
with the PyTorch of its time; all pose pairs in one batch (see ``batch_pose_pairs``); normalisation
travels with the weights, which may start from any earlier run; each partner has its own intrinsics; the unit
of depth is set by the first baseline seen, other baselines count in proportion, and ``predict`` is metric
after stereo; the focal length may be learned (``learned_intrinsics``, after Gordon et al., *Depth from Videos
in the Wild*, ICCV 2019): as one factor on a first guess, since pixels are square in nearly all video. With
stereo, new output layers start at twenty baselines instead of at two, where most of the partner lies out of
view and, with a long lens, nothing is learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Fields
from geopretrain.errors import DataError
from geopretrain.networks import Backbone, DepthNet, LearnedFocal, MetricScale, PoseNet, SharedPoseNet
from geopretrain.tasks.base import DepthTask, Logs
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.predictions import DepthMeaning, DepthPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.pretext.monodepth_config import RECIPES, MonodepthConfig
from geopretrain.tasks.pretext.monodepth_health import symptoms
from geopretrain.tasks.step import Step
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    normalise_like_timm,
    read_init,
)

STARTING_DEPTH = 2.0
"""Where new output layers begin with stereo, in units of ten baselines."""


class Monodepth(DepthTask):
    """The method as a task: ``depth_net``, ``pose_net``, their loss, their checks and their pictures.

    Args:
        config: options of the method.
        backbone: encoder of the depth network, initialised.
        pose_net: the pose network; None where nothing but the stereo partner is used.
    """

    name: ClassVar[str] = "monodepth"
    Config = MonodepthConfig

    def __init__(
        self, config: MonodepthConfig, backbone: Backbone, pose_net: PoseNet | SharedPoseNet | None
    ) -> None:
        super().__init__()
        self.config: MonodepthConfig = config
        frames = (0,) if config.supervision == "stereo" else (0, -1, 1)
        self.required = Fields(frames, () if config.supervision == "mono" else ("stereo",))
        self.depth_net = DepthNet(backbone, range(config.scales))
        self.pose_net = pose_net
        self.scale = MetricScale() if self.required.names else None
        if self.required.names:
            self._start_within_view()
        self.camera = _camera(config, pose_net)

    def _start_within_view(self) -> None:
        """Let new output layers begin at a distance from which the stereo partner sees the same things."""
        near, far = 1 / self.config.min_depth, 1 / self.config.max_depth
        share = min(max((1 / STARTING_DEPTH - far) / (near - far), 0.01), 0.99)
        for name, values in self.depth_net.decoder.heads.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.constant_(values, math.log(share / (1 - share)))

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for; only of the parts that these options have."""
        parts = {"backbone.": "depth_net.backbone.model.", "decoder.": "depth_net.decoder."}
        if isinstance(self.pose_net, PoseNet):
            parts["pose.backbone."] = "pose_net.backbone.model."
        if self.pose_net is not None:
            parts["pose.decoder."] = "pose_net.decoder."
        parts |= {"scale.": "scale."} if self.scale is not None else {}
        return parts | ({"camera.": "camera."} if self.camera is not None else {})

    @classmethod
    def create(cls, config: MonodepthConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; a run or official folder also gives its decoder and pose network.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone, _pose_net(config, backbone, init))
        init_other_parts(task, found.others, report)
        return task, report

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Cut out patches where that is asked for, flip and jitter: same draw for all frames of a sample."""
        from geopretrain.data.augment.batches import augment_clip
        from geopretrain.data.augment.crops import random_crop

        if self.config.crop:
            batch = random_crop(batch, (self.config.crop, self.config.crop))
        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, whole, neither flipped nor jittered."""
        from geopretrain.data.augment.batches import augment_clip

        return augment_clip(batch, flip=0.0, jitter=0.0)

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the loss of section 3.3 averaged over scales, and what the health checks need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target.

        Raises:
            DataError: a stereo partner is needed, and the batch has none.
        """
        seen = batch.images if batch.jittered is None else batch.jittered
        features, views = self._encode(seen)
        disparities = self.depth_net.decode(features)
        poses, intrinsics, logs = self._motion(views, batch)
        sources, poses, source_intrinsics = self._partners(batch, poses, intrinsics)
        result = losses.multiscale_reprojection(
            disparities,
            batch.images[:, 0],
            sources,
            intrinsics,
            poses,
            source_intrinsics=source_intrinsics,
            min_depth=self.config.min_depth,
            max_depth=self.config.max_depth,
            smoothness_weight=self.config.smoothness,
            ssim_weight=self.config.ssim_weight,
            automask=self.config.automask,
            noise=self.config.tie_noise,
        )
        logs |= {
            "photometric": result.photometric,
            "smoothness": result.smoothness,
            "identity_share": result.identity_share,
            "identity_error": result.identity_error,
            "reprojection_error": result.reprojection_error,
            "valid_share": result.valid_share,
            "disparity_std": disparities[0].float().std((1, 2, 3)).mean(),
        }
        return result.loss, {name: value.detach() for name, value in logs.items()}

    def poses(self, frames: Tensor, offsets: tuple[int, ...]) -> Tensor:
        """Return ``T_target_to_source``, ``B F-1 4 4``, of the neighbours in frames ``B F 3 H W``."""
        _, views = self._encode(frames)
        pairs = self._pair_features(views, offsets)
        return _poses_from_target(*self._motions(pairs), offsets)

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: section 4 at 640x192 or 1024x320."""
        return {"paper": RECIPES[self.config.resolution], "short": SHORT, "tiny": TINY}

    @property
    def depth_meaning(self) -> DepthMeaning:
        """``metric`` after stereo, else ``scale``."""
        return "metric" if self.required.names else "scale"

    @property
    def max_depth(self) -> float:
        """Depth at disparity 0."""
        return self.config.max_depth

    def predict(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to disparity ``B 1 H W`` of full size, 1 / units or 1/m."""
        sigmoid = self.depth_net(images, scales=(0,))[0]
        disparity = geometry.disparity_to_inverse_depth(
            sigmoid.float(), self.config.min_depth, self.config.max_depth
        )
        if self.scale is not None:
            metres = self.scale.metres_per_unit
            disparity = disparity / torch.where(metres > 0, metres, 1)
        return DepthPrediction(disparity, self.depth_meaning)

    def findings(self) -> dict[str, Any]:
        """Return what training found out beside the weights, for results.json."""
        found: dict[str, Any] = {}
        if self.scale is not None:
            found["metres_per_unit"] = self.scale.metres_per_unit.item()
        if self.camera is not None:
            found["learned_focal_length_px"] = self.camera.focal_length.tolist()
        return found

    def _encode(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the target's features, and what the pose network looks at in each frame, ``B F C h w``.

        That is the frames themselves, or with a shared encoder their deepest features: then every frame goes
        through the encoder once, all in one batch.
        """
        if not isinstance(self.pose_net, SharedPoseNet):
            return self.depth_net.backbone(frames[:, 0]), frames
        size, count = frames.shape[:2]
        features = self.depth_net.backbone(frames.transpose(0, 1).flatten(0, 1))
        return [f[:size] for f in features], features[-1].unflatten(0, (count, size)).transpose(0, 1)

    def _pair_features(self, views: Tensor, offsets: tuple[int, ...]) -> Tensor:
        """Return the features ``B F-1 C h w`` of each neighbour and the target in the order of time."""
        target = views[:, 0]
        pairs = [
            (views[:, i], target) if offset < 0 else (target, views[:, i])
            for i, offset in enumerate(offsets)
            if i > 0
        ]
        assert self.pose_net is not None
        if not self.config.batch_pose_pairs:
            return torch.stack([self.pose_net.features(*pair) for pair in pairs], 1)
        together = self.pose_net.features(*(torch.cat(side) for side in zip(*pairs, strict=True)))
        return together.unflatten(0, (len(pairs), -1)).transpose(0, 1)

    def _motions(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return axis-angle and translation ``B P 3`` from the features of the P pairs of frames."""
        assert self.pose_net is not None
        motions = self.pose_net.motion(pairs.transpose(0, 1).flatten(0, 1))
        axis_angle, translation = (m.unflatten(0, (pairs.shape[1], -1)).transpose(0, 1) for m in motions)
        return axis_angle, translation

    def _motion(self, views: Tensor, batch: ClipBatch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the poses of the neighbours ``B F-1 4 4``, the intrinsics ``B 3 3`` and what to log."""
        if self.pose_net is None:
            return batch.intrinsics.new_empty(len(batch.images), 0, 4, 4), batch.intrinsics, {}
        pairs = self._pair_features(views, batch.offsets)
        axis_angle, translation = self._motions(pairs)
        logs = {
            "pose_translation": translation.norm(dim=-1).mean(),
            "pose_rotation": axis_angle.norm(dim=-1).mean(),
        }
        intrinsics = batch.intrinsics
        if self.camera is not None:
            intrinsics = self.camera(batch.intrinsics, pairs)
            logs["focal_factor"] = (intrinsics[:, 0, 0] / batch.intrinsics[:, 0, 0]).mean()
        return _poses_from_target(axis_angle, translation, batch.offsets), intrinsics, logs

    def _partners(
        self, batch: ClipBatch, poses: Tensor, intrinsics: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the images to explain the target with ``B N 3 H W``, their poses and their intrinsics."""
        sources = batch.images[:, 1:]
        if self.scale is None:
            return sources, poses, None
        if batch.stereo is None or batch.T_target_to_stereo is None or batch.stereo_intrinsics is None:
            raise DataError(
                f"supervision={self.config.supervision} needs stereo partners, and these data have none. "
                "Prepare a data set with stereo pairs, or use supervision=mono."
            )
        poses = torch.cat([poses, self.scale(batch.T_target_to_stereo.to(poses))[:, None]], 1)
        cameras = torch.cat(
            [intrinsics[:, None].expand(-1, sources.shape[1], -1, -1), batch.stereo_intrinsics[:, None]], 1
        )
        return torch.cat([sources, batch.stereo[:, None]], 1), poses, cameras

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: target, depth (near = bright), first partner warped, auto-mask.

        The auto-mask is white where a moved partner explains the pixel better than an unmoved one.
        """
        from geopretrain import pictures

        batch = self.eval_transform(batch)
        features, views = self._encode(batch.images)
        sigmoid = self.depth_net.decode(features, scales=(0,))[0].float()
        poses, intrinsics, _ = self._motion(views, batch)
        sources, poses, cameras = self._partners(batch, poses, intrinsics)
        target, size = batch.images[:, 0], (batch.images.shape[-2], batch.images.shape[-1])
        inverse_depth = geometry.disparity_to_inverse_depth(
            sigmoid, self.config.min_depth, self.config.max_depth
        )
        projection = geometry.inverse_depth_projection(intrinsics, poses, size, cameras)
        warped, _ = losses.synthesise(losses.full_size(inverse_depth, target), projection, sources)
        weight = self.config.ssim_weight
        moved = losses.source_errors(target, warped, weight).amin(1)
        kept = moved < losses.identity_error(target, sources, ssim_weight=weight)
        captions = [
            "frame",
            "depth",
            "warped neighbour" if batch.offsets[1:] else "warped partner",
            "auto-mask",
        ]
        rows = {}
        for i in range(len(sources)):
            parts = [
                pictures.image(batch.images[i, 0].cpu().numpy()),
                pictures.colour_depth(inverse_depth[i, 0].cpu().numpy()),
                pictures.image(warped[i, 0].cpu().numpy()),
                pictures.grey(kept[i].float().cpu().numpy()),
            ]
            rows[f"sample_{i:02d}"] = pictures.side_by_side(parts, captions)
        return rows

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        if step < SETTLED_AFTER:
            return []
        return symptoms(logs, stereo=self.config.supervision == "stereo")


def _pose_net(config: MonodepthConfig, backbone: Backbone, init: Init) -> PoseNet | SharedPoseNet | None:
    if config.supervision == "stereo":
        return None
    if config.shared_encoder_pose:
        return SharedPoseNet(backbone.channels[-1])
    pose_net = PoseNet(
        config.pose_backbone or config.backbone, init.kind == "imagenet", **backbone.normalisation
    )
    if init.kind == "imagenet":
        normalise_like_timm(pose_net.backbone)
    return pose_net


def _camera(config: MonodepthConfig, pose_net: PoseNet | SharedPoseNet | None) -> LearnedFocal | None:
    if config.learned_intrinsics == "none" or pose_net is None:
        return None
    channels = pose_net.decoder.squeeze.in_channels if config.learned_intrinsics == "clip" else None
    return LearnedFocal(channels)


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
