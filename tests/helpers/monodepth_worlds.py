"""Batches with exact truth from the synthetic worlds, as the store would give them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from geopretrain.data.batches import ClipBatch
from geopretrain.synthetic.worlds import make_world


@cache
def clips(kind: str = "street", count: int = 4, size=(64, 96), stride: int = 2, seed: int = 5) -> ClipBatch:
    """Targets with both neighbours, stereo partner (m) and depth (m); images uint8."""
    world = make_world(kind, seed, stride * (count + 2), size)
    frames = [world.frame(i) for i in range(0, stride * (count + 2), stride)]
    pictures = torch.from_numpy(np.stack([f.image for f in frames])).permute(0, 3, 1, 2)
    targets = frames[1:-1]
    pose = torch.eye(4)
    pose[0, 3] = -world.baseline
    intrinsics = torch.from_numpy(world.intrinsics).float().repeat(count, 1, 1)
    return ClipBatch(
        torch.stack([pictures[1:-1], pictures[:-2], pictures[2:]], 1),
        intrinsics,
        (0, -1, 1),
        torch.arange(count),
        clip=torch.zeros(count, dtype=torch.int64),
        stereo=torch.from_numpy(np.stack([f.stereo() for f in targets])).permute(0, 3, 1, 2),
        stereo_intrinsics=intrinsics,
        T_target_to_stereo=pose.repeat(count, 1, 1),
        depth=torch.from_numpy(np.stack([f.depth for f in targets]))[:, None],
    )
