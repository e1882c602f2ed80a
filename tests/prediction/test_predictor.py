"""Trained networks and backbones in anybody's own code."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import geopretrain as gp
from geopretrain.prediction.images import as_pixels
from geopretrain.tasks.predictions import DepthPrediction, FlowPrediction, SegmentationPrediction

SMALL = {"steps": 1, "batch_size": 2, "threads": 1, "device": "cpu", "progress": False}
PIXELS = np.random.default_rng(0).integers(0, 255, (70, 110, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("load") / "street"
    return gp.prepare("synthetic:street?frames=12", out, size=(64, 96), progress=False)


def trained(store, method):
    out = store.path.parent / method
    if not out.exists():
        gp.pretrain(method, data=store.path, out=out, backbone="test_resnet", **SMALL)
    return out


def test_a_picture_of_any_kind_is_seen_alike(store, tmp_path):
    model = gp.load(trained(store, "monodepth"), device="cpu")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    kinds = [PIXELS, tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(PIXELS), tensor]
    kinds += [tensor / 255, (PIXELS / 255).astype(np.float64), torch.stack([tensor, tensor])]
    seen = [model.predict(kind) for kind in kinds]
    assert all(isinstance(one, DepthPrediction) and one.meaning == "scale" for one in seen)
    assert [len(one.disparity) for one in seen] == [1] * 7 + [2]
    for one in seen:
        assert one.disparity.shape[1:] == (1, 70, 110)
        torch.testing.assert_close(one.disparity[:1], seen[0].disparity)


def test_it_is_what_predict_writes(store, tmp_path):
    run = trained(store, "monodepth")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    gp.predict(run, tmp_path / "a.png", tmp_path / "out", save="depth", progress=False)
    values = np.asarray(Image.open(tmp_path / "out" / "a_depth.png")).astype(np.float64)
    disparity = gp.load(run, device="cpu").predict(PIXELS).disparity[0, 0].numpy()
    np.testing.assert_allclose(values, 655 / disparity, atol=0.51)


def test_flow_is_measured_in_pixels_of_the_picture(store):
    model = gp.load(trained(store, "geometric_flow"), device="cpu")
    large = np.repeat(np.repeat(PIXELS, 2, 0), 2, 1)
    seen = model.predict(large, np.roll(large, 4, 1))
    assert isinstance(seen, FlowPrediction)
    assert seen.flow.shape == (1, 2, 140, 220)
    assert not seen.flow.requires_grad
    with pytest.raises(gp.DataError, match="give the next picture"):
        model.predict(large)


def test_classes_of_every_pixel(store):
    run = gp.finetune_segmentation(
        data="synthetic:street", out=store.path.parent / "classes", labels=2, size=(64, 96),
        backbone="test_resnet", **SMALL,
    )  # fmt: skip
    seen = gp.load(run, device="cpu").predict(PIXELS)
    assert isinstance(seen, SegmentationPrediction)
    assert seen.classes.shape == (1, 70, 110)


def test_a_run_without_predictions_has_a_backbone(store):
    model = gp.load(trained(store, "simmim"), device="cpu")
    with pytest.raises(gp.ConfigError, match="simmim predicts nothing"):
        model.predict(PIXELS)
    assert model.backbone(torch.rand(1, 3, 64, 96))[-1].shape[-2:] == (2, 3)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (PIXELS.astype(np.float32), "values from 0 to 25"),
        (np.full((8, 8, 3), np.nan), "values from nan"),
        (PIXELS[..., :2], r"not \(70, 110, 2\)"),
        (PIXELS.astype(np.uint16), "uint16"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (torch.zeros(1, 8, 8), r"shape \(1, 1, 8, 8\)"),
        (3, "no picture: 3"),
        ("nowhere.png", "does not exist"),
    ],
)
def test_what_is_no_picture_is_said(image, match):
    with pytest.raises(gp.DataError, match=match):
        as_pixels(image)


def test_grey_pictures_have_three_equal_channels():
    found = as_pixels(PIXELS[..., 0])
    assert found.shape == (1, 3, 70, 110)
    assert torch.equal(found[:, 0], found[:, 2])


# ---- backbones
def test_a_backbone_is_the_timm_model_of_the_run(store):
    run = trained(store, "monodepth")
    model = gp.backbone(run)
    assert type(model) is type(timm.create_model("test_resnet"))
    assert model.pretrained_cfg["mean"] == (0.45, 0.45, 0.45)
    assert timm.data.resolve_model_data_config(model)["std"] == (0.225, 0.225, 0.225)
    images, ours = torch.rand(1, 3, 64, 96), gp.load(run, device="cpu").backbone
    with torch.no_grad():
        assert torch.equal(model.eval()(images), ours.model(images))


def test_features_only_gives_timms_pyramid(store):
    run = trained(store, "monodepth")
    pyramid, ours = gp.backbone(run, features_only=True).eval(), gp.load(run, device="cpu").backbone
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        found, expected = pyramid(ours.normalise(images)), ours(images)
    assert [f.shape[1] for f in found] == pyramid.feature_info.channels() == list(ours.channels)
    assert pyramid.feature_info.reduction() == list(ours.strides)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_file_that_does_not_say_its_model_needs_the_name(tmp_path):
    plain = timm.create_model("test_resnet", num_classes=0)
    torch.save(plain.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(gp.ConfigError, match="Give name="):
        gp.backbone(tmp_path / "weights.pth")
    model = gp.backbone(tmp_path / "weights.pth", "test_resnet")
    assert torch.equal(model.state_dict()["conv1.0.weight"], plain.state_dict()["conv1.0.weight"])
