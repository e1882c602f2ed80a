"""Transfers with each head: what starts from where, what a linear probe touches, runs that are used again."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import geopretrain as gp
from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError, OptionError
from geopretrain.networks.heads.segmentation import HEADS
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.pretext.segmentation import SupervisedSegmentationConfig
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.weights import export_state, parse_init, save_weights

STEP = Step(0, 1)
SMALL = "test_resnet"


def make(init="random", **options) -> tuple[Segmentation, object]:
    torch.manual_seed(0)
    config = SegmentationConfig(**{"num_classes": 4, "backbone": SMALL, **options})
    return Segmentation.create(config, parse_init(init))


def batch(count=2) -> LabelledBatch:
    labels = (torch.arange(96) // 24).expand(count, 64, 96).clone()
    return LabelledBatch(torch.rand(count, 3, 64, 96), labels, torch.arange(count))


def steps(task: Segmentation, count=2) -> None:
    optimiser = torch.optim.SGD(task.parameter_groups(0.1))
    task.train()
    for _ in range(count):
        task.clear_gradients()
        task.loss(batch(), STEP)[0].backward()
        optimiser.step()


@pytest.fixture(scope="module")
def depth_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    torch.manual_seed(7)
    task, _ = Monodepth.create(MonodepthConfig(backbone=SMALL), parse_init("random"))
    save_weights(task, folder)
    lineage = {
        "backbone": SMALL,
        "method": "monodepth",
        "normalisation": task.depth_net.backbone.normalisation,
    }
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return folder, export_state(task)


@pytest.mark.parametrize("mode", ["full", "encoder", "frozen"])
@pytest.mark.parametrize("head", ["deeplabv3", "linear", "fpn"])
def test_other_heads_take_the_encoder_of_a_depth_run_and_start_fresh(depth_run, head, mode):
    folder, donor = depth_run
    task, report = make(folder, head=head, mode=mode)
    state = export_state(task)
    assert {name.split(".")[0] for name in state} == {"backbone", "head"}
    assert all(torch.equal(state[n], donor[n]) for n in state if n.startswith("backbone."))
    assert f"head={head} starts fresh" in report.summary()
    assert {n for n in state if n.startswith("head.") and not n.endswith("tracked")} <= set(
        report.reinitialised
    )


@pytest.mark.parametrize("mode", ["full", "frozen"])
def test_a_linear_probe_touches_nothing_but_its_layer(depth_run, mode):
    task, _ = make(depth_run[0], head="linear", mode=mode, blocks=2)
    before = {n: t.clone() for n, t in task.state_dict().items()}
    steps(task)
    changed = {n for n, t in task.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {"network.decoder.layer.weight", "network.decoder.layer.bias"}
    assert {n for n, p in task.named_parameters() if p.grad is not None} == changed
    norms = [m for m in task.network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    trained = [p for group in task.parameter_groups(0.1) for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in task.network.decoder.parameters()}


def test_the_gradient_of_a_linear_probe_by_hand():
    task, _ = make(head="linear")
    one = batch(1)
    task.loss(one, STEP)[0].backward()
    features = task.network.decoder.read(task.network.backbone, one.images)[0]
    logits = task.network.decoder([features])
    logits = nn.functional.interpolate(logits, (64, 96), mode="bilinear", align_corners=False)
    wrong = logits.softmax(1) - nn.functional.one_hot(one.labels, 4).permute(0, 3, 1, 2)
    expected = wrong.mean((0, 2, 3))  # of the bias: the mean of what is too much
    torch.testing.assert_close(task.network.decoder.layer.bias.grad, expected, atol=1e-5, rtol=1e-4)


def test_momenta_of_batch_norm():
    task, _ = make(head="deeplabv3", backbone_bn_momentum=0.05, head_bn_momentum=0.0003)
    for part, momentum in ((task.network.backbone, 0.05), (task.network.decoder, 0.0003)):
        found = {m.momentum for m in part.modules() if isinstance(m, nn.BatchNorm2d)}
        assert found == {momentum}
    assert {m.momentum for m in make()[0].modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"head": "deplab"}, "Did you mean"),
        (
            {"head": "fpn", "output_stride": 8},
            "output_stride is a setting of head=deeplabv3 and deeplabv3plus",
        ),
        ({"head": "deeplabv3", "output_stride": 32}, "output_stride must be"),
        ({"blocks": 4}, "blocks is a setting of head=linear"),
        ({"head": "fpn", "as_released": True}, "knows no head"),
    ],
)
def test_settings_that_do_not_belong_together(options, words):
    with pytest.raises(ConfigError, match=words):
        SegmentationConfig(num_classes=4, **options)


def test_a_pretraining_is_no_linear_probe():
    with pytest.raises(ConfigError, match="head must be one that trains the encoder"):
        SupervisedSegmentationConfig(head="linear")


def finetuned(out, head, **options):
    given = {"steps": 1, "batch_size": 2, "labels": 2, "size": "64x96", "device": "cpu", "threads": 1}
    return gp.finetune_segmentation(
        data="synthetic:street",
        out=out,
        settings={"head": head},
        progress=False,
        **{"backbone": SMALL, "preset": "tiny", **given, **options},
    )


def test_a_run_knows_its_head(tmp_path):
    run = finetuned(tmp_path / "run", "linear")
    assert run.config["mode"] == "frozen"
    assert run.lineage["task"]["head"] == "linear"
    image = torch.rand(3, 50, 70)
    assert gp.load(run.path).predict(image).logits.shape[-2:] == (50, 70)
    assert finetuned(tmp_path / "run", "linear", resume=True).results == run.results
    with pytest.raises(OptionError, match="mode may only be frozen, not encoder"):
        finetuned(tmp_path / "other", "linear", mode="encoder")
    assert not (tmp_path / "other").exists()


def test_a_batch_of_one_leaves_no_run_behind(tmp_path):
    with pytest.raises(OptionError, match="two images or more"):
        finetuned(tmp_path / "run", "deeplabv3", batch_size=1)
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", [SMALL, "test_vit", "geopretrain_swinv2_mini"])
def test_runs_with_each_head_are_predicted_with_and_exported(tmp_path, head, backbone):
    if backbone.startswith("geopretrain") and head.startswith("deeplab"):
        pytest.skip("cannot be dilated")
    run = finetuned(tmp_path / "run", head, backbone=backbone)
    images = torch.rand(2, 3, 50, 70)
    expected = gp.load(run.path).predict(images).logits
    gp.export(run.path, format="safetensors", out=tmp_path / "whole.safetensors")
    torch.testing.assert_close(gp.load(tmp_path / "whole.safetensors").predict(images).logits, expected)
    gp.export(run.path, format="torch-export", out=tmp_path / "program.pt2")
    if backbone.startswith("geopretrain"):  # timm alone does not have it
        with pytest.raises(ConfigError, match="Plain timm does not know"):
            gp.export(run.path, format="timm", out=tmp_path / "backbone.safetensors")
        return
    gp.export(run.path, format="timm", out=tmp_path / "backbone.safetensors")
