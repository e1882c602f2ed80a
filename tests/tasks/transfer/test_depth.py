"""Transfer to depth with labels: the recipe of MIM-Depth."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from timm.layers import DropPath

from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.networks.drop_path import set_drop_path
from geopretrain.networks.heads.depth import DeconvDepth, MultiscaleDepth
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.depth import PRESETS, DepthTransfer, DepthTransferConfig
from geopretrain.weights import Init, parse_init, save_weights

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "mim_depth_layer_decay.json").read_text())


def task(**options):
    torch.manual_seed(0)
    return DepthTransfer.create(DepthTransferConfig(backbone="test_resnet", **options), Init("random", ""))[0]


def encoder(net):
    return {name: tensor.clone() for name, tensor in net.network.backbone.state_dict().items()}


def batch(count=2, size=(64, 96)):
    torch.manual_seed(1)
    depth = torch.rand(count, 1, *size) * 8
    depth[:, :, :5] = 0
    return LabelledBatch(torch.rand(count, 3, *size), None, torch.arange(count), depth=depth)


def our_name(theirs):
    """Return the name that timm and our head have for a parameter of the released code."""
    name = theirs.replace("encoder.norm3", "network.backbone.model.norm").replace("rpe_mlp", "cpb_mlp")
    name = name.replace("encoder.", "network.backbone.model.")
    if downsample := re.match(r"(.*layers\.)(\d)(\.downsample.*)", name):
        name = f"{downsample[1]}{int(downsample[2]) + 1}{downsample[3]}"
    name = name.replace("decoder.deconv_layers", "network.head.deconvolutions")
    name = name.replace("decoder.conv_layers", "network.head.convolution")
    return name.replace("last_layer_depth", "network.head.last")


@pytest.fixture(scope="module")
def swin():
    """SwinV2-B with the head, without memory."""
    with torch.device("meta"):
        return DepthTransfer(DepthTransferConfig(backbone="x"), Backbone("swinv2_base_window12_192"))


def test_layers_of_the_head_are_those_of_the_released_code(swin):
    ours = {name: list(p.shape) for name, p in swin.named_parameters() if ".head." in name}
    theirs = {
        our_name(name): shape
        for name, shape in GOLDEN["shapes"].items()
        if name.startswith(("decoder.", "last_layer_depth."))
    }
    assert ours == theirs


def test_groups_of_parameters_are_those_of_the_released_code(swin):
    rate = GOLDEN["layer_decay_rate"]
    groups = swin.parameter_groups(GOLDEN["base_lr"], GOLDEN["base_weight_decay"], rate)
    names = {id(p): name for name, p in swin.named_parameters()}
    ours = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    theirs = {our_name(n): (g["lr"], g["weight_decay"]) for g in GOLDEN["groups"] for n in g["params"]}
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        assert ours[name] == pytest.approx(expected, rel=1e-9), name


def test_drop_path_rises_linearly_over_the_blocks():
    backbone = Backbone("test_resnet")
    set_drop_path(backbone, 0.3)
    found = [m.drop_prob for m in backbone.model.modules() if isinstance(m, DropPath)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(0.3)
    backbone.eval()
    images = torch.rand(1, 3, 64, 64)
    assert (backbone(images)[-1] == backbone(images)[-1]).all()
    with pytest.raises(ConfigError, match="leave drop_path at 0"):
        set_drop_path(Backbone("vgg11"), 0.1)


@pytest.mark.parametrize("head", ["deconv", "multiscale", "dpt"])
def test_depth_has_the_size_of_the_picture_and_stays_in_range(head):
    net = task(head=head, max_depth=5.0).eval()
    for size in ((64, 96), (70, 81)):
        predicted = net.predict(torch.rand(1, 3, *size))
        assert predicted.disparity.shape == (1, 1, *size)
        assert predicted.meaning == "metric"
        assert 1 / predicted.disparity.max() > 0
        assert 1 / predicted.disparity.min() <= 5.0 + 1e-4
    assert net.max_depth == 5.0


def test_a_few_steps_lower_the_loss_and_far_or_missing_depth_does_not_count():
    net = task(max_depth=6.0, cut_depth=0.0, flip=0.0, colours=0.0).train()
    given = batch()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    values = []
    for step in range(12):
        loss, logs = net.loss(net.train_transform(given), Step(step, 12))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]
    assert 0 < float(logs["beyond_fraction"]) < 1
    far = LabelledBatch(given.images, None, given.index, depth=torch.where(given.depth > 6, 9.0, given.depth))
    net.eval()
    assert net.loss(far, Step(0, 1))[0] == net.loss(given, Step(0, 1))[0]
    assert "raise --settings max_depth" in net.diagnostics({"beyond_fraction": 0.5}, 1)[0]


def test_flip_and_windows_average_what_they_see():
    plain, flipped = task().eval(), task(test_flip=True).eval()
    images = torch.rand(1, 3, 64, 160)
    with torch.no_grad():
        there = 1 / plain.predict(images).disparity
        back = (1 / plain.predict(images.flip(-1)).disparity).flip(-1)
        torch.testing.assert_close(1 / flipped.predict(images).disparity, (there + back) / 2)
        windows = task(windows=2).eval()
        left = plain.network(images[..., :64])
        # two windows of 64 leave a gap in 160 px: a third one is taken
        torch.testing.assert_close((1 / windows.predict(images).disparity)[..., :48], left[..., :48])
        upright = torch.rand(1, 3, 96, 64)
        torch.testing.assert_close(windows.predict(upright).disparity, plain.predict(upright).disparity)


def test_presets_are_settings_that_the_transfer_knows():
    for name, preset in PRESETS.items():
        config = DepthTransferConfig(**preset.settings)
        assert config.max_depth == (80.0 if name == "kitti" else 10.0)
    assert PRESETS["paper"].lr * PRESETS["paper"].lr_floor == pytest.approx(3e-5)
    assert PRESETS["mesa"].lr * PRESETS["mesa"].lr_floor == pytest.approx(1e-5)


def test_the_head_begins_with_small_weights_and_half_of_the_range():
    torch.manual_seed(0)
    head = DeconvDepth(64, 10.0).eval()
    depth = head(torch.rand(1, 64, 2, 3), (64, 96))
    assert depth.shape == (1, 1, 64, 96)
    torch.testing.assert_close(depth, torch.full_like(depth, 5.0), atol=1e-3, rtol=0)


def test_pictures_show_image_depth_truth_and_error():
    drawn = task().eval().pictures(batch())
    assert set(drawn) == {"sample_00", "sample_01"}
    assert drawn["sample_00"].shape[1] > 4 * 96


def test_a_plain_transformer_takes_the_decoder_of_dpt():
    torch.manual_seed(0)
    config = DepthTransferConfig(backbone="test_vit", head="dpt")
    net = DepthTransfer.create(config, Init("random", ""))[0].eval()
    predicted = net.predict(torch.rand(1, 3, 70, 96))
    assert predicted.disparity.shape == (1, 1, 70, 96)


@pytest.mark.parametrize("mode", ["full", "encoder", "frozen"])
def test_frozen_changes_nothing_of_the_encoder_and_the_other_modes_do(mode):
    net, given = task(mode=mode), batch()
    net.prepare_training([given])
    before, last = encoder(net), net.network.head.last[0].weight.clone()
    optimizer = torch.optim.AdamW(net.parameter_groups(1e-2, 0.05, 0.9))
    net.train()
    for _ in range(2):
        net.clear_gradients()
        net.loss(net.train_transform(given), Step(0, 1))[0].backward()
        optimizer.step()
    same = all(torch.equal(tensor, before[name]) for name, tensor in encoder(net).items())
    assert same == (mode == "frozen")
    assert not torch.equal(net.network.head.last[0].weight, last)


def test_a_frozen_random_encoder_gets_its_statistics_from_the_training_images():
    frozen, full = task(mode="frozen"), task()
    built = encoder(full)
    for net in (frozen, full):
        net.prepare_training([batch()])
    assert all(torch.equal(tensor, built[name]) for name, tensor in encoder(full).items())
    changed = {name for name, tensor in encoder(frozen).items() if not torch.equal(tensor, built[name])}
    assert changed
    assert all("running_" in name or "num_batches" in name for name in changed)
    assert not frozen.network.backbone.training


def test_only_the_mode_full_takes_the_head_of_a_run_over(tmp_path):
    first = task(head="multiscale")
    save_weights(first, tmp_path)
    lineage = {"backbone": "test_resnet", "method": "depth", "normalisation": first.backbone.normalisation}
    (tmp_path / "lineage.json").write_text(json.dumps(lineage))
    for mode in ("full", "encoder", "frozen"):
        config = DepthTransferConfig(backbone="test_resnet", head="multiscale", mode=mode)
        report = DepthTransfer.create(config, parse_init(tmp_path))[1]
        assert bool(report.reinitialised) == (mode != "full")
        assert (mode == "full") or "starts with a fresh decoder" in report.summary()


@pytest.mark.parametrize("mode", ["full", "frozen"])
def test_the_decoder_of_depth_begins_with_the_median_of_what_is_measured(mode):
    net, given = task(head="multiscale", max_depth=80.0, mode=mode), batch()
    built, before = net.network.head.decoder.heads["0"].bias.clone(), encoder(net)
    net.train()
    net.prepare_training(iter([given]))
    assert net.training
    same = all(torch.equal(tensor, before[name]) for name, tensor in encoder(net).items())
    assert same is (mode == "full"), "statistics stay, but those of a frozen random encoder"
    images, truth = net.eval_transform(given).images, given.required("depth")
    net.train(mode == "full")  # it learns with the statistics of the batch
    with torch.no_grad():
        ratio = net.network(images) / truth
    counted = ratio[(truth > 0) & (truth <= 80)]
    assert counted.median().item() == pytest.approx(1, abs=1e-3)
    assert not torch.equal(net.network.head.decoder.heads["0"].bias, built)


def test_it_begins_as_built_where_that_is_wished_or_nothing_is_measured():
    given = batch()
    empty = replace(given, depth=torch.zeros_like(given.required("depth")))
    for net, seen in ((task(head="multiscale", start="as_built"), given), (task(head="multiscale"), empty)):
        built = net.network.head.decoder.heads["0"].bias.clone()
        net.prepare_training([seen])
        assert torch.equal(net.network.head.decoder.heads["0"].bias, built)


def test_a_shift_takes_all_depths_by_one_factor_where_they_are_far_from_the_limits():
    head = MultiscaleDepth(Backbone("test_resnet"), 0.1, 1000.0)
    logits, before = torch.linspace(-6.0, -5.0, 101), head.decoder.heads["0"].bias.clone()
    wanted = 2 * head.to_depth(logits)
    head.shift_to_median(logits, wanted)
    shift = (head.decoder.heads["0"].bias - before).item()
    torch.testing.assert_close(head.to_depth(logits + shift), wanted, rtol=0.02, atol=0)
    head.shift_to_median(logits, torch.full_like(logits, 1e9))
    assert torch.isfinite(head.decoder.heads["0"].bias).all(), "as far as it goes"


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, True), ({"head": "multiscale"}, False), ({"mode": "encoder"}, False)],
)
def test_it_is_said_where_the_decoder_of_a_depth_run_is_left_out(tmp_path, options, said):
    depth = Monodepth.create(MonodepthConfig(backbone="test_resnet"), Init("random", ""))[0]
    save_weights(depth, tmp_path)
    lineage = {
        "backbone": "test_resnet",
        "method": "monodepth",
        "normalisation": depth.backbone.normalisation,
    }
    (tmp_path / "lineage.json").write_text(json.dumps(lineage))
    config = DepthTransferConfig(backbone="test_resnet", **options)
    report = DepthTransfer.create(config, parse_init(tmp_path))[1]
    assert ("--settings head=multiscale takes it over" in report.summary()) is said
