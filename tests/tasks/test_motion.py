"""Networks over pairs of images."""

from __future__ import annotations

import json

import pytest
import torch

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone, PoseNet
from geopretrain.networks.packaged import has_package
from geopretrain.tasks.motion import POSE, PairStart, pair_net
from geopretrain.weights import Init

LITE = "tf_efficientnet_lite0"


def test_weights_of_the_pose_encoder_that_cannot_be_had_name_its_own_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone = Backbone("test_resnet")
    with pytest.raises(WeightsError, match="--settings pose_backbone=tf_efficientnet_lite0") as told:
        pair_net(
            lambda pretrained: PoseNet("resnet18.tv_in1k", pretrained, **backbone.normalisation),
            POSE,
            PairStart("auto", Init("imagenet", "imagenet"), {}),
        )
    assert "--backbone" not in str(told.value)
    assert "--settings pose_init=random" in str(told.value)


def encoder(choice, init, others):
    """Return the encoder of a pose network, and the parts that ImageNet gave."""
    start = PairStart(choice, init, others)
    net = pair_net(lambda pretrained: PoseNet(LITE, pretrained), POSE, start)
    return net.backbone.model.conv_stem.weight.detach(), start.from_imagenet


@pytest.mark.skipif(not has_package(LITE), reason="ImageNet's weights come with geopretrain[imagenet-lite]")
class TestWhatTheEncoderOfAPairBeginsWith:
    def test_imagenets_weights_where_the_run_began_with_them(self, tmp_path):
        first = PoseNet(LITE, pretrained=True).backbone.model.conv_stem.weight.detach()
        for kind, expected in (("imagenet", True), ("random", False), ("file", False)):
            folder = tmp_path / kind
            folder.mkdir()
            lineage = {
                "backbone": LITE,
                "chain": [{"init": kind, "kind": kind}, {"init": "a", "kind": "run"}],
            }
            (folder / "lineage.json").write_text(json.dumps(lineage))
            found, given = encoder("auto", Init("run", str(folder)), {})
            assert torch.equal(found, first) == expected
            assert given == [POSE] * expected
            assert encoder("random", Init("run", str(folder)), {})[1] == []
            assert torch.equal(encoder("imagenet", Init("run", str(folder)), {})[0], first)

    def test_nothing_is_fetched_for_a_run_that_hands_one_over_that_fits(self, tmp_path):
        (tmp_path / "lineage.json").write_text(
            json.dumps({"backbone": LITE, "chain": [{"init": "imagenet", "kind": "imagenet"}]})
        )
        own = {f"{POSE}{name}": one for name, one in PoseNet(LITE).backbone.model.state_dict().items()}
        other = {f"{POSE}{n}": one for n, one in PoseNet("test_resnet").backbone.model.state_dict().items()}
        assert encoder("auto", Init("run", str(tmp_path)), own)[1] == []
        assert encoder("auto", Init("run", str(tmp_path)), other)[1] == [POSE]

    def test_nothing_is_fetched_where_all_weights_follow(self):
        assert encoder("imagenet", Init("random", "random", shape_only=True), {})[1] == []
