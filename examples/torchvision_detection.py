"""A pre-trained backbone in torchvision's Faster R-CNN, with a feature pyramid network on top.

python examples/torchvision_detection.py runs/depth
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import geopretrain as gp


class Pyramid(nn.Module):
    """The levels of a backbone from stride 4 on, brought to as many channels each, and a coarser one."""

    def __init__(self, run: str | Path, out_channels: int = 256) -> None:
        super().__init__()
        self.backbone = gp.backbone(run, features_only=True)
        info = self.backbone.feature_info
        self.levels = [i for i, stride in enumerate(info.reduction()) if stride >= 4]
        channels = [info.channels()[i] for i in self.levels]
        self.fpn = FeaturePyramidNetwork(channels, out_channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the pyramid of normalised images ``B 3 H W``, by name."""
        features = self.backbone(images)
        return self.fpn(OrderedDict((str(i), features[i]) for i in self.levels))


def detector(run: str | Path, classes: int, size: int = 320) -> FasterRCNN:
    """Return a detector whose images, in [0, 1], are normalised as the backbone was trained."""
    told = gp.backbone(run).pretrained_cfg
    return FasterRCNN(
        Pyramid(run),
        num_classes=classes,  # with the background
        image_mean=list(told["mean"]),
        image_std=list(told["std"]),
        min_size=size,
        max_size=2 * size,
    )


def main(run: str | Path) -> dict[str, Tensor]:
    """Take one training step on a made-up image, and return the losses."""
    model = detector(run, classes=3)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    targets = [{"boxes": torch.tensor([[30.0, 40.0, 120.0, 150.0]]), "labels": torch.tensor([1])}]
    losses = model([torch.rand(3, 240, 320)], targets)
    sum(losses.values()).backward()
    optimiser.step()
    print(", ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items()))
    return losses


if __name__ == "__main__":
    main(sys.argv[1])
