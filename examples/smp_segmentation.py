"""A pre-trained backbone as the encoder of segmentation-models-pytorch, through timm; nothing of geopretrain.

pip install segmentation-models-pytorch
python examples/smp_segmentation.py runs/depth street.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from backbone_in_pytorch import load_backbone, read_image
from torch import Tensor, nn


def unet(run: str | Path, classes: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a U-Net on the backbone of a run, and the mean and deviation that images are normalised by."""
    trained, mean, std = load_backbone(run)
    name = trained.pretrained_cfg["architecture"]
    network = smp.Unet(f"tu-{name}", encoder_weights=None, classes=classes)
    encoder = network.encoder.model  # the same layers without those behind the last features
    encoder.load_state_dict({layer: trained.state_dict()[layer] for layer in encoder.state_dict()})
    return network, mean, std


def main(run: str | Path, image: str | Path, classes: int = 19) -> Tensor:
    """Return the class of each pixel; what they mean is still to be learned, from a few labels."""
    network, mean, std = unet(run, classes)
    with torch.no_grad():
        logits = network.eval()((read_image(image) - mean) / std)
    print(f"logits {tuple(logits.shape)}: train `network` on your labels as any model of this library")
    return logits.argmax(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
