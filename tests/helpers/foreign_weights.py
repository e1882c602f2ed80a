"""Networks of other libraries with numbers that show every mistake, and ours that take their files."""

from __future__ import annotations

import torch
from torch import nn

from geopretrain.weights import init_backbone, parse_init

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network numbers of its own in every tensor, so that none left out goes unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point() or "coords_table" in name:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif tensor.ndim > 1 and min(tensor.shape) > 1:
                tensor.add_(0.3 * noise * tensor.std())
            else:
                tensor.add_(0.1 * noise)
    return network.eval()


def images(size: int = 64, seed: int = 1) -> torch.Tensor:
    """Two images in [0, 1]."""
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def normalised(batch: torch.Tensor, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> torch.Tensor:
    """The images as networks trained on ImageNet see them."""
    return (batch - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def imported(path, backbone: str):
    """The backbone with the weights of a file, and what is said of it."""
    torch.manual_seed(7)
    made, report = init_backbone(backbone, parse_init(path))
    return made.eval(), report


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Assert features that are the same to 1e-5 of the largest."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
    assert float(theirs.std()) > 1e-3  # and not the same because both are nothing
