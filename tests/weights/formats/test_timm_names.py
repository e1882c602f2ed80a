"""Networks of timm and torchvision as other libraries take them apart, and several of them in one file."""

from __future__ import annotations

import functools

import pytest
import timm
import torch
from foreign_weights import assert_same, images, imported, shaken
from torch import nn

from geopretrain.weights import backbone_of, parse_init
from geopretrain.weights.formats import FORMATS, TIMM, recognise

HEAD = {
    "projection_head.layers.0.weight": torch.ones(8, 512),
    "projection_head.layers.2.weight": torch.ones(8, 8),
}


def below(prefix, network):
    return {prefix + name: tensor for name, tensor in network.state_dict().items()}


@functools.cache
def resnet(seed=0):
    torch.manual_seed(seed)
    return shaken(timm.create_model("resnet18"), seed)


def children(network):
    return nn.Sequential(*list(network.children())[:-1])


def check(path, name, expected):
    assert backbone_of(parse_init(path)) == name
    backbone, report = imported(path, name)
    own = backbone.model.state_dict()
    theirs = expected.state_dict()
    assert all(torch.equal(own[one], theirs[one]) for one in own)
    return report


def test_a_resnet_of_lightly(tmp_path):
    query, key = resnet(), resnet(1)
    state = below("backbone_momentum.", children(key)) | HEAD | below("backbone.", children(query))
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "moco.ckpt")
    report = check(tmp_path / "moco.ckpt", "resnet18", query)
    assert "lightly" in report.format
    skipped = {name.removeprefix("backbone.") for name, _ in report.skipped}
    assert set(HEAD) <= skipped
    assert "backbone_momentum.conv1.weight" in skipped


def test_a_resnet_of_fastai(tmp_path):
    state = below("0.", children(resnet())) | {"1.2.weight": torch.ones(3), "1.2.bias": torch.ones(3)}
    torch.save({"model": state, "opt": {"state": []}}, tmp_path / "learner.pth")
    check(tmp_path / "learner.pth", "resnet18", resnet())


@pytest.mark.parametrize("make", [lambda network: network, children])
@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("teacher.", "student."),
        ("teacher_backbone.", "student_backbone."),
        ("ema_model.", "model."),
        ("online_encoder.net.", "target_encoder.net."),
        ("backbone.", "momentum_backbone."),
        ("encoder_a.", "encoder_b."),
    ],
)
def test_which_of_two_networks_is_taken_does_not_depend_on_their_order(tmp_path, make, taken, left):
    first, second = below(taken, make(resnet())), below(left, make(resnet(1)))
    for state in (first | second, second | first):
        torch.save(state, tmp_path / "a.pth")
        check(tmp_path / "a.pth", "resnet18", resnet())


@pytest.mark.parametrize("name", ["convnext_atto", "swin_tiny_patch4_window7_224", "densenet121"])
def test_what_features_only_makes_of_names(tmp_path, name):
    network = shaken(timm.create_model(name, features_only=True))
    torch.save(network.state_dict(), tmp_path / "a.pth")
    backbone, report = imported(tmp_path / "a.pth", name)
    assert "features_only" in report.format
    assert len(report.reinitialised) <= 5  # the norm behind the last level
    size = 224 if "swin" in name else 64
    with torch.no_grad():
        theirs = network(images(size))
        ours = timm.create_model(name, features_only=True)
        ours.load_state_dict({one: backbone.model.state_dict()[_whole(one)] for one in ours.state_dict()})
        assert_same(ours.eval()(images(size))[-1], theirs[-1])


def _whole(name):
    first, _, rest = name.partition(".")
    return f"{first.replace('_', '.', 1)}.{rest}" if first.startswith(("st", "lay", "feat")) else name


@pytest.mark.parametrize(
    "name",
    ["vgg11", "hrnet_w18_small", "resnetv2_18", "dla34", "selecsls42", "regnetx_002", "dpn68", "res2net50d"],
)
def test_models_of_timm_are_not_taken_for_others(name):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    assert recognise(state) is TIMM
    assert recognise({f"backbone.{one}": tensor for one, tensor in state.items()}) is TIMM
    assert TIMM not in FORMATS
