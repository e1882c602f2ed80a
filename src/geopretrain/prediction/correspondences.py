"""Where the pixels of a stored frame are seen in another one of its clip: by depth and motion, or by flow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.data.batches import as_float, at_size
from geopretrain.data.prepare.motion import dense_flow
from geopretrain.data.readers.base import METRES
from geopretrain.data.resize import resize_depth
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError
from geopretrain.geometry import (
    Correspondence,
    correspondence_by_depth,
    correspondence_by_flow,
    invert_pose,
    resize_intrinsics,
)
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.tasks.base import DepthTask

_KEPT = 64  # depth maps, motions and flows of the frames around the present one


class Correspondences(ABC):
    """Follows the points of a frame to another one."""

    @abstractmethod
    def between(self, clip: int, frames: Sequence[int]) -> Correspondence | None:
        """Return where the pixels of the first frame are seen in the last one, ``1 2 h w`` and ``1 1 h w``.

        Args:
            clip: of the store.
            frames: numbers from the target's to the source's, neighbours a stride apart.

        Returns:
            At the size of the stored frames, on the CPU; None where nothing is known of one of the frames.
        """


class ByDepth(Correspondences):
    """Follows points by the depth of both frames and the motion of the camera."""

    one_scale = True

    def __init__(self, store: FrameStore, max_inconsistency: float) -> None:
        self.store, self.max_inconsistency = store, max_inconsistency
        self._depth_of = lru_cache(_KEPT)(self.depth)

    @abstractmethod
    def depth(self, clip: int, frame: int) -> Tensor | None:
        """Return the depth of a frame, ``1 1 h w``."""

    def camera(self, clip: int) -> Tensor:
        """Return the intrinsics of the stored frames, ``1 3 3`` px."""
        return torch.from_numpy(self.store.intrinsics(clip))[None]

    @abstractmethod
    def motion(self, clip: int, frames: Sequence[int]) -> Tensor | None:
        """Return ``T_first_to_last``, ``1 4 4``, in units of the depth."""

    def between(self, clip: int, frames: Sequence[int]) -> Correspondence | None:
        """Return where the pixels of the first frame are seen in the last one."""
        motion = self.motion(clip, frames)
        depths = [self._depth_of(clip, frame) for frame in (frames[0], frames[-1])]
        if motion is None or depths[0] is None or depths[1] is None:
            return None
        return correspondence_by_depth(
            depths[0],
            depths[1],
            self.camera(clip),
            motion.float(),
            max_inconsistency=self.max_inconsistency,
            one_scale=self.one_scale,
        )


class ByMeasurement(ByDepth):
    """By measured depth and poses that the store holds."""

    def __init__(self, store: FrameStore, max_inconsistency: float) -> None:
        """Raises DataError where the store has no measured depth, or no poses in metres."""
        super().__init__(store, max_inconsistency)
        if not is_measured(store):
            raise DataError(
                f"{store.place} holds no measured depth with poses in metres. Give a run of monodepth or "
                "scdepth that learned from such video with --run, or propagate with --by flow."
            )

    def depth(self, clip: int, frame: int) -> Tensor | None:
        """Return the measured depth, m; 0 where there is none."""
        if frame not in self.store.clips[clip].depth_frames:
            return None
        depth = resize_depth(self.store.depth(clip, frame), self.store.size)
        return torch.from_numpy(depth.astype(np.float32))[None, None]

    def motion(self, clip: int, frames: Sequence[int]) -> Tensor | None:
        """Return the motion by the poses of both frames, where these are of one world."""
        info = self.store.clips[clip]
        worlds = {sum(start <= frame for start in info.pose_starts) for frame in (frames[0], frames[-1])}
        poses = [self.store.pose(clip, frame) for frame in (frames[0], frames[-1])]
        if len(worlds) > 1 or info.pose_unit != METRES or poses[0] is None or poses[1] is None:
            return None
        motion = np.linalg.inv(poses[1]) @ poses[0]
        return torch.from_numpy(motion)[None] if np.isfinite(motion).all() else None


def is_measured(store: FrameStore) -> bool:
    """Return whether a clip has measured depth, and poses in metres."""
    return any(clip.depth_frames and clip.pose_frames and clip.pose_unit == METRES for clip in store.clips)


class ByRun(ByDepth):
    """By the depth and the motion that a run predicts."""

    def __init__(self, store: FrameStore, max_inconsistency: float, run: RunFolder, device: str) -> None:
        """Raises ConfigError where the run predicts no motion."""
        super().__init__(store, max_inconsistency)
        self.task, self.size = _depth_task(run).to(device).eval(), run.size
        self.one_scale = False  # each frame is seen by itself
        self._step_of = lru_cache(_KEPT)(self._step)

    @torch.no_grad()
    def depth(self, clip: int, frame: int) -> Tensor | None:
        """Return the predicted depth, in the units of the run."""
        disparity = self.task.predict(self._image(clip, frame)).disparity.float().cpu()
        disparity = functional.interpolate(disparity, self.store.size, mode="bilinear", align_corners=False)
        return torch.where(disparity > 0, 1 / disparity.clamp(min=1e-6), 0)

    def motion(self, clip: int, frames: Sequence[int]) -> Tensor | None:
        """Return the predicted motions of neighbours one after the other, as the run has learned them."""
        whole = torch.eye(4, dtype=torch.float64)[None]
        for first, second in pairwise(frames):
            earlier = self._step_of(clip, min(first, second), max(first, second))
            whole = (earlier if first < second else invert_pose(earlier)) @ whole
        return whole

    def camera(self, clip: int) -> Tensor:
        """Return the intrinsics of the stored frames, with the focal length that the run has learned."""
        given, focal = super().camera(clip), self.task.findings().get("learned_focal_length_px")
        if focal is None or self.size is None:
            return given
        camera = resize_intrinsics(given, self.store.size, self.size)
        camera[:, 0, 0], camera[:, 1, 1] = focal
        return resize_intrinsics(camera, self.size, self.store.size)

    @torch.no_grad()
    def _step(self, clip: int, first: int, second: int) -> Tensor:
        images = self._image(clip, first), self._image(clip, second)
        size = (images[0].shape[-2], images[0].shape[-1])
        camera = resize_intrinsics(self.camera(clip), self.store.size, size).to(self.task.device)
        return self.task.camera_motion(*images, camera).double().cpu()

    def _image(self, clip: int, frame: int) -> Tensor:
        pixels = torch.from_numpy(self.store.frame_image(clip, frame).copy()).permute(2, 0, 1)[None]
        return at_size(as_float(pixels.to(self.task.device)), self.size)


class ByFlow(Correspondences):
    """By optical flow (DIS) from neighbour to neighbour, back and forth."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store
        self._flow_of: Callable[[int, int, int], Tensor] = lru_cache(_KEPT)(self._flow)

    def between(self, clip: int, frames: Sequence[int]) -> Correspondence | None:
        """Return where the pixels of the first frame are seen in the last one."""
        forward = [self._flow_of(clip, one, other) for one, other in pairwise(frames)]
        backward = [self._flow_of(clip, other, one) for one, other in pairwise(frames)]
        return correspondence_by_flow(forward, backward)

    def _flow(self, clip: int, first: int, second: int) -> Tensor:
        images = (self.store.frame_image(clip, frame) for frame in (first, second))
        return torch.from_numpy(dense_flow(*images).copy())[None]


def _depth_task(run: RunFolder) -> DepthTask:
    task: Any = load_task(run)
    if not isinstance(task, DepthTask) or not task.predicts_motion:
        method = run.config.get("method", run.kind)
        raise ConfigError(
            f"The run {run.path}, of {method}, predicts no depth with the motion of the camera. Give one of "
            "monodepth or scdepth that learned from video."
        )
    return task
