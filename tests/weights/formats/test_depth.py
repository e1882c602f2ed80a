"""Checkpoints of depth networks, in the names that their official code saves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import timm
import torch
from foreign_weights import IMAGENET_MEAN, assert_same, images, imported, normalised, shaken

from geopretrain.errors import WeightsError
from geopretrain.tasks.pretext.mae import MAE, MAEConfig
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.transfer.segmentation import Segmentation, SegmentationConfig
from geopretrain.weights import backbone_of, export_state, monodepth2, parse_init

HALF = {"mean": [0.45] * 3, "std": [0.225] * 3}
LAYOUT = json.loads((Path(__file__).parents[2] / "golden" / "monodepth2_networks.json").read_text())


@pytest.fixture(scope="module")
def official():
    """A network, and the tensors of its four files."""
    torch.manual_seed(0)
    task = Monodepth.create(MonodepthConfig(backbone="resnet18"), parse_init("random"))[0]
    shaken(task.depth_net.backbone.model)
    files = monodepth2.to_official(export_state(task))
    classifier = {"encoder.fc.weight": torch.ones(1000, 512), "encoder.fc.bias": torch.ones(1000)}
    files["encoder.pth"] |= classifier
    files["pose_encoder.pth"] |= classifier
    return task, files


def started(path, **options) -> tuple[Monodepth, object]:
    torch.manual_seed(1)
    return Monodepth.create(MonodepthConfig(backbone="resnet18", **options), parse_init(path))


@pytest.mark.parametrize("wrap", ["plain", "depth-to-semantic", "data parallel"])
def test_an_encoder_alone(official, tmp_path, wrap):
    task, files = official
    content = {**files["encoder.pth"], "height": 192, "width": 640, "use_stereo": False}
    if wrap == "depth-to-semantic":
        content = {"train_step": 3, "optimizer_state_dict": {}, "model_state_dict": files["encoder.pth"]}
    if wrap == "data parallel":
        content = {f"module.{name}": tensor for name, tensor in files["encoder.pth"].items()}
    torch.save(content, tmp_path / "anything.pt")
    assert backbone_of(parse_init(tmp_path / "anything.pt")) == "resnet18"
    backbone, report = imported(tmp_path / "anything.pt", "resnet18")
    assert backbone.normalisation == HALF
    assert report.warnings == []
    assert ("encoder.fc.weight", "classifier of ImageNet, unused in this network") in report.skipped
    with torch.no_grad():
        for ours, theirs in zip(backbone(images()), task.depth_net.backbone.eval()(images()), strict=True):
            assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("file", "parts"),
    [("depth.pth", "decoder."), ("pose.pth", "pose.decoder."), ("pose_encoder.pth", "pose.backbone.")],
)
def test_other_files_alone_fill_their_part_and_warn_of_the_backbone(official, tmp_path, file, parts):
    task, files = official
    torch.save(files[file], tmp_path / "a.pth")
    other, report = started(tmp_path / "a.pth")
    assert {name for name in report.loaded if not name.startswith(parts)} == set()
    ours, theirs = export_state(other), export_state(task)
    assert all(torch.equal(ours[name], theirs[name]) for name in report.loaded)
    assert report.loaded
    assert "holds no backbone" in report.incomplete


def test_a_decoder_alone_is_refused_where_nothing_takes_it(official, tmp_path):
    torch.save(official[1]["depth.pth"], tmp_path / "depth.pth")
    with pytest.raises(WeightsError, match=r"Nothing in .*depth\.pth fits this task: it holds decoder"):
        MAE.create(MAEConfig(backbone="vit_tiny_patch16_224"), parse_init(tmp_path / "depth.pth"))


def test_segmentation_of_depth_to_semantic(official, tmp_path):
    """KITTI/train_semantic.py saves both networks in one file; its decoder ends in 34 classes."""
    task, files = official
    decoder = dict(files["depth.pth"])
    for scale in range(4):
        width = decoder[f"decoder.{10 + scale}.conv.weight"].shape[1]
        decoder[f"decoder.{10 + scale}.conv.weight"] = torch.ones(34, width, 3, 3)
        decoder[f"decoder.{10 + scale}.conv.bias"] = torch.ones(34)
    torch.save({"encoder": files["encoder.pth"], "decoder": decoder}, tmp_path / "a.pt")
    config = SegmentationConfig(num_classes=34)
    other, report = Segmentation.create(config, parse_init(tmp_path / "a.pt"))
    assert report.reinitialised == []
    assert (other.network.decoder.heads["0"].weight == 1).all()
    assert other.backbone.normalisation == HALF
    stages = other.network.decoder.stages[4].before.weight
    assert torch.equal(stages, task.depth_net.decoder.stages[4].before.weight)


def test_deeplab_of_depth_to_semantic(tmp_path):
    """Cityscapes/main.py saves a dilated ResNet-50 with its ASPP, trained with ImageNet's normalisation."""
    network = shaken(timm.create_model("resnet50", num_classes=0))
    state = {**network.state_dict(), "aspp.aspp1.weight": torch.ones(256, 2048, 1, 1)}
    torch.save(
        {"cur_itrs": 9, "model_state": state, "optimizer_state": {}, "best_score": 0.4}, tmp_path / "a.pth"
    )
    assert backbone_of(parse_init(tmp_path / "a.pth")) == "resnet50"
    backbone, report = imported(tmp_path / "a.pth", "resnet50")
    assert backbone.normalisation["mean"] == IMAGENET_MEAN
    assert report.skipped == [
        ("aspp.aspp1.weight", "head of DeepLab, which DepthToSemantic does not hand on either")
    ]
    with torch.no_grad():
        assert_same(backbone.embed(images()), network(normalised(images())))


@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.slow), "core.core."])
def test_depth_anything(tmp_path, prefix):
    encoder = shaken(timm.create_model("vit_small_patch14_dinov2", num_classes=0))
    state = {f"pretrained.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state |= {"pretrained.mask_token": torch.zeros(1, 384)}
    state |= {
        "depth_head.projects.0.weight": torch.ones(48, 384, 1, 1),
        "depth_head.scratch.output_conv2.2.bias": torch.ones(1),
    }
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "depth_anything.pth")
    assert backbone_of(parse_init(tmp_path / "depth_anything.pth")) == "vit_small_patch14_dinov2"
    config = MAEConfig(backbone="vit_small_patch14_dinov2")
    task, report = MAE.create(config, parse_init(tmp_path / "depth_anything.pth"))
    assert task.backbone.normalisation["mean"] == IMAGENET_MEAN
    assert ("depth_head.projects.0.weight", "no part of this task") in report.skipped
    own = task.backbone.model.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in encoder.state_dict().items())


def as_module(state) -> torch.nn.Module:
    """A module with these parameters, which says nothing else."""
    root = torch.nn.Module()
    for name, tensor in state.items():
        *path, last = name.split(".")
        place = root
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, torch.nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(last, torch.nn.Parameter(tensor))
    return root


@pytest.mark.parametrize("options", [argparse.Namespace(resnet_layers=18, path=Path("data")), {"layers": 18}])
def test_a_checkpoint_of_sc_depth_that_lightning_saves(tmp_path, options):
    """With the options of its training, which are no plain values; they are not read."""
    lightning = pytest.importorskip("lightning")
    layout = json.loads((Path(__file__).parents[2] / "golden" / "sc_depth_networks.json").read_text())

    class Official(lightning.LightningModule):
        def __init__(self, hparams) -> None:
            super().__init__()
            self.save_hyperparameters()
            for part, module in (("depth_net", "DepthNet18"), ("pose_net", "PoseNet18")):
                self.add_module(
                    part, as_module({name: torch.rand(shape) for name, shape, _ in layout[module]})
                )

    network = Official(options)
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=False)
    trainer.strategy.connect(network)
    trainer.save_checkpoint(tmp_path / "epoch=3.ckpt")
    assert "hyper_parameters" in torch.load(tmp_path / "epoch=3.ckpt", weights_only=False)
    assert backbone_of(parse_init(tmp_path / "epoch=3.ckpt")) == "resnet18"
    backbone, report = imported(tmp_path / "epoch=3.ckpt", "resnet18")
    assert backbone.normalisation == HALF
    assert report.reinitialised == []
    weight = backbone.model.layer1[0].conv1.weight
    assert torch.equal(weight, network.state_dict()["depth_net.encoder.encoder.layer1.0.conv1.weight"])
