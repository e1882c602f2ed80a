"""Grad-CAM: equal to finite differences, and what can be explained."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from geopretrain.analysis.grad_cam import grad_cam, shallow_layer
from geopretrain.errors import ConfigError
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.weights import parse_init

RANDOM = parse_init("random")
SIZE = (64, 96)


def segmenter(backbone: str = "test_resnet") -> Segmentation:
    torch.manual_seed(0)
    return Segmentation.create(SegmentationConfig(num_classes=4, backbone=backbone), RANDOM)[0].eval()


def images(count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def slopes(task, pictures, layer, score, step):
    """Return the change of a score with each channel of a layer, by central differences, and the layer."""
    module, kept = task.backbone.model.get_submodule(layer), []
    found: list[float] = []
    with torch.no_grad():
        handle = module.register_forward_hook(lambda *call: kept.append(call[2].clone()))
        score(task, pictures)
        handle.remove()
        for channel in range(kept[-1].shape[1]):
            values = []
            for sign in (1, -1):

                def moved(module, inputs, output, sign=sign, channel=channel):
                    output = output.clone()
                    output[:, channel] += sign * step
                    return output

                handle = module.register_forward_hook(moved)
                values.append(float(score(task, pictures)))
                handle.remove()
            found.append((values[0] - values[1]) / (2 * step))
    return torch.tensor(found, dtype=torch.float64), kept[-1]


def of_classes(task, pictures):
    return task.predict(pictures).logits.amax(1).sum()


def of_disparity(task, pictures):
    return task.predict(pictures).disparity.double().sum()  # which is float32


def expected(task, pictures, layer, score, step=1e-4):
    slope, features = slopes(task, pictures, layer, score, step)
    weights = slope / (features.shape[2] * features.shape[3])
    cam = (features * weights[None, :, None, None]).sum(1, keepdim=True).clamp(min=0)
    cam = functional.interpolate(cam, SIZE, mode="bilinear", align_corners=False)
    return cam[:, 0] / cam.max()


def test_the_map_of_classes_is_that_of_finite_differences():
    task, pictures = segmenter().double(), images().double()
    cam, classes = grad_cam(task, pictures, "layer3")
    torch.testing.assert_close(
        cam.double(), expected(task, pictures, "layer3", of_classes), atol=1e-4, rtol=0
    )
    assert torch.equal(classes, task.predict(pictures).classes)
    assert float(cam.max()) == 1
    assert float(cam.min()) >= 0


def test_the_map_of_depth_is_that_of_finite_differences():
    torch.manual_seed(0)
    task = Monodepth.create(MonodepthConfig(backbone="test_resnet"), RANDOM)[0].eval().double()
    pictures = images().double()
    cam, disparity = grad_cam(task, pictures, "layer2")
    wanted = expected(task, pictures, "layer2", of_disparity, step=1e-2)
    torch.testing.assert_close(cam.double(), wanted, atol=1e-2, rtol=0)
    assert disparity.shape == (1, *SIZE)


def test_each_image_has_a_map_of_its_own():
    task, pictures = segmenter(), images(3)
    together = grad_cam(task, pictures, "layer1")[0]
    torch.testing.assert_close(
        together[1:2], grad_cam(task, pictures[1:2], "layer1")[0], atol=1e-4, rtol=1e-3
    )


def test_the_first_layer_of_a_resnet_is_the_activation_before_pooling():
    task = segmenter()
    assert shallow_layer(task) == "act1"
    cam, _ = grad_cam(task, images(), "act1")
    assert cam.shape == (1, *SIZE)
    assert all(parameter.grad is None for parameter in task.parameters())


@pytest.mark.parametrize("backbone", ["test_vit", "mobilenetv3_small_050"])
def test_any_family_and_size_can_be_looked_into(backbone):
    task = segmenter(backbone)
    pictures = torch.rand(1, 3, 70, 101)
    cam, _ = grad_cam(task, pictures, shallow_layer(task))
    assert cam.shape == (1, 70, 101)
    assert 0 < float(cam.mean()) < 1


def test_what_cannot_be_explained_is_said():
    task = segmenter()
    with pytest.raises(ConfigError, match=r"has no layer 'layr1'\. Did you mean 'layer1'"):
        grad_cam(task, images(), "layr1")
    simmim = task_class("simmim")
    masked = simmim.create(simmim.Config(backbone="test_resnet"), RANDOM)[0].eval()
    with pytest.raises(ConfigError, match="neither classes nor depth"):
        grad_cam(masked, images(), "layer1")
