"""Optical flow as a pre-training task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from flow_worlds import Pairs, batch_of, end_point_errors, pairs, train

from geopretrain.errors import ConfigError
from geopretrain.losses import photometric_error
from geopretrain.tasks.diagnostics import SETTLED_AFTER
from geopretrain.tasks.pretext.optical_flow import (
    MAX_FLOW,
    WEIGHTS,
    FlowWeights,
    OpticalFlow,
    OpticalFlowConfig,
    colour_and_ssim,
    flow_photometric,
)
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.weights import export_state, parse_init

STEP = Step(0, 1)

SMALL = OpticalFlowConfig(backbone="test_resnet")


def make_task(config=SMALL, seed=0) -> OpticalFlow:
    torch.manual_seed(seed)
    return OpticalFlow.create(config, parse_init("random"))[0]


def street(count=4) -> Pairs:
    return pairs("street", (3,), count)


def test_the_registry_knows_the_method():
    assert task_class("optical_flow") is OpticalFlow


def test_the_photometric_term_is_equation_9_summed_over_the_colours():
    torch.manual_seed(0)
    x, y = torch.rand(2, 1, 3, 6, 7)
    colour = colour_and_ssim(x, y, FlowWeights(0.15, 0.0, 0.0))
    assert torch.allclose(colour, 0.15 * (x - y).abs().sum(1, keepdim=True))
    ssim = colour_and_ssim(x, y, FlowWeights(0.15, 0.85, 0.0)) - colour
    halved = 3 * photometric_error(x, y, ssim_weight=1.0)  # sum over the colours of (1 - SSIM) / 2
    assert torch.allclose(ssim, 0.85 * 2 * halved, atol=1e-6)


def test_the_weights_are_those_of_the_paper_or_the_script():
    assert WEIGHTS["paper"] == FlowWeights(0.15, 0.15, 5.0)
    assert WEIGHTS["script"] == FlowWeights(0.15, 0.85, 2.0)
    paper, script = make_task().presets["paper"], make_task(replace(SMALL, weights="script")).presets["paper"]
    assert (paper.lr, paper.epochs, script.lr) == (5e-4, 50, 5e-5)
    assert [learning_rate_factor(s, 50, paper.schedule) for s in (0, 24, 25, 49)] == [1, 1, 0.1, 0.1]
    assert learning_rate_factor(49, 50, script.schedule) == 1


def test_gradients():
    torch.manual_seed(0)
    target, source = torch.rand(2, 1, 3, 4, 5, dtype=torch.float64)
    flow = (torch.rand(1, 2, 4, 5, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    for weights in WEIGHTS.values():
        assert torch.autograd.gradcheck(
            lambda f, w=weights: flow_photometric(f, target, source, w)[0], (flow,)
        )


def test_flow_is_bounded_to_a_fifth_of_the_picture():
    task = make_task().eval()
    head = task.flow_net.decoder.heads["0"]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([50.0, -50.0]))
        flow = task.predict(torch.rand(1, 2, 3, 64, 96)).flow
    assert torch.allclose(flow[:, 0], torch.tensor(MAX_FLOW * 96))
    assert torch.allclose(flow[:, 1], torch.tensor(-MAX_FLOW * 64))


def test_the_loss_is_the_weighted_sum_over_the_scales():
    task = make_task(replace(SMALL, scales=1)).eval()
    batch = task.eval_transform(batch_of(street().frames))
    loss, logs = task.loss(batch, STEP)
    target, source = batch.images.unbind(1)
    error, _ = flow_photometric(task.predict(batch.images).flow, target, source, WEIGHTS["paper"])
    assert logs["photometric"].item() == pytest.approx(error.mean().item(), rel=1e-5)
    assert loss.item() == pytest.approx((logs["photometric"] + logs["smoothness"]).item())
    _, more = task.loss(batch, STEP)
    rough = make_task(replace(SMALL, scales=1, smoothness=10.0)).eval()
    assert rough.loss(batch, STEP)[1]["smoothness"].item() == pytest.approx(2 * more["smoothness"].item())


def test_no_intrinsics_and_no_other_frames_are_needed_and_bfloat16_changes_little():
    task = make_task().eval()
    assert (task.required.frames, task.required.names) == ((0, 1), ())
    batch = task.eval_transform(batch_of(street().frames))
    exact, logs = task.loss(batch, STEP)
    assert all(v.shape == () and not v.requires_grad and torch.isfinite(v) for v in logs.values())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, _ = task.loss(batch, STEP)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.01)


def test_saved_names_and_pictures():
    task = make_task().eval()
    assert {name.split(".")[0] for name in export_state(task)} == {"backbone", "decoder"}
    rows = task.pictures(batch_of(street().frames))
    assert list(rows) == [f"sample_{i:02d}" for i in range(4)]
    assert rows["sample_00"].dtype == np.uint8
    assert rows["sample_00"].shape[1] > 4 * 96


HEALTHY = {
    "photometric": 0.1,
    "reprojection_error": 0.05,
    "identity_error": 0.1,
    "valid_fraction": 0.9,
    "flow_length": 2.0,
    "flow_spread": 1.0,
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"photometric": float("nan")}, "Not a number in photometric at step 500"),
        ({"identity_error": 1e-5}, "nothing moves"),
        ({"valid_fraction": 0.2}, "Only 20% of the flow ends inside"),
        ({"reprojection_error": 0.1}, "no better than no motion"),
        ({"flow_spread": 1e-3}, "same everywhere"),
    ],
)
def test_every_illness_gets_one_sentence_with_advice(change, sentence):
    task = make_task()
    assert task.diagnostics(HEALTHY, 500) == []
    (found,) = task.diagnostics(HEALTHY | change, 500)
    assert sentence in found
    assert "\n" not in found
    early = task.diagnostics(HEALTHY | change, SETTLED_AFTER - 1)
    assert bool(early) == ("photometric" in change)


def test_a_still_video_is_told():
    task, frames = make_task(), street().frames
    still = frames[:, :1].expand(-1, 2, -1, -1, -1)
    _, logs = task.loss(task.eval_transform(batch_of(still)), STEP)
    assert set(logs) <= set(HEALTHY) | {"smoothness"}
    assert any("nothing moves" in s for s in task.diagnostics({n: v.item() for n, v in logs.items()}, 500))


@pytest.mark.slow
def test_on_the_street_it_learns_flow_that_is_better_than_none():
    data = pairs("street", (10, 11, 12, 13), 12)
    task = train(make_task(replace(SMALL, weights="script")), data, steps=400, lr=1e-3)
    error, still = end_point_errors(task, data)
    assert error < 0.5 * still


@pytest.mark.parametrize(
    "options", [{"weights": "papre"}, {"smoothness": -1}, {"scales": 5}, {"flip": 2}, {"jitter": -0.1}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError):
        OpticalFlowConfig(**options)
