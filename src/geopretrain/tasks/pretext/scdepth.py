"""SC-Depth: depth of one scale throughout a video, from video alone (V1, V2) or with a teacher's help (V3).

V1: Bian et al., *Unsupervised Scale-consistent Depth Learning from Video*, IJCV 2021.
V2: Bian et al., *Auto-Rectify Network for Unsupervised Indoor Depth Estimation*, TPAMI 2022.
V3: Sun et al., *SC-DepthV3: Robust Self-supervised Monocular Depth Estimation for Dynamic Scenes*, TPAMI
    2023. MeSa (Khan et al., sections 3.2 and 3.3, equations 2 to 5) uses V2 as geometric and V3 as
    supervised pre-training; ``version=3 rectify=true`` is the union it implies, which the released code
    does not have.

From the papers: each neighbour explains the target and the target each neighbour, in colours (MeSa eq. 3)
and in depth (eq. 4); where the depths disagree the colours count less. V2: a network estimates the rotation
between the frames, which is taken out of the neighbours before anything else, and learns from known turns
and a triplet. V3: the target's depth must have the teacher's normals, order, and change of normals across
edges (eq. 5).

From the released code: all weights; 1 / depth = 10 sigmoid + 0.01 at full size only; bilinear upsampling in
the decoder; poses as translation and Euler angles, times 0.01, predicted in both directions; SSIM over 7x7
pixels; the best neighbour for each pixel; enlarging by up to 1.15; no colour jitter; the rectification
network sees half-size images. Its smoothness is that of the target alone.

Our choice, where ``as_released`` gives the released behaviour back: see `losses.geometry_consistency`,
`losses.rectification`, `losses.normals`, `losses.ranking`; smoothness of the disparity, not of the depth;
what a rectified neighbour does not show is masked, not grey. Beyond that: any timm backbone; all frames in
one batch of the depth network and all pairs in both orders in one batch of the pose network (see
``batch_frames``); a teacher's disparity up to scale and shift is aligned to the network's own (see
`scdepth_teacher`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Description, Fields, PseudoDepthInfo
from geopretrain.losses.geometry_consistency import GREY_MEAN, GREY_STD
from geopretrain.networks import Backbone, DepthNet, PoseNet, RotationNet
from geopretrain.tasks.base import DepthTask, Logs
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number
from geopretrain.tasks.predictions import DepthMeaning, DepthPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.pretext.monodepth_health import symptoms
from geopretrain.tasks.pretext.scdepth_config import INDOORS, OUTDOORS, SCDepthConfig
from geopretrain.tasks.pretext.scdepth_health import empty_masks, own_symptoms
from geopretrain.tasks.pretext.scdepth_teacher import check_teacher, ordered_depth, teacher_terms
from geopretrain.tasks.step import Step
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    normalise_like_timm,
    read_init,
)


@dataclass(frozen=True)
class Views:
    """Target and neighbours as they are compared, after rectification.

    Attributes:
        images: ``B F 3 H W`` in [0, 1] for the loss.
        seen: the same for the networks.
        known: ``B F 1 H W`` bool, what the camera saw; None = all.
        turns: ``B F-1 3`` Euler angles (rad) that were taken out; None = none.
    """

    images: Tensor
    seen: Tensor
    known: Tensor | None = None
    turns: Tensor | None = None


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
            "pose.backbone.": "pose_net.backbone.model.",
            "pose.decoder.": "pose_net.decoder.",
        }
        if self.rotation_net is not None:
            parts |= {
                "rotation.backbone.": "rotation_net.backbone.model.",
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
        pretrained = init.kind == "imagenet"
        pose_net = PoseNet(config.pose_backbone, pretrained, **backbone.normalisation)
        rotation_net = None
        if config.rectifies:
            rotation_net = RotationNet(config.pose_backbone, pretrained, **backbone.normalisation)
        for net in (pose_net, rotation_net):
            if pretrained and net is not None:
                normalise_like_timm(net.backbone)
        task = cls(config, backbone, pose_net, rotation_net)
        init_other_parts(task, found.others, report)
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
        from geopretrain.data.augment.batches import augment_clip
        from geopretrain.data.augment.crops import random_scale_crop

        if self.config.enlarge > 1:
            batch = random_scale_crop(batch, self.config.enlarge)
        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, neither flipped, enlarged nor jittered."""
        from geopretrain.data.augment.batches import augment_clip

        return augment_clip(batch, flip=0.0, jitter=0.0)

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the weighted sum of the version's terms, and what the health checks need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target; version 3 needs its ``pseudo_depth``.

        Raises:
            DataError: version 3, and the batch has no ``pseudo_depth``.
        """
        views, rotation_terms, logs = self._rectify(batch)
        sigmoid = self._depth_sigmoids(views.seen)
        ahead, back, motion = self._pair_poses(views.seen)
        with torch.autocast(sigmoid.device.type, enabled=False):  # bf16 has too few digits for geometry
            depths = geometry.disparity_to_depth(sigmoid, self.config.min_depth, self.config.max_depth)
            result = self._compare(views, depths, batch.intrinsics, ahead, back)
            terms = {"photometric": result.photometric, "geometry": result.geometry, **rotation_terms}
            if self.config.smoothness_weight:
                terms["smoothness"] = self._smoothness(depths[:, 0], views.images[:, 0])
            if self.config.version == 3:
                of_teacher, more = teacher_terms(
                    depths[:, 0], result.consistency, batch, self.teacher, self.config
                )
                terms |= of_teacher
                logs |= more
            loss = torch.stack([self._weight(name) * term for name, term in terms.items()]).sum()
        logs |= result.logs | motion | terms | {"disparity_std": sigmoid[:, 0].std((1, 2, 3)).mean()}
        return loss, {name: value.detach() for name, value in logs.items()}

    def _compare(
        self, views: Views, depths: Tensor, intrinsics: Tensor, ahead: Tensor, back: Tensor
    ) -> losses.ConsistencyResult:
        """Return the photometric and the geometry term (MeSa eq. 3 and 4)."""
        options = self.config.consistency
        return losses.photometric_and_geometry(
            views.images, depths, intrinsics, ahead, back, valid=views.known, options=options
        )

    def _weight(self, term: str) -> float:
        return self.config.smoothness_weight if term == "smoothness" else float(getattr(self.config, term))

    def _smoothness(self, depth: Tensor, image: Tensor) -> Tensor:
        """Return the edge-aware smoothness of the target's disparity; as released, of its depth."""
        if self.config.as_released:
            image = (image - GREY_MEAN) / GREY_STD
            return losses.edge_aware_smoothness(losses.mean_normalised(depth), image)
        return losses.edge_aware_smoothness(losses.mean_normalised(1 / depth), image)

    def _depth_sigmoids(self, frames: Tensor) -> Tensor:
        """Map frames ``B F 3 H W`` to sigmoid disparities ``B F 1 H W`` (float32)."""
        if not self.config.batch_frames:
            return torch.stack([self.depth_net(f)[0] for f in frames.unbind(1)], 1).float()
        together = self.depth_net(frames.transpose(0, 1).flatten(0, 1))[0]
        return together.unflatten(0, (frames.shape[1], -1)).transpose(0, 1).float()

    def _pair_poses(self, frames: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the poses from the target to its neighbours and back, ``B F-1 4 4`` each, and logs."""
        target, *sources = frames.unbind(1)
        pairs = [(target, s) for s in sources] + [(s, target) for s in sources]
        motion = self._of_pairs(lambda a, b: torch.cat(self.pose_net(a, b), -1), pairs)
        with torch.autocast(motion.device.type, enabled=False):
            flat = motion.float().flatten(0, 1)
            poses = geometry.euler_pose_matrix(flat[:, :3], flat[:, 3:]).unflatten(0, motion.shape[:2])
        logs = {
            "pose_translation": motion[..., 3:].norm(dim=-1).mean(),
            "pose_rotation": motion[..., :3].norm(dim=-1).mean(),
        }
        ahead, back = poses.transpose(0, 1).split(len(sources), 1)
        return ahead, back, logs

    def _of_pairs(
        self, net: Callable[[Tensor, Tensor], Tensor], pairs: Sequence[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Return the network's answers ``P B C`` to pairs of images, all in one batch unless told not to."""
        if not self.config.batch_frames:
            return torch.stack([net(*pair) for pair in pairs])
        first, second = (torch.cat(side) for side in zip(*pairs, strict=True))
        return net(first, second).unflatten(0, (len(pairs), -1))

    def _rectify(self, batch: ClipBatch) -> tuple[Views, dict[str, Tensor], dict[str, Tensor]]:
        """Take the rotation out of the neighbours; return the views, the rotation terms and their logs.

        The first estimate is used; a second one, of what is left, and a third one, of a known turn, teach the
        network (V2).
        """
        seen = batch.images if batch.jittered is None or not self.config.jitter else batch.jittered
        if self.rotation_net is None:
            return Views(batch.images, seen), {}, {}
        target, *sources = seen.unbind(1)
        before = self._of_pairs(self.rotation_net, [(target, s) for s in sources])
        views = self._turned(batch.images, seen, before.transpose(0, 1).float(), batch.intrinsics)
        known = losses.training_rotations(before.float(), torch.rand(before.shape).to(before.device))
        turned = [
            self._turn(s, angles, batch.intrinsics)[0] for s, angles in zip(sources, known, strict=True)
        ]
        left = [(target, view) for view in views.seen[:, 1:].unbind(1)]
        after, guess = self._of_pairs(
            self.rotation_net, left + list(zip(turned, sources, strict=True))
        ).split(len(sources))
        terms = {
            "rotation_consistency": losses.rotation_consistency(guess, known),
            "rotation_triplet": losses.rotation_triplet(before, after, self.config.as_released),
        }
        logs = {"rotation_before": before.abs().mean(), "rotation_after": after.abs().mean()}
        return views, terms, logs

    def _turned(self, images: Tensor, seen: Tensor, turns: Tensor, intrinsics: Tensor) -> Views:
        """Turn the neighbours of ``B F 3 H W`` by ``turns`` (``B F-1 3`` rad)."""
        layers = images if seen is images else torch.cat([images, seen], 2)
        count = turns.shape[1]
        turned, inside = self._turn(
            layers[:, 1:].flatten(0, 1), turns.flatten(0, 1), intrinsics.repeat_interleave(count, 0)
        )
        turned, inside = (values.unflatten(0, (-1, count)) for values in (turned, inside))
        whole = torch.cat([layers[:, :1], turned], 1)
        known = torch.cat([torch.ones_like(inside[:, :1]), inside], 1)
        return Views(whole[:, :, :3], whole[:, :, -3:], None if self.config.as_released else known, turns)

    def _turn(self, images: Tensor, angles: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
        """Turn images ``B C H W`` by Euler angles ``B 3``; return them and what lies inside, ``B 1 H W``."""
        with torch.autocast(images.device.type, enabled=False):
            rotation = geometry.rotation_from_euler(angles)
            if not self.config.as_released:
                return geometry.warp_rotated(images, rotation, intrinsics)
            # outside is grey, which is 0 once normalised
            turned, inside = geometry.warp_rotated(images - GREY_MEAN, rotation, intrinsics, "zeros")
            return turned + GREY_MEAN, inside

    def poses(self, frames: Tensor, offsets: tuple[int, ...], intrinsics: Tensor | None = None) -> Tensor:
        """Return ``T_target_to_source``, ``B F-1 4 4``, of the neighbours in frames ``B F 3 H W``.

        Frame 0 is the target; the times ``offsets`` make no difference here. Rectification needs the
        intrinsics, ``B 3 3`` px.

        Raises:
            ValueError: rectification without intrinsics.
        """
        return self._poses(self._views(frames, intrinsics))

    def _views(self, frames: Tensor, intrinsics: Tensor | None) -> Views:
        """Return frames ``B F 3 H W`` as the networks see them, after rectification."""
        if self.rotation_net is None:
            return Views(frames, frames)
        if intrinsics is None:
            raise ValueError("poses with rectification need the intrinsics of the frames")
        target, *sources = frames.unbind(1)
        turns = self._of_pairs(self.rotation_net, [(target, s) for s in sources])
        return self._turned(frames, frames, turns.transpose(0, 1).float(), intrinsics)

    def _poses(self, views: Views) -> Tensor:
        """Return ``T_target_to_source`` ``B F-1 4 4`` of the frames before rectification."""
        ahead, _, _ = self._pair_poses(views.seen)
        if views.turns is None:
            return ahead
        flat = views.turns.flatten(0, 1)
        turns = geometry.euler_pose_matrix(flat, torch.zeros_like(flat))
        return turns.unflatten(0, views.turns.shape[:2]) @ ahead

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

        With rectification also the turned neighbour, with a teacher also its depth (near = bright).
        """
        from geopretrain import pictures

        batch = self.eval_transform(batch)
        views = self._views(batch.images, batch.intrinsics)
        disparity = geometry.disparity_to_inverse_depth(
            self._depth_sigmoids(views.seen), self.config.min_depth, self.config.max_depth
        )
        ahead, back, _ = self._pair_poses(views.seen)
        first = geometry.warp(views.images[:, 1], 1 / disparity[:, 0], batch.intrinsics, ahead[:, 0])[0]
        counts = self._compare(views, 1 / disparity, batch.intrinsics, ahead, back).weight
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
        if broken := not_a_number(logs, step):
            return broken
        if empty := empty_masks(logs):
            return empty
        return [] if step < SETTLED_AFTER else symptoms(logs) + own_symptoms(logs)
