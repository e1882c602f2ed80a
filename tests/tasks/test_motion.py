"""Networks over pairs of images."""

from __future__ import annotations

import pytest

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone, PoseNet
from geopretrain.tasks.motion import pair_net
from geopretrain.weights import Init


def test_weights_of_the_pose_encoder_that_cannot_be_had_name_its_own_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone = Backbone("test_resnet")
    with pytest.raises(WeightsError, match="--settings pose_backbone=tf_efficientnet_lite0") as told:
        pair_net(PoseNet, "resnet18.tv_in1k", Init("imagenet", "imagenet"), backbone)
    assert "--backbone" not in str(told.value)
