"""What the methods that learn optical flow share: augmentation, pictures, and what can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import Fields
from geopretrain.tasks.base import FlowTask
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number


class FlowPretext(FlowTask):
    """A method that learns flow; its ``config`` has the options ``flip``, ``jitter`` and ``ssim_weight``."""

    config: Any
    required = Fields((0, 1))

    def train_transform(self, batch: ClipBatch) -> ClipBatch:
        """Flip and jitter: same draw for all frames of a sample."""
        from geopretrain.data.augment.batches import augment_clip

        return augment_clip(batch, flip=self.config.flip, jitter=self.config.jitter)

    def eval_transform(self, batch: ClipBatch) -> ClipBatch:
        """Return the batch as floats, neither flipped nor jittered."""
        from geopretrain.data.augment.batches import augment_clip

        return augment_clip(batch, flip=0.0, jitter=0.0)

    @torch.no_grad()
    def pictures(self, batch: ClipBatch) -> dict[str, np.ndarray]:
        """Return one row per sample: target, flow, source warped by it, what remains unexplained.

        Colours of the flow: hue = direction (red = right, yellow-green = down), strong = far. What remains
        is the photometric error, white from 0.5 upwards.
        """
        from geopretrain import pictures

        frames = self.eval_transform(batch).images[:, :2]
        target, source = frames.unbind(1)
        flow = self.predict(frames).flow
        warped, _ = geometry.warp_flow(source, flow)
        error = losses.photometric_error(warped, target)
        rows = {}
        for i in range(len(frames)):
            parts = [
                pictures.image(target[i].cpu().numpy()),
                pictures.colour_flow(flow[i].cpu().numpy()),
                pictures.image(warped[i].cpu().numpy()),
                pictures.grey(2 * error[i, 0].cpu().numpy()),
            ]
            captions = ["frame", "flow", "warped neighbour", "unexplained"]
            rows[f"sample_{i:02d}"] = pictures.side_by_side(parts, captions)
        return rows

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        return [] if step < SETTLED_AFTER else flow_diagnostics(logs)


def flow_logs(flow: Tensor, in_view: Tensor, error: Tensor, identity: Tensor) -> dict[str, Tensor]:
    """Return scalars that the diagnostics look at.

    Args:
        flow: ``B 2 H W`` px, the finest.
        in_view: ``B 1 H W`` bool, where the flow ends inside the source.
        error: photometric error with the flow, any shape.
        identity: the same without any flow.
    """
    return {
        "reprojection_error": error.mean(),
        "identity_error": identity.mean(),
        "valid_fraction": in_view.float().mean(),
        "flow_length": flow.square().sum(1).sqrt().mean(),
        "flow_spread": flow.std((2, 3)).mean(),
    }


def flow_diagnostics(logs: Mapping[str, float]) -> list[str]:
    """Return one sentence for each thing that looks wrong."""
    moved, unmoved = logs.get("reprojection_error", 0.0), logs.get("identity_error", 1.0)
    if unmoved < 1e-3:
        return [
            f"The two frames of a pair are almost equal (photometric error {unmoved:.5f}): nothing moves, so "
            "nothing can be learned. Prepare the video again with a larger --target-motion."
        ]
    found = []
    if (fraction := logs.get("valid_fraction", 1.0)) < 0.5:
        found.append(
            f"Only {fraction:.0%} of the flow ends inside the neighbouring frame: the predicted motion is "
            "too large. Lower the learning rate, or prepare the video again with a smaller --target-motion."
        )
    if moved > 0.99 * unmoved:
        found.append(
            f"The flow explains the frames no better than no motion (error {moved:.4f}, without flow "
            f"{unmoved:.4f}): nothing is learned yet. If this stays, the frames may lie too far apart: use a "
            "smaller --target-motion."
        )
    if (spread := logs.get("flow_spread", 1.0)) < 0.01 * logs.get("flow_length", 0.0):
        found.append(
            f"The flow is the same everywhere (it varies by {spread:.3f} px): it tells nothing about the "
            "structure of the scene. Lower the learning rate or the smoothness."
        )
    return found
