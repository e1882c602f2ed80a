"""Whole steps go through torch.compile from outside, as one graph with the operators in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from monodepth_worlds import clips

from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.pretext.scdepth import SCDepth, SCDepthConfig
from geopretrain.tasks.step import Step
from geopretrain.weights import parse_init

TASKS = {
    "monodepth": (Monodepth, MonodepthConfig(backbone="test_resnet", tie_noise=0.0)),
    "scdepth": (SCDepth, SCDepthConfig(backbone="test_resnet", pose_backbone="test_resnet")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_step_compiles_as_one_graph(name):
    cls, config = TASKS[name]
    task = cls.create(config, parse_init("random"))[0].eval()
    batch = clips()
    batch = replace(batch, images=batch.images.float() / 255)

    def loss_of(images):
        return task.loss(replace(batch, images=images), Step(0, 1))[0]

    compiled = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
    results = []
    for function in (loss_of, compiled):
        task.zero_grad()
        loss = function(batch.images)
        loss.backward()
        results.append([loss.detach(), task.depth_net.backbone.model.conv1[0].weight.grad.clone()])
    torch.testing.assert_close(*results)
