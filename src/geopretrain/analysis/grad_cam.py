"""Grad-CAM of dense predictions: where a layer holds what the prediction rests on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.analysis.layers import as_maps, seen_as
from geopretrain.errors import ConfigError, nearest_name
from geopretrain.networks import Backbone
from geopretrain.networks.activations import as_places, layer_names, watched
from geopretrain.tasks.base import DepthTask, SegmentationTask, Task

_NOTHING = 1e-12


def shallow_layer(task: Task) -> str:
    """Return the name of the layer in timm's model that is looked at unless another one is named: the first.

    Lao et al. look at a shallow layer before pooling: of a ResNet it is the activation of its stem.

    Raises:
        ConfigError: the task has no backbone.
    """
    return next(iter(layer_names(_backbone(task)).values()))


def grad_cam(task: Task, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Return where a layer holds what the prediction rests on, ``B H W`` in [0, 1], and the prediction.

    Selvaraju et al., *Grad-CAM*, ICCV 2017, equations 1 and 2, where what is explained is not the score of
    one class but the sum over all pixels of the score of the class that each is predicted to be (Lao et al.
    2024, section 4, "Neural Activation"); of depth, the sum of the predicted disparity. Each channel of the
    layer is weighted by the mean of its gradient over the image; what is below zero is cut off. Maps are
    enlarged bilinearly and scaled to a maximum of 1 for each image (0 where nothing is above zero).

    Args:
        task: in evaluation mode, on the device of the images; predicts classes or depth.
        images: ``B 3 H W`` in [0, 1].
        layer: name of a module of timm's model that computes a map.

    Returns:
        The map, and classes ``B H W`` (uint8), or disparity ``B H W``.

    Raises:
        ConfigError: there is no such layer, it computes no map, or nothing is predicted for each pixel.
    """
    backbone = _backbone(task)
    modules = dict(backbone.model.named_modules())
    if layer not in modules:
        raise ConfigError(f"{backbone.name} has no layer '{layer}'.{nearest_name(layer, modules)}")
    with torch.enable_grad(), watched({layer: modules[layer]}, graph=True) as kept:
        score, predicted = _explained(task, images.detach().clone().requires_grad_())  # weights may be frozen
        if layer not in kept:
            raise ConfigError(f"The layer '{layer}' of {backbone.name} computes nothing for an image.")
        (gradient,) = torch.autograd.grad(score, kept[layer], allow_unused=True)
    if gradient is None:
        raise ConfigError(f"What is predicted does not rest on the layer '{layer}' of {backbone.name}.")
    features, weights = (
        as_maps(as_places(backbone, layer, each.detach().float()), *seen_as(backbone, images))
        for each in (kept[layer], gradient)
    )
    cam = (features * weights.mean((2, 3), keepdim=True)).sum(1, keepdim=True).clamp(min=0)
    height, width = images.shape[-2:]
    padded = backbone.padded_size((height, width))
    cam = functional.interpolate(cam, padded, mode="bilinear", align_corners=False)[..., :height, :width]
    return (cam / cam.amax((2, 3), keepdim=True).clamp(min=_NOTHING))[:, 0], predicted


def _backbone(task: Task) -> Backbone:
    if task.backbone is None:
        raise ConfigError(f"A run of {task.name} has no backbone to look into.")
    return task.backbone


def _explained(task: Task, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is explained, a number with its gradient, and the prediction."""
    if isinstance(task, SegmentationTask):
        logits = task.predict(images).logits
        return logits.amax(1).sum(), logits.argmax(1).byte()
    if isinstance(task, DepthTask):
        disparity = task.predict(images).disparity[:, 0]
        return disparity.sum(), disparity.detach()
    raise ConfigError(f"{task.name} predicts neither classes nor depth for each pixel: nothing to explain.")
