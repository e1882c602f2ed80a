"""The focal length of a camera nobody has calibrated, learned with depth and motion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geopretrain.networks.pose_net import PoseDecoder

#: The one learned number counts this many times, so that it moves faster than the weights under Adam, whose
#: steps are about as large as the learning rate.
FOCAL_GAIN = 30.0
#: Scale of the prediction from frames: the first ones are near the given intrinsics.
PREDICTION_SCALE = 0.1
#: Fraction of the new batch in the running mean that is reported.
MEAN_FRACTION = 0.02


class LearnedFocal(nn.Module):
    """A factor on the focal lengths of the given intrinsics, as Gordon et al. 2019 learn the intrinsics.

    The given intrinsics are where it starts, and say what is known without calibration: the shape of a pixel,
    and where the principal point lies after crops and flips. It is the rotation between frames that tells how
    long the focal length is; a camera that never rotates leaves it undetermined.

    Args:
        channels: of the features of a pair of frames, from which the factor is predicted for each sample;
            None: one factor for all data.
    """

    focal_length: Tensor

    def __init__(self, channels: int | None = None) -> None:
        super().__init__()
        self.decoder = None if channels is None else PoseDecoder(channels, 1, PREDICTION_SCALE)
        self.log_factor = nn.Parameter(torch.zeros(())) if channels is None else None
        self.register_buffer("focal_length", torch.zeros(2))

    def forward(self, intrinsics: Tensor, features: Tensor | None) -> Tensor:
        """Return the learned intrinsics ``B 3 3`` px.

        Args:
            intrinsics: those given, ``B 3 3`` px.
            features: ``B P C h w`` of the P pairs of frames of each sample.
        """
        if self.log_factor is not None:
            logarithm = (FOCAL_GAIN * self.log_factor).expand(len(intrinsics))
        else:
            assert self.decoder is not None
            assert features is not None
            logarithm = self.decoder(features.flatten(0, 1)).view(features.shape[:2]).mean(1)
        factor = torch.ones_like(intrinsics)
        factor[:, :2, :2] = logarithm.float().exp()[:, None, None]
        learned = intrinsics * factor
        if self.training:
            self._remember(learned.detach())
        return learned

    @torch.no_grad()
    def _remember(self, intrinsics: Tensor) -> None:
        """Keep a running mean of (fx, fy) in px, to report."""
        found = intrinsics.diagonal(dim1=1, dim2=2)[:, :2].mean(0)
        mean = torch.lerp(self.focal_length, found, MEAN_FRACTION)
        self.focal_length.copy_(torch.where(self.focal_length > 0, mean, found))
