"""SC-Depth: depth of one scale throughout a video, from video alone (V1, V2) or with a teacher's help (V3).

V1: Bian et al., *Unsupervised Scale-consistent Depth Learning from Video*, IJCV 2021.
V2: Bian et al., *Auto-Rectify Network for Unsupervised Indoor Depth Estimation*, TPAMI 2022.
V3: Sun et al., *SC-DepthV3: Robust Self-supervised Monocular Depth Estimation for Dynamic Scenes*, TPAMI
    2023. MeSa (Khan et al., sections 3.2 and 3.3, equations 2 to 5) uses V2 as geometric and V3 as
    supervised pre-training; ``version=3 rectify=true`` is the union it implies, which the released code
    does not have.

From the papers: each neighbour explains the target and the target each neighbour, in colours (MeSa eq. 3)
and in depth (eq. 4); where the depths disagree the colours count less. V2: a network estimates the rotation
between the frames, which is taken out of the neighbours before anything else, and learns from given
rotations and a triplet. V3: the target's depth must have the teacher's normals, order, and change of normals
across edges (eq. 5).

From the released code: all weights; 1 / depth = 10 sigmoid + 0.01 at full size only; bilinear upsampling in
the decoder; poses as translation and Euler angles, times 0.01, predicted in both directions; SSIM over 7x7
pixels; the best neighbour for each pixel; enlarging by up to 1.15; no colour jitter; the rectification
network sees half-size images. Its smoothness is that of the target alone.

Our choice, where ``as_released`` gives the released behaviour back: see `losses.geometry_consistency`,
`losses.rectification`, `losses.normals`, `losses.ranking`; smoothness of the disparity, not of the depth;
what a rectified neighbour does not show is masked, not grey. Beyond that: any timm backbone; all frames in
one batch of the depth network and all pairs in both orders in one batch of the pose network (see
``batch_frames``); a teacher's disparity up to scale and shift is aligned to the network's own.

Options are in `config`, what V2 adds in `rectification`, and V3 in `teacher`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain import geometry, losses, pictures
from geopretrain.data.augment.batches import augment_clip
from geopretrain.data.augment.crops import random_scale_crop
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Description, Fields, PseudoDepthInfo
from geopretrain.errors import DataError
from geopretrain.losses.geometry_consistency import GREY_MEAN, GREY_STD
from geopretrain.networks import Backbone, DepthNet, PoseNet, RotationNet
from geopretrain.tasks import diagnostics
from geopretrain.tasks.base import DepthTask, Logs
from geopretrain.tasks.motion import (
    POSE,
    ROTATION,
    Pair,
    PairStart,
    motion_logs,
    of_pairs,
    pair_net,
)
from geopretrain.tasks.predictions import DepthMeaning, DepthPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.pretext.scdepth.config import INDOORS, OUTDOORS, SCDepthConfig
from geopretrain.tasks.pretext.scdepth.rectification import (
    Rotations,
    Views,
    look_again,
    rectified,
    rotations_before,
)
from geopretrain.tasks.pretext.scdepth.teacher import check_teacher, ordered_depth, surfaces
from geopretrain.tasks.step import Step
from geopretrain.weights import Init, LoadReport, init_backbone, init_other_parts, read_init

MAX_ROTATION = 0.35
"""A mean estimated rotation beyond this, in rad per axis, is none that a camera makes between two frames."""
MAX_UNALIGNED = 0.1
"""More batches than this fraction without a usable normal of the teacher are no accident."""


class SCDepth(DepthTask):
    """The method as a task: ``depth_net``, ``pose_net``, ``rotation_net``, their loss, checks and pictures.

    Args:
        config: options of the method.
        backbone: encoder of the depth network, initialised.
        pose_net: the pose network.
        rotation_net: the rectification network; None without rectification.

    Attributes:
        teacher: what the maps of ``pseudo_depth`` mean, once the data are known (version 3).
    """

    name: ClassVar[str] = "scdepth"
    Config = SCDepthConfig

    def __init__(
        self, config: SCDepthConfig, backbone: Backbone, pose_net: PoseNet, rotation_net: RotationNet | None
    ) -> None:
        super().__init__()
        self.config: SCDepthConfig = config
        self.required = Fields((0, -1, 1), ("pseudo_depth",) if config.version == 3 else ())
        self.depth_net = DepthNet(backbone, scales=(0,), upsampling="bilinear")
        self.pose_net = pose_net
        self.rotation_net = rotation_net
        self.teacher: PseudoDepthInfo | None = None

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for; only of the parts that these options have."""
        parts = {
            "backbone.": "depth_net.backbone.model.",
            "decoder.": "depth_net.decoder.",
            POSE: "pose_net.backbone.model.",
            "pose.decoder.": "pose_net.decoder.",
        }
        if self.rotation_net is not None:
            parts |= {
                ROTATION: "rotation_net.backbone.model.",
                "rotation.decoder.": "rotation_net.decoder.",
            }
        return parts

    @classmethod
    def create(cls, config: SCDepthConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; a run also gives its decoder, pose and rectification network.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        name, like = config.pose_backbone, backbone.normalisation
        start = PairStart(config.pose_init, init, found.others)
        pose_net = pair_net(lambda pretrained: PoseNet(name, pretrained, **like), POSE, start)
        rotation_net = None
        if config.rectifies:
            rotation_net = pair_net(lambda pretrained: RotationNet(name, pretrained, **like), ROTATION, start)
        task = cls(config, backbone, pose_net, rotation_net)
        init_other_parts(task, found.others, report)
        start.say(report)
        return task, report

    def check_data(self, data: Description) -> None:
        """Learn what a teacher's maps mean.

        Raises:
            ConfigError: ``as_released`` does not go with such maps.
        """
        self.teacher = data.pseudo_depth if self.required.names else None
        check_teacher(self.teacher, self.config, data.path)

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Flip, enlarge and cut back, jitter where asked for: same draw for all frames of a sample."""
        if self.config.enlarge > 1:
            batch = random_scale_crop(batch, self.config.enlarge)
        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, neither flipped, enlarged nor jittered."""
        return augment_clip(batch, flip=0.0, jitter=0.0)

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the weighted sum of the version's terms, and what the diagnostics need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target; version 3 needs its ``pseudo_depth``.

        Raises:
            DataError: version 3, and the batch has no ``pseudo_depth``.
        """
        config, released = self.config, self.config.as_released
        views, rotations = self._views(batch)
        sigmoid = self._sigmoids(views.network_inputs)
        forward, backward, logs = self._poses(views.network_inputs)
        with torch.autocast(sigmoid.device.type, enabled=False):  # bf16 has too few digits for geometry
            depths = geometry.disparity_to_depth(sigmoid, config.min_depth, config.max_depth)
            compared = self._compare(views, depths, batch.intrinsics, forward, backward)
            # V1 (MeSa eq. 3 and 4)
            terms = {
                "photometric": losses.photometric_loss(compared),
                "geometry": losses.geometry_loss(compared),
            }
            if rotations is not None:  # V2
                terms["rotation_consistency"] = losses.rotation_consistency(rotations.guess, rotations.given)
                terms["rotation_triplet"] = losses.rotation_triplet(
                    rotations.before, rotations.after, released
                )
                logs |= rotations.logs()
            depth, agreement = depths[:, 0], compared.consistency
            if config.weights["smoothness"]:
                terms["smoothness"] = self._smoothness(depth, views.images[:, 0])
            if config.version == 3:  # MeSa eq. 5
                order = ordered_depth(batch, self.teacher)
                logs["teacher_fraction"] = (order > 0).float().mean()
                if config.ranking:
                    terms["ranking"], logs["ranked_fraction"] = losses.confident_ranking(
                        depth, order, agreement, released
                    )
                if config.normals or config.relative_normals:
                    surface, more = surfaces(depth, agreement, order, batch, self.teacher, config)
                    terms["normals"] = losses.normal_matching(surface.own, surface.teacher, surface.valid)
                    terms["relative_normals"], logs["edge_fraction"] = losses.edge_aware_relative_normals(
                        surface.own, surface.teacher, batch.images[:, 0], surface.depth, released
                    )
                    logs |= more
            loss = torch.stack([config.weights[name] * term for name, term in terms.items()]).sum()
        logs |= compared.logs | terms | {"disparity_std": sigmoid[:, 0].std((1, 2, 3)).mean()}
        return loss, {name: value.detach() for name, value in logs.items()}

    def _compare(
        self, views: Views, depths: Tensor, intrinsics: Tensor, forward: Tensor, backward: Tensor
    ) -> losses.Comparison:
        """Compare target and neighbours in colours and in depth, in both directions."""
        return losses.compare_views(
            views.images,
            depths,
            intrinsics,
            forward,
            backward,
            valid=views.valid,
            options=self.config.consistency,
        )

    def _smoothness(self, depth: Tensor, image: Tensor) -> Tensor:
        """Return the edge-aware smoothness of the target's disparity; as released, of its depth."""
        if self.config.as_released:
            image = (image - GREY_MEAN) / GREY_STD
            return losses.edge_aware_smoothness(losses.mean_normalised(depth), image)
        return losses.edge_aware_smoothness(losses.mean_normalised(1 / depth), image)

    def _views(self, batch: ClipBatch, learn: bool = True) -> tuple[Views, Rotations | None]:
        """Return the frames, with V2 rectified, and what teaches the rectification network."""
        inputs, net = batch.images, self.rotation_net
        if learn and self.config.jitter and batch.jittered is not None:
            inputs = batch.jittered
        if net is None:
            return Views(batch.images, inputs), None

        def estimate(pairs: Sequence[Pair]) -> Tensor:
            return of_pairs(net, pairs, self.config.batch_frames)

        options = batch.intrinsics, self.config.as_released
        before = rotations_before(estimate, inputs)
        views = rectified(Views(batch.images, inputs), before, *options)
        return views, look_again(estimate, views, inputs, before, *options) if learn else None

    def _sigmoids(self, frames: Tensor) -> Tensor:
        """Map frames ``B F 3 H W`` to sigmoid disparities ``B F 1 H W`` (float32)."""
        if not self.config.batch_frames:
            return torch.stack([self.depth_net(f)[0] for f in frames.unbind(1)], 1).float()
        together = self.depth_net(frames.transpose(0, 1).flatten(0, 1))[0]
        sigmoids: Tensor = together.unflatten(0, (frames.shape[1], -1)).transpose(0, 1).float()
        return sigmoids

    def _poses(self, frames: Tensor) -> tuple[Tensor, Tensor, Logs]:
        """Return the poses from the target to its neighbours and back, ``B F-1 4 4`` each, and logs."""
        target, *sources = frames.unbind(1)
        pairs = [(target, s) for s in sources] + [(s, target) for s in sources]
        motion = of_pairs(lambda a, b: torch.cat(self.pose_net(a, b), -1), pairs, self.config.batch_frames)
        with torch.autocast(motion.device.type, enabled=False):
            flat = motion.float().flatten(0, 1)
            poses = geometry.euler_pose_matrix(flat[:, :3], flat[:, 3:]).unflatten(0, motion.shape[:2])
        forward, backward = poses.transpose(0, 1).split(len(sources), 1)
        return forward, backward, motion_logs(motion[..., :3], motion[..., 3:])

    @property
    def predicts_motion(self) -> bool:
        """It learns from neighbouring frames."""
        return True

    def camera_motion(self, first: Tensor, second: Tensor, intrinsics: Tensor | None) -> Tensor:
        """Return ``T_first_to_second`` (``B 4 4``) for frames ``B 3 H W``; V2's rotation is part of it."""
        frames, net = torch.stack([first, second], 1), self.rotation_net
        if net is None:
            return self._poses(frames)[0][:, 0]
        if intrinsics is None:
            raise DataError("Frames cannot be rectified without their camera: prepare them as a store.")
        angles = rotations_before(lambda pairs: of_pairs(net, pairs, True), frames)
        views = rectified(Views(frames, frames), angles, intrinsics, self.config.as_released)
        turned = geometry.euler_pose_matrix(
            angles[0].float(), torch.zeros_like(angles[0], dtype=torch.float32)
        )
        return turned @ self._poses(views.network_inputs)[0][:, 0]

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: the released code's settings outdoors, or indoors with rectification."""
        paper = INDOORS if self.config.rectifies else OUTDOORS
        return {"paper": paper, "short": SHORT, "tiny": TINY}

    @property
    def depth_meaning(self) -> DepthMeaning:
        """``scale``: one factor for a whole video."""
        return "scale"

    @property
    def max_depth(self) -> float:
        """Depth at sigmoid 0."""
        return self.config.max_depth

    def predict(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to disparity ``B 1 H W`` (1 / units of depth) at full size."""
        disparity = geometry.disparity_to_inverse_depth(
            self.depth_net(images)[0].float(), self.config.min_depth, self.config.max_depth
        )
        return DepthPrediction(disparity, self.depth_meaning)

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: target, depth, first neighbour warped, how much each pixel counts.

        With rectification also the rotated neighbour, with a teacher also its depth (near = bright).
        """
        batch = self.eval_transform(batch)
        views, _ = self._views(batch, learn=False)
        disparity = geometry.disparity_to_inverse_depth(
            self._sigmoids(views.network_inputs), self.config.min_depth, self.config.max_depth
        )
        forward, backward, _ = self._poses(views.network_inputs)
        first = geometry.warp(views.images[:, 1], 1 / disparity[:, 0], batch.intrinsics, forward[:, 0])[0]
        counts = self._compare(views, 1 / disparity, batch.intrinsics, forward, backward).weight
        shown: dict[str, list[pictures.Picture]] = {
            "frame": [pictures.image(v) for v in batch.images[:, 0].cpu().numpy()],
            "depth": [pictures.colour_depth(v[0]) for v in disparity[:, 0].cpu().numpy()],
            "warped neighbour": [pictures.image(v) for v in first.cpu().numpy()],
            "what counts": [pictures.grey(v[0]) for v in counts.cpu().numpy()],
        }
        if self.rotation_net is not None:
            shown["rectified neighbour"] = [pictures.image(v) for v in views.images[:, 1].cpu().numpy()]
        if self.config.version == 3:
            near = torch.where((t := ordered_depth(batch, self.teacher)) > 0, 1 / t, torch.nan)
            shown["teacher"] = [pictures.colour_depth(v[0]) for v in near.cpu().numpy()]
        return pictures.rows(shown)

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        broken = diagnostics.not_a_number(logs, step) or empty_masks(logs)
        if broken or step < diagnostics.SETTLED_AFTER:
            return broken
        found = diagnostics.no_motion(logs) + diagnostics.flat_depth(logs) + diagnostics.out_of_view(logs)
        return found + diagnostics.nothing_explained(logs) + rectification_lost(logs) + teacher_useless(logs)


def empty_masks(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where masks left nothing to learn from; such a loss is no small loss."""
    empty = logs.get("empty_mask", 0.0)
    if not empty:
        return []
    return [
        f"In {empty:.0%} of the last steps (almost) no pixel was left to learn from, so that their loss says "
        "nothing: the predicted motion leads out of the view, or the frames are alike. Check the intrinsics "
        "and the motion between frames, or lower the learning rate."
    ]


def rectification_lost(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where the rectification network finds rotations that no camera makes."""
    if (before := logs.get("rotation_before", 0.0)) <= MAX_ROTATION:
        return []
    return [
        f"Rectification rotates the neighbours by {math.degrees(before):.0f} degrees per axis on average: "
        "the rectification network has lost its way. Lower the learning rate, or use version=1."
    ]


def teacher_useless(logs: Mapping[str, float]) -> list[str]:
    """Return one sentence for each thing that keeps the teacher from teaching."""
    found = []
    if (fraction := logs.get("teacher_fraction", 1.0)) < 0.05:
        found.append(
            f"The teacher's depth covers {fraction:.0%} of the pixels: it teaches next to nothing. Make it "
            "again with `geopretrain data pseudo-depth`."
        )
    elif (fraction := logs.get("ranked_fraction", 1.0)) < 0.05:
        found.append(
            f"The teacher sees {fraction:.0%} of the pixel pairs clearly apart: its depth is almost flat. "
            "Look at the pictures, and use another teacher."
        )
    if (fraction := logs.get("unaligned_batch", 0.0)) > MAX_UNALIGNED:
        found.append(
            f"In {fraction:.0%} of the last steps no picture of the teacher's disparity could be aligned to "
            "the network's own, so that its normals taught nothing: the two do not agree. If this stays, "
            "look at the pictures; use another teacher, or --settings normals=0 relative_normals=0."
        )
    return found
