"""The unit of depth that a stereo pair of known baseline fixes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Baseline of the stereo pair in units of the network's depth (Godard et al. 2019, released code).
NOMINAL_BASELINE = 0.1


class MetricScale(nn.Module):
    """How many metres a unit of the network's depth is; set by the first stereo pair, then kept."""

    metres_per_unit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("metres_per_unit", torch.zeros(()))

    def forward(self, T_target_to_stereo: Tensor) -> Tensor:
        """Return the pose of the right image (``B 4 4``, m) in units."""
        baseline = T_target_to_stereo[:, :3, 3].norm(dim=-1).mean()
        metres = torch.where(self.metres_per_unit > 0, self.metres_per_unit, baseline / NOMINAL_BASELINE)
        if self.training:
            self.metres_per_unit.copy_(metres)
        pose = T_target_to_stereo.clone()
        pose[:, :3, 3] /= metres
        return pose
