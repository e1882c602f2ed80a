"""A pre-trained backbone in plain PyTorch: timm and safetensors, nothing of geopretrain.

python examples/backbone_in_pytorch.py runs/depth street.jpg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn


def load_backbone(run: str | Path) -> tuple[nn.Module, Tensor, Tensor]:
    """Return the timm model of a run, and the mean and deviation that its images are normalised by."""
    with safe_open(Path(run) / "backbone.safetensors", framework="pt") as file:
        about = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = timm.create_model(about["backbone"], num_classes=0)
    model.load_state_dict(weights)
    normalisation = json.loads(about["normalisation"])
    mean, std = (torch.tensor(normalisation[key]).view(3, 1, 1) for key in ("mean", "std"))
    return model.eval(), mean, std


def read_image(path: str | Path, size: tuple[int, int] = (192, 320)) -> Tensor:
    """Return an image ``1 3 H W`` in [0, 1]; ``size`` is (height, width), multiples of 32."""
    image = Image.open(path).convert("RGB").resize(size[::-1])
    return torch.from_numpy(np.asarray(image) / 255).permute(2, 0, 1)[None].float()


def main(run: str | Path, image: str | Path) -> list[Tensor]:
    """Print what the backbone makes of an image, and return its pyramid of features."""
    model, mean, std = load_backbone(run)
    with torch.no_grad():
        features = model.forward_intermediates((read_image(image) - mean) / std, intermediates_only=True)
    for level in features:
        print(f"features {tuple(level.shape)}, mean {level.mean():.3f}")
    return features


if __name__ == "__main__":
    main(*sys.argv[1:])
