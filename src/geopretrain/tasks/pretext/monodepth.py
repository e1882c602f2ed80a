"""Monodepth2: depth and camera motion from video, from stereo pairs, or from both.

Godard, Mac Aodha, Firman, Brostow, *Digging Into Self-Supervised Monocular Depth Estimation*, ICCV 2019.
A depth network looks at a frame, a pose network at the frame and each neighbour; together they must
explain how the neighbour becomes the frame. Needs no labels, but the camera's intrinsics. Where there are
stereo pairs, the known pose of the right image stands beside (MS) or instead of (S) the predicted ones.

From the paper: view synthesis as supervision (eq. 1); the photometric error of SSIM and L1 (eq. 2);
edge-aware smoothness of the mean-normalised disparity (eq. 3); per-pixel minimum over all sources, in time
and stereo (eq. 4); the auto-mask of pixels that look the same without moving (eq. 5); every scale compared
at full resolution (section 3.3); the networks, flips and colour jitter (sections 3.4 and 4).

From the released code: the errors of unmoved sources get noise of 1e-5 to break ties and compete in the
minimum, which is the auto-mask; smoothness at scale s weighs 1 / 2**s; the pose network's output is
multiplied by 0.01; frames enter it in the order of time, and the motion is inverted for the earlier
neighbour; the networks see jittered colours, the loss clean ones; a right image stands 0.1 units away, so
that a unit is ten baselines (5.4 m on KITTI); at 1024x320 five epochs at 1e-5 follow those at 640x192.

From Lao, Yang, Wong, Soatto, *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*:
the pose from the depth encoder's own features (``shared_encoder_pose``, released code), and training on small
patches that do not know where in the image they lie (``crop``, Depth-cropped of its table 5).

Our choice: any timm backbone, from the weights of any earlier run; border padding with align_corners=True,
which is what the released code did with the PyTorch of its time; all pose pairs in one batch; each right
image has its own intrinsics; the unit of depth is set by the first baseline met, other baselines count in
proportion, and ``predict`` is metric after stereo; the focal length may be learned (``learned_intrinsics``,
after Gordon et al., *Depth from Videos in the Wild*, ICCV 2019), as one factor on a first guess. With stereo,
new output layers start at twenty baselines instead of at two, where most of the right image lies out of view
and, with a long lens, nothing is learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain import geometry, losses, pictures
from geopretrain.data.augment.batches import augment_clip
from geopretrain.data.augment.crops import random_crop
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Fields
from geopretrain.errors import ConfigError, require
from geopretrain.networks import Backbone, DepthNet, LearnedFocal, MetricScale, PoseNet, SharedPoseNet
from geopretrain.schema import Natural, NonNegative, Positive, Unit, checked
from geopretrain.tasks import diagnostics
from geopretrain.tasks.base import DepthTask, Logs
from geopretrain.tasks.motion import (
    POSE,
    PairStart,
    in_time_order,
    motion_logs,
    of_pairs,
    pair_net,
    poses_in_time_order,
)
from geopretrain.tasks.predictions import DepthMeaning, DepthPrediction
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Step
from geopretrain.weights import Init, LoadReport, init_backbone, init_other_parts, read_init

PAPER = {
    "640x192": Preset(size=(192, 640), batch_size=12, lr=1e-4, schedule="step", epochs=20),
    "1024x320": Preset(size=(320, 1024), batch_size=12, lr=1e-5, schedule="step", epochs=5),
}
"""Section 4; the settings at 1024x320 start from a run at 640x192 (--init)."""
GENTLE = replace(SHORT, lr_of={"imagenet": 1e-4})
"""Preset ``short``: after ImageNet's weights at a third of the rate, with which less of them was forgotten
and no score of a fine-tuning fell (docs/results/what-helps.md)."""
AnyPoseNet = PoseNet | SharedPoseNet
STARTING_DEPTH = 2.0
"""Where new output layers begin with stereo, in units of ten baselines."""


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
    pose_init: Literal["auto", "imagenet", "random"] = "auto"
    """What the pose network's encoder begins with, where init has none: ``imagenet``, ``random``, or
    ``auto``: ImageNet's weights where the depth network's encoder, or the run that it is from, began so."""
    supervision: Literal["mono", "stereo", "both"] = "mono"
    """``mono`` (M: the neighbours in time), ``stereo`` (S: the right image) or ``both`` (MS)."""
    shared_encoder_pose: bool = False
    """Predict the camera's motion from the depth encoder's features instead of a network of its own."""
    learned_intrinsics: Literal["none", "dataset", "clip"] = "none"
    """``none``, or learn the focal length of uncalibrated video: one factor on the given intrinsics for all
    data (``dataset``), or one predicted from the frames of each sample (``clip``)."""
    crop: Natural = 0
    """Side, px, of square patches to train on (Lao et al.: 256), at least 64; 0 = none."""
    resolution: Literal["640x192", "1024x320"] = "640x192"
    """Width x height of the paper's settings that preset ``paper`` takes: ``640x192`` or ``1024x320``."""
    min_depth: Positive = 0.1
    """Depth at disparity 1, in units of the (unknown) scale of the scene."""
    max_depth: Positive = 100.0
    """Depth at disparity 0, same units."""
    ssim_weight: Unit = 0.85
    """Weight of SSIM in the photometric error (alpha of eq. 2); L1 has the rest."""
    smoothness: NonNegative = 1e-3
    """Weight of the edge-aware smoothness at full size (lambda of section 3.3)."""
    automask: bool = True
    """Leave out pixels that an unmoved neighbour explains better (eq. 5)."""
    tie_noise: NonNegative = 1e-5
    """Standard deviation of the noise added to the errors of the unmoved sources."""
    scales: Literal[1, 2, 3, 4] = 4
    """Number of scales with a loss, 1 to 4."""
    batch_pose_pairs: bool = True
    """Send all pairs of frames through the pose network as one batch: three per cent faster on a CPU. In
    training, batch normalisation then takes its statistics over all pairs at once, which changes the first
    loss by about 4e-6; off is the released code's order."""
    flip: Unit = 0.5
    """Probability of a horizontal flip; the principal point moves along."""
    jitter: Unit = 0.5
    """Probability of a change of colours in what the networks see."""

    def __post_init__(self) -> None:
        fits = self.crop == 0 or self.crop >= 64
        require(fits, "crop", "0 or at least 64", self.crop)
        require(self.min_depth < self.max_depth, "min_depth", "below max_depth", self.min_depth)
        if self.supervision != "mono" and self.learned_intrinsics != "none":
            raise ConfigError("Stereo pairs are calibrated: learned_intrinsics is for supervision=mono.")
        if self.supervision == "stereo" and self.shared_encoder_pose:
            raise ConfigError("supervision=stereo has no motion to predict: leave shared_encoder_pose.")


@dataclass(frozen=True)
class Scene:
    """What the networks say of a batch, and the images that it must explain.

    Attributes:
        disparities: sigmoid outputs ``B 1 h w``, finest first.
        target: ``B 3 H W`` in [0, 1].
        sources: ``B N 3 H W``, the neighbours in time and then the right image.
        projection: ``B N 3 4`` from the target into the sources, in inverse depth (eq. 1).
    """

    disparities: list[Tensor]
    target: Tensor
    sources: Tensor
    projection: Tensor


class Monodepth(DepthTask):
    """The method as a task: ``depth_net``, ``pose_net``, their loss, their checks and their pictures.

    Args:
        config: options of the method.
        backbone: encoder of the depth network, initialised.
        pose_net: the pose network; None where nothing but the right image is used.
    """

    name: ClassVar[str] = "monodepth"
    Config = MonodepthConfig

    def __init__(self, config: MonodepthConfig, backbone: Backbone, pose_net: AnyPoseNet | None) -> None:
        super().__init__()
        self.config: MonodepthConfig = config
        frames = (0,) if config.supervision == "stereo" else (0, -1, 1)
        self.required = Fields(frames, () if config.supervision == "mono" else ("stereo",))
        self.depth_net = DepthNet(backbone, range(config.scales))
        self.pose_net = pose_net
        self.scale = None if config.supervision == "mono" else MetricScale()
        self.camera = None
        if config.learned_intrinsics != "none" and pose_net is not None:
            channels = pose_net.decoder.squeeze.in_channels
            self.camera = LearnedFocal(channels if config.learned_intrinsics == "clip" else None)
        if self.scale is not None:  # begin where the right image sees the same things
            near, far = 1 / config.min_depth, 1 / config.max_depth
            self.depth_net.start_at(min(max((1 / STARTING_DEPTH - far) / (near - far), 0.01), 0.99))

    @classmethod
    def create(cls, config: MonodepthConfig, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``; a run or official folder also gives its decoder and pose network.

        Raises:
            ConfigError: unknown backbone.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        pose_net: AnyPoseNet | None = None
        start = PairStart(config.pose_init, init, found.others)
        if config.shared_encoder_pose:
            pose_net = SharedPoseNet(backbone.channels[-1])
        elif config.supervision != "stereo":
            name, like = config.pose_backbone or config.backbone, backbone.normalisation
            pose_net = pair_net(lambda pretrained: PoseNet(name, pretrained, **like), POSE, start)
        task = cls(config, backbone, pose_net)
        init_other_parts(task, found.others, report)
        start.say(report)
        return task, report

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: section 4 at 640x192 or 1024x320; ``short``: slower after ImageNet's weights."""
        return {"paper": PAPER[self.config.resolution], "short": GENTLE, "tiny": TINY}

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for; only of the parts that these options have."""
        parts = {"backbone.": "depth_net.backbone.model.", "decoder.": "depth_net.decoder."}
        if isinstance(self.pose_net, PoseNet):
            parts[POSE] = "pose_net.backbone.model."
        if self.pose_net is not None:
            parts["pose.decoder."] = "pose_net.decoder."
        parts |= {"scale.": "scale."} if self.scale is not None else {}
        return parts | ({"camera.": "camera."} if self.camera is not None else {})

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Cut out patches where that is asked for, flip and jitter: same draw for all frames of a sample."""
        if self.config.crop:
            batch = random_crop(batch, (self.config.crop, self.config.crop))
        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, whole, neither flipped nor jittered."""
        return augment_clip(batch, flip=0.0, jitter=0.0)

    def loss(self, batch: ClipBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the loss of section 3.3, the mean over the scales, and what the diagnostics need.

        Args:
            batch: augmented, ``B F 3 H W`` with frame 0 the target.

        Raises:
            DataError: stereo pairs are needed, and the batch has none.
        """
        scene, logs = self._scene(batch)
        config, target, sources = self.config, scene.target, scene.sources
        reprojections, smoothness, image = [], [], target
        with torch.autocast(target.device.type, enabled=False):  # bf16 has too few digits for geometry
            # the right side of eq. 5, shared by the scales
            unmoved = losses.identity_error(target, sources, config.tie_noise, ssim_weight=config.ssim_weight)
            mask = unmoved if config.automask else None
            for scale, disparity in enumerate(scene.disparities):
                # at full size (section 3.3): the best source of each pixel (eq. 4), if moving helps (eq. 5)
                inverse_depth = self._inverse_depth(losses.full_size(disparity, target))
                how = inverse_depth, scene.projection, target, sources, mask
                reprojections.append(losses.minimum_reprojection(*how, ssim_weight=config.ssim_weight))
                # at its own size: smooth where the image is (eq. 3)
                image = losses.image_at(image, disparity.shape[-2:])
                smooth = losses.edge_aware_smoothness(losses.mean_normalised(disparity), image)
                smoothness.append(config.smoothness / 2**scale * smooth)
            photometric = torch.stack([reprojection.error for reprojection in reprojections])
            loss = (photometric + torch.stack(smoothness)).mean()
        logs |= {
            "photometric": photometric.mean(),
            "smoothness": torch.stack(smoothness).mean(),
            "masked_fraction": reprojections[0].masked_fraction,
            "identity_error": unmoved.mean(),
            "reprojection_error": reprojections[0].unmasked_error,
            "valid_fraction": reprojections[0].valid_fraction,
            "disparity_std": scene.disparities[0].std((1, 2, 3)).mean(),
        }
        return loss, {name: value.detach() for name, value in logs.items()}

    def _scene(self, batch: ClipBatch) -> tuple[Scene, Logs]:
        """Ask the networks, and return what there is to log of their answers."""
        network_inputs = batch.images if batch.jittered is None else batch.jittered
        features, views = self._encode(network_inputs)
        decoded = self.depth_net.decode(features, size=network_inputs.shape[-2:])
        disparities = [disparity.float() for disparity in decoded]
        poses, intrinsics, logs = self._motion(views, batch)
        target, sources, cameras = batch.images[:, 0].contiguous(), batch.images[:, 1:], None
        if self.scale is not None:
            right, pose = batch.required("stereo"), batch.required("T_target_to_stereo")
            poses = torch.cat([poses, self.scale(pose.to(poses))[:, None]], 1)
            neighbours = intrinsics[:, None].expand(-1, sources.shape[1], -1, -1)
            cameras = torch.cat([neighbours, batch.required("stereo_intrinsics")[:, None]], 1)
            sources = torch.cat([sources, right[:, None]], 1)
        with torch.autocast(target.device.type, enabled=False):
            projection = geometry.inverse_depth_projection(intrinsics, poses, target.shape[-2:], cameras)
        return Scene(disparities, target, sources.contiguous(), projection), logs

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

    def _motion(self, views: Tensor, batch: ClipBatch) -> tuple[Tensor, Tensor, Logs]:
        """Return the poses of the neighbours ``B F-1 4 4``, the intrinsics ``B 3 3`` and what to log."""
        if self.pose_net is None:
            return batch.intrinsics.new_empty(len(batch.images), 0, 4, 4), batch.intrinsics, {}
        pairs = in_time_order(views, batch.offsets)
        features = of_pairs(self.pose_net.features, pairs, self.config.batch_pose_pairs)
        motion = self.pose_net.motion(features.flatten(0, 1))
        axis_angle, translation = (values.unflatten(0, features.shape[:2]) for values in motion)
        intrinsics, logs = batch.intrinsics, motion_logs(axis_angle, translation)
        if self.camera is not None:
            intrinsics = self.camera(batch.intrinsics, features.transpose(0, 1))
            logs["focal_factor"] = (intrinsics[:, 0, 0] / batch.intrinsics[:, 0, 0]).mean()
        return poses_in_time_order(axis_angle, translation, batch.offsets), intrinsics, logs

    @property
    def predicts_motion(self) -> bool:
        """Whether it learns from neighbouring frames."""
        return self.pose_net is not None

    def camera_motion(self, first: Tensor, second: Tensor, intrinsics: Tensor | None) -> Tensor:
        """Return ``T_first_to_second`` (``B 4 4``) for frames ``B 3 H W`` in the order of time."""
        if self.pose_net is None:
            return super().camera_motion(first, second, intrinsics)
        views = self._encode(torch.stack([first, second], 1))[1]
        angles, shift = self.pose_net.motion(self.pose_net.features(*views.unbind(1)))
        return geometry.pose_matrix(angles.float(), shift.float())

    def _inverse_depth(self, sigmoid: Tensor) -> Tensor:
        return geometry.disparity_to_inverse_depth(sigmoid, self.config.min_depth, self.config.max_depth)

    @property
    def depth_meaning(self) -> DepthMeaning:
        """``metric`` after stereo, else ``scale``."""
        return "scale" if self.scale is None else "metric"

    @property
    def max_depth(self) -> float:
        """Depth at disparity 0."""
        return self.config.max_depth

    def predict(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to disparity ``B 1 H W`` of full size, 1 / units or 1/m."""
        disparity = self._inverse_depth(self.depth_net(images, scales=(0,))[0].float())
        if self.scale is not None:
            metres = self.scale.metres_per_unit
            disparity = disparity / torch.where(metres > 0, metres, 1)
        return DepthPrediction(disparity, self.depth_meaning)

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: target, depth (near = bright), first source warped, auto-mask.

        The auto-mask is white where a moved source explains the pixel better than an unmoved one.
        """
        scene, _ = self._scene(self.eval_transform(batch))
        target, sources, weight = scene.target, scene.sources, self.config.ssim_weight
        inverse_depth = self._inverse_depth(losses.full_size(scene.disparities[0], target))
        warped, _ = losses.synthesise(inverse_depth, scene.projection, sources)
        moved = losses.source_errors(target, warped, weight).amin(1)
        kept = moved < losses.identity_error(target, sources, ssim_weight=weight)
        source = "right image" if self.config.supervision == "stereo" else "neighbour"
        shown = {
            "frame": [pictures.image(v) for v in target.cpu().numpy()],
            "depth": [pictures.colour_depth(v[0]) for v in inverse_depth.cpu().numpy()],
            f"warped {source}": [pictures.image(v[0]) for v in warped.cpu().numpy()],
            "auto-mask": [pictures.grey(v) for v in kept.float().cpu().numpy()],
        }
        return pictures.rows(shown)

    def findings(self) -> dict[str, Any]:
        """Return what training found out beside the weights, for results.json."""
        scale, camera = self.scale, self.camera
        found: dict[str, Any] = {} if scale is None else {"metres_per_unit": scale.metres_per_unit.item()}
        return found if camera is None else found | {"learned_focal_length_px": camera.focal_length.tolist()}

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        broken = diagnostics.not_a_number(logs, step)
        if broken or step < diagnostics.SETTLED_AFTER:
            return broken
        found = diagnostics.no_motion(logs) + diagnostics.flat_depth(logs) + diagnostics.out_of_view(logs)
        if not 0.2 < (factor := logs.get("focal_factor", 1.0)) < 5:
            found.append(
                f"The learned focal length is {factor:.1f} times the first guess: the camera probably "
                "rotates too little to tell. Give the intrinsics, or set learned_intrinsics=none."
            )
        return found + diagnostics.nothing_explained(logs, self.config.supervision == "stereo")
