"""A segmenter that is shown depth: what is shown, where it is from, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from fake_tasks import Crash
from safetensors.torch import load_file
from stopping import CrashAfter

import geopretrain as gp
from geopretrain.errors import ConfigError, OptionError
from geopretrain.networks import Backbone, SegmentationNet
from geopretrain.networks.depth_input import DepthInput
from geopretrain.networks.depth_net import DepthNet
from geopretrain.weights.runs import load_weights, save_weights

SMALL = {"backbone": "test_resnet", "batch_size": 2, "threads": 1, "precision": "fp32", "progress": False}
LABELS = {"data": "synthetic:street", "labels": 4, "size": "64x96", "curve_points": 1, "device": "cpu"}
SHOWN = {"depth_input": True}


@pytest.fixture(scope="module")
def depth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    store = gp.prepare("synthetic:street?frames=12", folder / "store", size=(64, 96), progress=False).path
    return gp.pretrain("monodepth", data=store, out=folder / "run", steps=2, device="cpu", **SMALL).path


def train(out, depth, **options):
    usual = {"depth_from": depth, "settings": SHOWN, "steps": 4, "checkpoint_every": 2}
    return gp.finetune_segmentation(out=out, **{**SMALL, **LABELS, **usual, **options})


def weights(run):
    return load_file(run / "model.safetensors")


def networks():
    torch.manual_seed(0)
    eye = DepthNet(Backbone("test_resnet"), (0,))
    shown, net = DepthInput(eye), SegmentationNet(Backbone("test_resnet"), 3)
    net.depth_input = shown
    return shown, net.eval()


def test_what_is_near_is_relative_and_the_same_at_any_scale(monkeypatch):
    shown, _ = networks()
    inverse = torch.tensor([[[[0.001, 0.01], [0.1, 0.999]]]])
    for near_end, far_end in ((0.1, 100.0), (5.0, 50.0), (0.05, 50.0)):  # the last: the first in another unit
        shown.depths = near_end, far_end
        monkeypatch.setattr(shown.eye, "forward", lambda images, scales: [inverse])
        near = shown.nearness(torch.zeros(1, 3, 2, 2))
        by_hand = (1 / far_end + (1 / near_end - 1 / far_end) * inverse).log()
        torch.testing.assert_close(near, by_hand - by_hand.mean())
    assert near.mean().abs() < 1e-6
    assert (near.flatten().diff() > 0).all()


def test_it_begins_as_if_there_were_none_and_learns_to_look():
    shown, net = networks()
    images = torch.rand(2, 3, 64, 96)
    assert torch.equal(shown(images), images)
    net.depth_input = None
    plain = net(images)
    net.depth_input = shown
    assert torch.equal(net(images), plain)
    net(images).square().sum().backward()
    assert net.depth_input.paint.weight.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in net.depth_input.eye.parameters())


def test_the_depth_network_stands_still_when_the_rest_trains():
    shown, net = networks()
    before = {name: tensor.clone() for name, tensor in shown.eye.state_dict().items()}
    net.train()
    net(torch.rand(2, 3, 64, 96))
    assert not net.depth_input.eye.training
    assert net.backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.depth_input.eye.state_dict().items())


def test_a_run_has_the_depth_network_in_it_and_needs_the_other_no_more(tmp_path, depth):
    moved = shutil.copytree(depth, tmp_path / "depth")
    run = train(tmp_path / "run", moved)
    kept, first = weights(run.path), weights(moved)
    inside = "depth_input.eye."
    assert torch.equal(kept[f"{inside}backbone.model.conv1.0.weight"], first["backbone.conv1.0.weight"])
    assert any(name.startswith(f"{inside}decoder.heads.0.") for name in kept)
    for name in kept:
        if name.startswith(f"{inside}decoder."):
            assert torch.equal(kept[name], first[name.removeprefix(inside)])
    assert kept["depth_input.paint.weight"].abs().max() > 0
    assert run.lineage["beside"]["depth_from"]["data"] == str(moved)
    assert "depth_input.eye" in str(run.path.joinpath("weights.json").read_text())

    shutil.rmtree(moved)
    image = torch.rand(1, 3, 64, 96)
    whole = gp.load(run.path, device="cpu").task.eval()
    file = gp.export(run.path, out=tmp_path / "whole.safetensors", format="safetensors", progress=False)
    again = gp.load(file, device="cpu").task.eval()
    with torch.no_grad():
        assert torch.equal(whole.predict(image).logits, again.predict(image).logits)


def test_each_network_normalises_images_its_own_way(tmp_path, depth):
    run = train(tmp_path / "run", depth, init="random", steps=1)
    task = gp.load(run.path).task
    task.network.depth_input.eye.backbone.set_normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    save_weights(task, tmp_path)
    fresh = gp.load(run.path).task
    load_weights(fresh, tmp_path)
    assert fresh.network.depth_input.eye.backbone.normalisation["mean"] == [0.1, 0.2, 0.3]
    assert fresh.network.backbone.normalisation["mean"] == [0.45, 0.45, 0.45]


def test_it_goes_on_bit_for_bit(tmp_path, depth):
    whole = train(tmp_path / "whole", depth)
    with pytest.raises(Crash):
        train(tmp_path / "broken", depth, callbacks=[CrashAfter(3)])
    resumed = gp.finetune_segmentation(resume=tmp_path / "broken", progress=False)
    assert all(torch.equal(value, weights(whole.path)[name]) for name, value in weights(resumed.path).items())


def test_a_depth_run_that_has_moved_may_be_named_anew(tmp_path, depth):
    away, there = tmp_path / "away", shutil.copytree(depth, tmp_path / "there")
    with pytest.raises(Crash):
        train(tmp_path / "broken", there, callbacks=[CrashAfter(3)])
    there.rename(away)
    with pytest.raises(gp.UserError, match="If it has moved, give it anew: --depth-from"):
        gp.finetune_segmentation(resume=tmp_path / "broken", progress=False)
    resumed = gp.finetune_segmentation(resume=tmp_path / "broken", depth_from=away, progress=False)
    whole = weights(train(tmp_path / "whole", depth).path)
    assert all(torch.equal(value, whole[name]) for name, value in weights(resumed.path).items())


def test_depths_are_those_that_the_run_tells(tmp_path, depth):
    ranged = gp.pretrain(
        "monodepth", data=depth.parent / "store", out=tmp_path / "depth", steps=1, device="cpu",
        settings={"min_depth": 5, "max_depth": 50}, **SMALL,
    ).path  # fmt: skip
    images = torch.rand(1, 3, 64, 96)
    for source, depths in ((ranged, (5.0, 50.0)), (depth, (0.1, 100.0))):
        run = train(tmp_path / f"seg {depths[0]}", source, steps=1)
        shown = gp.load(run.path, device="cpu").task.network.depth_input
        assert shown.depths == depths
        with torch.no_grad():
            expected = gp.load(source, device="cpu").task.predict(images).disparity.log()
            found = shown.nearness(images)
        torch.testing.assert_close(found, expected - expected.mean(), atol=1e-5, rtol=1e-4)


def test_another_depth_network_takes_the_place_of_the_first(tmp_path, depth):
    first = train(tmp_path / "first", depth, steps=1)
    other = shutil.copytree(depth, tmp_path / "other")
    again = train(tmp_path / "again", other, init=first.path, steps=1)
    report = json.loads((again.path / "weights.json").read_text())
    for kind in ("loaded", "skipped", "reinitialised"):
        assert not [one for one in report[kind] if "depth_input.eye." in str(one)], kind
    assert any("depth_input.eye" in one for one in report["changed"])
    assert "depth_input.paint.weight" in report["loaded"]


def test_an_untrained_one_gives_what_none_gives(tmp_path, depth):
    plain = train(tmp_path / "plain", None, settings={}, steps=1, lr=0.0001)
    shown = train(tmp_path / "shown", depth, steps=1, lr=0.0001)
    found = plain.metrics("train")[0]["loss"], shown.metrics("train")[0]["loss"]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_any_backbone_and_method_of_depth_may_look(tmp_path, depth):
    store = depth.parent / "store"
    other = gp.pretrain(
        "scdepth", data=store, out=tmp_path / "sc", steps=1, device="cpu", **{**SMALL, "backbone": "test_vit"}
    )
    run = train(tmp_path / "run", other.path, steps=1)
    eye = gp.load(run.path).task.network.depth_input.eye
    assert eye.backbone.name == "test_vit"
    assert eye.decoder.upsampling == "bilinear"


def test_it_goes_with_depth_beside_the_labels_and_with_mixing(tmp_path, depth):
    store = depth.parent / "store"
    run = train(
        tmp_path / "run",
        depth,
        settings={**SHOWN, "depth_mix": 0.5},
        auxiliary="monodepth",
        auxiliary_data=store,
        steps=1,
    )
    assert any(name.startswith("depth_input.eye.") for name in weights(run.path))
    assert (run.figures / "learned_from.png").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"depth_from": None}, OptionError, "depth_from is missing"),
        ({"mode": "frozen"}, ConfigError, "cannot be frozen"),
        ({"settings": {**SHOWN, "head": "linear"}}, ConfigError, "cannot be frozen"),
        ({"depth_from": "depth-anything/small"}, OptionError, "it is no run folder"),
        ({"as_released": True}, gp.UserError, "knows no depth_input"),
        ({"settings": {"depth_input": "perhaps"}}, gp.UserError, "depth_input"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, depth, options, error, words):
    with pytest.raises(error, match=words):
        train(tmp_path / "run", depth, **options)
    assert not (tmp_path / "run").exists()


def test_a_run_without_depth_cannot_look(tmp_path, depth):
    plain, shown = (
        train(tmp_path / name, *of, steps=1, **more)
        for name, of, more in (("plain", [None], {"settings": {}}), ("shown", [depth], {}))
    )
    for one in (plain, shown):
        with pytest.raises(OptionError, match="that run is of"):
            train(tmp_path / "run", one.path)
    assert not (tmp_path / "run").exists()
