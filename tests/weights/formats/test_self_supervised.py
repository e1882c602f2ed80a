"""Checkpoints of self-supervised pre-trainings, in the names that their official code saves."""

from __future__ import annotations

import argparse
import re

import pytest
import timm
import torch
from foreign_weights import IMAGENET_MEAN, assert_same, images, imported, normalised, shaken

from geopretrain.weights import backbone_of, parse_init

VIT = "vit_tiny_patch16_224"


def prefixed(prefix: str, state) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def renamed(state, *rules) -> dict[str, torch.Tensor]:
    for pattern, replacement in rules:
        state = {re.sub(pattern, replacement, name): tensor for name, tensor in state.items()}
    return state


def network(name: str, seed: int = 0, **options):
    torch.manual_seed(seed)
    return shaken(timm.create_model(name, num_classes=0, **options), seed)


def check(path, name: str, expected, size: int = 64, look_like: str | None = None):
    """The file is recognised, fills the backbone and gives the features of the network it was made of."""
    assert backbone_of(parse_init(path)) == (look_like or name)
    backbone, report = imported(path, name)
    assert report.reinitialised == []
    assert report.incomplete == ""
    assert backbone.normalisation["mean"] == IMAGENET_MEAN
    with torch.no_grad():
        assert_same(backbone.embed(images(size)), expected(normalised(images(size))))
    return report


@pytest.mark.parametrize("version", ["v2", "v1", "query encoder only"])
def test_moco(tmp_path, version):
    query, key = network("resnet18"), network("resnet18", seed=1)
    head = {"fc.0.weight": torch.ones(512, 512), "fc.2.weight": torch.ones(128, 512)}
    if version == "v1":
        head = {"fc.weight": torch.ones(128, 512), "fc.bias": torch.ones(128)}
    state = prefixed("module.encoder_q.", query.state_dict() | head)
    if version != "query encoder only":
        state |= prefixed("module.encoder_k.", key.state_dict() | head)
        state |= {"module.queue": torch.ones(128, 64), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    checkpoint = {"epoch": 200, "arch": "resnet18", "state_dict": state, "optimizer": {"state": {}}}
    torch.save(checkpoint, tmp_path / "moco.pth.tar")
    report = check(tmp_path / "moco.pth.tar", "resnet18", query)
    reasons = {reason for _, reason in report.skipped}
    assert "head of the pre-training" in reasons
    assert ("momentum encoder" in reasons) == ("queue of negatives" in reasons) == (len(state) > 130)
    assert "MoCo" in report.summary()


def test_moco_v3(tmp_path):
    base, momentum = network(VIT), network(VIT, seed=1)
    state = prefixed("module.base_encoder.", base.state_dict() | {"head.0.weight": torch.ones(4, 192)})
    state |= prefixed("module.momentum_encoder.", momentum.state_dict())
    state |= {"module.predictor.0.weight": torch.ones(4, 4)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth.tar")
    check(tmp_path / "a.pth.tar", VIT, base, size=224)


@pytest.mark.parametrize("student_only", [False, True])
def test_dino(tmp_path, student_only):
    teacher, student = network(VIT), network(VIT, seed=1)
    head = {
        "head.mlp.0.weight": torch.ones(8, 192),
        "head.last_layer.weight_g": torch.ones(8, 1),
        "head.last_layer.weight_v": torch.ones(8, 8),
    }
    checkpoint = {
        "student": prefixed("module.", prefixed("backbone.", student.state_dict()) | head),
        "teacher": prefixed("backbone.", teacher.state_dict()) | head,
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_tiny", patch_size=16, lr=0.0005),
        "dino_loss": {"center": torch.zeros(1, 8)},
    }
    if student_only:
        del checkpoint["teacher"]
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    report = check(tmp_path / "checkpoint.pth", VIT, student if student_only else teacher, size=224)
    taken = "student" if student_only else "teacher"
    reasons = {"head of the pre-training", f"beside the weights that are taken, {taken}"}
    assert {reason for _, reason in report.skipped} == reasons


def test_dino_with_a_resnet_wrapped_for_several_devices(tmp_path):
    teacher = network("resnet18")
    state = prefixed("module.backbone.", teacher.state_dict()) | {
        "module.head.mlp.0.weight": torch.ones(2, 512)
    }
    torch.save({"teacher": state, "args": argparse.Namespace()}, tmp_path / "checkpoint.pth")
    check(tmp_path / "checkpoint.pth", "resnet18", teacher)


def test_mae(tmp_path):
    encoder = network(VIT)
    decoder = {
        "mask_token": torch.ones(1, 1, 64),
        "decoder_pos_embed": torch.ones(1, 197, 64),
        "decoder_embed.weight": torch.ones(64, 192),
        "decoder_blocks.0.norm1.weight": torch.ones(64),
        "decoder_norm.weight": torch.ones(64),
        "decoder_pred.weight": torch.ones(768, 64),
    }
    checkpoint = {"model": encoder.state_dict() | decoder, "args": argparse.Namespace(mask_ratio=0.75)}
    torch.save(checkpoint, tmp_path / "mae.pth")
    report = check(tmp_path / "mae.pth", VIT, encoder, size=224)
    assert len(report.skipped) == 6


def as_swin(state) -> dict[str, torch.Tensor]:
    """The original makes maps smaller at the end of a stage, timm at the beginning of the next."""
    return renamed(state, (r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample"))


def simmim(state, width: int) -> dict[str, torch.Tensor]:
    decoder = {"decoder.0.weight": torch.ones(3072, 768, 1, 1), "decoder.0.bias": torch.ones(3072)}
    return {
        "model": prefixed("encoder.", state | {"mask_token": torch.ones(1, 1, width)}) | decoder,
        "epoch": 99,
    }


@pytest.mark.slow
def test_simmim_with_swin(tmp_path):
    encoder = network("swin_tiny_patch4_window7_224")
    buffers = {"layers.0.blocks.0.attn.relative_position_index": torch.zeros(49, 49, dtype=torch.long)}
    torch.save(simmim(as_swin(encoder.state_dict()) | buffers, 96), tmp_path / "a.pth")
    report = check(tmp_path / "a.pth", "swin_tiny_patch4_window7_224", encoder, size=224)
    assert "computed anew from size and window" in {reason for _, reason in report.skipped}


def test_simmim_with_another_window_has_its_table_resized(tmp_path):
    encoder = network("swin_tiny_patch4_window7_224", window_size=6, img_size=192)
    torch.save(simmim(as_swin(encoder.state_dict()), 96), tmp_path / "a.pth")
    backbone, report = imported(tmp_path / "a.pth", "swin_tiny_patch4_window7_224")
    assert report.reinitialised == []
    assert len(report.changed) == 12
    assert "relative_position_bias_table is resized from [121, 3] to [169, 3]" in report.changed[0]
    before = encoder.layers[0].blocks[0].attn.relative_position_bias_table.view(11, 11, 3)
    after = backbone.model.layers[0].blocks[0].attn.relative_position_bias_table.view(13, 13, 3)
    torch.testing.assert_close(after[6, 6], before[5, 5], atol=0.2, rtol=0)  # the same place stays the same


def test_simmim_with_swin_v2(tmp_path):
    encoder = network("swinv2_tiny_window8_256")
    buffers = {
        "layers.0.blocks.0.attn.relative_coords_table": torch.zeros(1, 15, 15, 2),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(64, 64, dtype=torch.long),
        "layers.0.blocks.1.attn_mask": torch.zeros(64, 64, 64),
    }
    torch.save(simmim(as_swin(encoder.state_dict()) | buffers, 96), tmp_path / "a.pth")
    report = check(tmp_path / "a.pth", "swinv2_tiny_window8_256", encoder, size=256)
    assert {name for name, reason in report.skipped if "anew" in reason} == {f"backbone.{n}" for n in buffers}


@pytest.mark.slow
def test_swin_v2_goes_to_another_window_without_resizing(tmp_path):
    encoder = network("swinv2_tiny_window8_256")
    torch.save(simmim(as_swin(encoder.state_dict()), 96), tmp_path / "a.pth")
    _, report = imported(tmp_path / "a.pth", "swinv2_tiny_window16_256")
    assert report.reinitialised == []


def test_simmim_with_a_vision_transformer_has_no_bias_of_keys(tmp_path):
    encoder = network(VIT)
    state = {}
    for name, tensor in encoder.state_dict().items():
        if name.endswith("qkv.bias"):
            tensor[192:384] = 0
            block = name.removesuffix("qkv.bias")
            state |= {f"{block}q_bias": tensor[:192].clone(), f"{block}v_bias": tensor[384:].clone()}
        else:
            state[name] = tensor
    torch.save(simmim(state, 192), tmp_path / "a.pth")
    check(tmp_path / "a.pth", VIT, encoder, size=224)


@pytest.mark.parametrize(
    ("registers", "chunked"), [(0, False), (4, True), pytest.param(4, False, marks=pytest.mark.slow)]
)
def test_dinov2(tmp_path, registers, chunked):
    name = f"vit_small_patch14_{'reg4_' if registers else ''}dinov2"
    encoder = network(name, img_size=224)
    state = dict(encoder.state_dict())
    if registers:
        position = torch.randn(1, 1, 384, generator=torch.Generator().manual_seed(3))
        state["register_tokens"] = state.pop("reg_token")
        state["pos_embed"] = torch.cat([position, state["pos_embed"]], 1)
        state["cls_token"] = state["cls_token"] - position
    if chunked:
        state = renamed(state, (r"^blocks\.(\d+)", r"blocks.0.\1"))
    torch.save(state | {"mask_token": torch.zeros(1, 384)}, tmp_path / "a.pth")
    backbone, report = imported(tmp_path / "a.pth", name)
    assert backbone.normalisation["mean"] == IMAGENET_MEAN
    grid = 16**2 + (0 if registers else 1)
    size = 37**2 + (0 if registers else 1)
    assert f"pos_embed is resized from [1, {grid}, 384] to [1, {size}, 384]" in report.changed
    with torch.no_grad():  # back to the size of the file nothing is lost but what resizing twice costs
        found, expected = backbone.embed(images(224)), encoder(normalised(images(224)))
    assert float((found - expected).norm() / expected.norm()) < 0.15
    assert backbone_of(parse_init(tmp_path / "a.pth")) == name


def test_dinov2_while_training(tmp_path):
    teacher = network("vit_small_patch14_dinov2", img_size=518)
    state = prefixed("backbone.", renamed(teacher.state_dict(), (r"^blocks\.(\d+)", r"blocks.0.\1")))
    state |= {"backbone.mask_token": torch.zeros(1, 384), "dino_head.last_layer.weight_v": torch.ones(3, 3)}
    torch.save({"teacher": state}, tmp_path / "teacher_checkpoint.pth")
    backbone, report = imported(tmp_path / "teacher_checkpoint.pth", "vit_small_patch14_dinov2")
    assert report.reinitialised == report.changed == []
    assert torch.equal(backbone.model.pos_embed, teacher.pos_embed)


def test_dinov3(tmp_path):
    encoder = network("vit_small_patch16_dinov3_qkvb")
    state = {}
    for name, tensor in encoder.state_dict().items():
        new = re.sub(r"gamma_([12])$", r"ls\1.gamma", name).replace("reg_token", "storage_tokens")
        if new.endswith("v_bias"):
            continue
        if new.endswith("q_bias"):
            values = encoder.state_dict()[name.replace("q_bias", "v_bias")]
            state[new.replace("q_bias", "qkv.bias")] = torch.cat([tensor, torch.full_like(tensor, 9), values])
            state[new.replace("q_bias", "qkv.bias_mask")] = torch.ones(1152)
            continue
        state[new] = tensor
    state |= {"rope_embed.periods": torch.ones(16), "mask_token": torch.zeros(1, 384)}
    torch.save(state, tmp_path / "a.pth")
    check(tmp_path / "a.pth", "vit_small_patch16_dinov3_qkvb", encoder, size=256)
