"""Files that Hugging Face transformers saves give the same features in timm's models."""

from __future__ import annotations

import json

import pytest
import torch
from foreign_weights import IMAGENET_MEAN, assert_same, images, imported, normalised, shaken

from geopretrain.errors import WeightsError
from geopretrain.weights import backbone_of, parse_init
from geopretrain.weights.files import read_state
from geopretrain.weights.formats import recognise

transformers = pytest.importorskip("transformers")

TINY_VIT = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "layer_norm_eps": 1e-6}
SMALL = {"hidden_size": 384, "num_attention_heads": 6}
SWIN = {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]}


def made(kind: str, config: str, **options):
    return shaken(getattr(transformers, kind)(getattr(transformers, config)(**options)))


def saved(network, folder):
    """The folder, checked: the library itself reads the same from it."""
    network.save_pretrained(folder)
    return folder


def tokens(network, size: int, mean=IMAGENET_MEAN) -> torch.Tensor:
    with torch.no_grad():
        return network(normalised(images(size)[:1])).last_hidden_state


def patches(backbone, size: int) -> torch.Tensor:
    with torch.no_grad():
        return backbone.last(images(size)[:1]).flatten(2).transpose(1, 2)


@pytest.mark.parametrize("form", ["folder", "file", "state_dict", "shards"])
def test_resnet(tmp_path, form):
    layout = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}
    network = made("ResNetForImageClassification", "ResNetConfig", **layout)
    network.save_pretrained(tmp_path / "hub", max_shard_size="20MB" if form == "shards" else "1GB")
    assert (tmp_path / "hub" / "model.safetensors.index.json").is_file() == (form == "shards")
    torch.save(network.state_dict(), tmp_path / "state.bin")
    path = {
        "folder": tmp_path / "hub",
        "shards": tmp_path / "hub",
        "file": tmp_path / "hub" / "model.safetensors",
        "state_dict": tmp_path / "state.bin",
    }[form]
    assert backbone_of(parse_init(path)) == "resnet18"
    backbone, report = imported(path, "resnet18")
    with torch.no_grad():
        expected = network.resnet(normalised(images())).last_hidden_state
        assert_same(backbone(images())[-1], expected)
    assert report.reinitialised == []
    assert report.warnings == []


@pytest.mark.slow
def test_resnet_with_bottlenecks(tmp_path):
    network = made("ResNetModel", "ResNetConfig")
    backbone, _ = imported(saved(network, tmp_path), "resnet50")
    with torch.no_grad():
        assert_same(backbone(images())[-1], network(normalised(images())).last_hidden_state)


@pytest.mark.parametrize(
    "kind", ["ViTModel", "ViTForImageClassification", "ViTMAEForPreTraining", "DeiTModel"]
)
def test_vision_transformers(tmp_path, kind):
    family = kind.removesuffix("ForImageClassification").removesuffix("ForPreTraining").removesuffix("Model")
    network = made(kind, f"{family}Config", **TINY_VIT)
    saved(network, tmp_path)
    normalisation = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(normalisation))
    distilled = kind == "DeiTModel"
    ours = "deit_tiny_distilled_patch16_224" if distilled else "vit_tiny_patch16_224"
    assert backbone_of(parse_init(tmp_path)) == ours
    backbone, report = imported(tmp_path, ours)
    assert backbone.normalisation == {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}
    assert report.reinitialised == []
    backbone.set_normalisation(IMAGENET_MEAN, [0.229, 0.224, 0.225])
    if kind == "ViTMAEForPreTraining":
        plain = transformers.ViTModel(transformers.ViTConfig(**TINY_VIT), add_pooling_layer=False)
        assert plain.load_state_dict(network.vit.state_dict(), strict=False).missing_keys == []
        network = plain.eval()
    found = tokens(getattr(network, "vit", network), 224)
    assert_same(patches(backbone, 224), found[:, 1 + distilled :])
    with torch.no_grad():
        assert_same(backbone.embed(images(224)[:1]), found[:, : 1 + distilled].mean(1))


@pytest.mark.slow
@pytest.mark.parametrize("registers", [0, 4])
def test_dinov2(tmp_path, registers):
    kind = "Dinov2WithRegisters" if registers else "Dinov2"
    network = made(f"{kind}Model", f"{kind}Config", image_size=518, patch_size=14, **SMALL)
    ours = "vit_small_patch14_reg4_dinov2" if registers else "vit_small_patch14_dinov2"
    saved(network, tmp_path)
    assert backbone_of(parse_init(tmp_path)) == ours
    backbone, report = imported(tmp_path, ours)
    assert backbone.normalisation["mean"] == IMAGENET_MEAN
    assert report.reinitialised == []
    assert_same(patches(backbone, 518), tokens(network, 518)[:, 1 + registers :])


def test_dinov3(tmp_path):
    options = {**SMALL, "intermediate_size": 1536, "num_register_tokens": 4, "patch_size": 16}
    network = made("DINOv3ViTModel", "DINOv3ViTConfig", num_hidden_layers=12, **options)
    saved(network, tmp_path)
    assert backbone_of(parse_init(tmp_path)) == "vit_small_patch16_dinov3_qkvb"
    backbone, report = imported(tmp_path, "vit_small_patch16_dinov3_qkvb")
    assert report.reinitialised == []
    assert_same(patches(backbone, 256), tokens(network, 256)[:, 5:])
    with pytest.raises(WeightsError, match="--backbone vit_small_patch16_dinov3_qkvb"):
        imported(tmp_path, "vit_small_patch16_dinov3")
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "q_proj.bias" in name or "v_proj.bias" in name:
                tensor.zero_()
    backbone, _ = imported(saved(network, tmp_path / "zero"), "vit_small_patch16_dinov3")
    assert_same(patches(backbone, 256), tokens(network, 256)[:, 5:])


@pytest.mark.parametrize("version", [pytest.param("", marks=pytest.mark.slow), "v2"])
def test_swin(tmp_path, version):
    window = {"": 7, "v2": 8}[version]
    size, ours = {"": (224, "swin_tiny_patch4_window7_224"), "v2": (256, "swinv2_tiny_window8_256")}[version]
    network = made(f"Swin{version}Model", f"Swin{version}Config", image_size=size, window_size=window, **SWIN)
    saved(network, tmp_path)
    assert backbone_of(parse_init(tmp_path)) == ours
    backbone, report = imported(tmp_path, ours)
    assert report.reinitialised == []
    assert "is assumed" in report.summary()
    assert_same(patches(backbone, size), tokens(network, size))


@pytest.mark.parametrize(
    ("kind", "ours", "options"),
    [
        pytest.param("ConvNext", "convnext_tiny", {}, marks=pytest.mark.slow),
        ("ConvNextV2", "convnextv2_atto", {"hidden_sizes": [40, 80, 160, 320], "depths": [2, 2, 6, 2]}),
        pytest.param("DINOv3ConvNext", "convnext_tiny", {}, marks=pytest.mark.slow),
    ],
)
def test_convnext(tmp_path, kind, ours, options):
    network = made(f"{kind}Model", f"{kind}Config", **options)
    saved(network, tmp_path)
    assert backbone_of(parse_init(tmp_path)) == ours
    backbone, report = imported(tmp_path, ours)
    assert report.reinitialised == []
    with torch.no_grad():
        theirs = network(normalised(images()), output_hidden_states=True)
        assert_same(backbone(images())[-1], theirs.hidden_states[-1])
        assert_same(backbone.embed(images()), theirs.pooler_output)


@pytest.mark.slow
def test_depth_anything(tmp_path):
    inside = transformers.Dinov2Config(image_size=518, patch_size=14, reshape_hidden_states=False, **SMALL)
    network = made(
        "DepthAnythingForDepthEstimation",
        "DepthAnythingConfig",
        backbone_config=inside,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
    )
    saved(network, tmp_path)
    assert backbone_of(parse_init(tmp_path)) == "vit_small_patch14_dinov2"
    backbone, report = imported(tmp_path, "vit_small_patch14_dinov2")
    assert report.reinitialised == []
    with torch.no_grad():
        theirs = network.backbone(normalised(images(518)[:1])).feature_maps[-1]
    assert_same(patches(backbone, 518), theirs[:, 1:])


@pytest.mark.parametrize("damage", ["missing part", "part elsewhere", "index", "config", "preprocessor"])
def test_folders_that_are_not_whole_are_refused(tmp_path, damage):
    network = made("ResNetModel", "ResNetConfig", hidden_sizes=[8, 8, 8, 8], embedding_size=8)
    network.save_pretrained(tmp_path, max_shard_size="10KB")
    index = tmp_path / "model.safetensors.index.json"
    (tmp_path / "preprocessor_config.json").write_text("{}")
    if damage == "missing part":
        next(iter(tmp_path.glob("model-0*"))).unlink()
    elif damage == "part elsewhere":
        index.write_text(index.read_text().replace("model-00001", "../model-00001"))
    else:
        name = {"index": index.name, "config": "config.json", "preprocessor": "preprocessor_config.json"}[
            damage
        ]
        (tmp_path / name).write_text('{"weight_map": 3, "pretrained_cfg": 3, "image_mean": "a"')
    with pytest.raises(WeightsError, match="again") as error:
        imported(tmp_path, "resnet50")
    assert "\n" not in str(error.value)


LITTLE = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
LITTLE_SWIN = {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 3, 4]}
LITTLE_CONVOLUTIONS = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("kind", "config", "options"),
    [
        ("ViTForImageClassification", "ViTConfig", LITTLE),
        ("ViTMAEForPreTraining", "ViTMAEConfig", LITTLE),
        ("DeiTModel", "DeiTConfig", LITTLE),
        ("Dinov2ForImageClassification", "Dinov2Config", LITTLE),
        ("Dinov2Backbone", "Dinov2Config", LITTLE),
        ("Dinov2Model", "Dinov2Config", LITTLE | {"use_swiglu_ffn": True}),
        ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", LITTLE | {"use_swiglu_ffn": True}),
        ("DINOv3ViTModel", "DINOv3ViTConfig", LITTLE),
        ("DINOv3ViTModel", "DINOv3ViTConfig", LITTLE | {"use_gated_mlp": True}),
        ("SwinForMaskedImageModeling", "SwinConfig", LITTLE_SWIN),
        ("SwinBackbone", "SwinConfig", LITTLE_SWIN),
        ("Swinv2ForImageClassification", "Swinv2Config", LITTLE_SWIN),
        ("ConvNextBackbone", "ConvNextConfig", LITTLE_CONVOLUTIONS),
        ("ConvNextV2ForImageClassification", "ConvNextV2Config", LITTLE_CONVOLUTIONS),
        ("DINOv3ConvNextModel", "DINOv3ConvNextConfig", LITTLE_CONVOLUTIONS),
        ("ResNetBackbone", "ResNetConfig", LITTLE_CONVOLUTIONS | {"embedding_size": 8}),
    ],
)
def test_the_names_in_files_and_those_in_memory_are_the_same_to_us(tmp_path, kind, config, options):
    """transformers 5 has other names in memory, which ``torch.save(model.state_dict())`` keeps."""
    network = getattr(transformers, kind)(getattr(transformers, config)(**options))
    network.save_pretrained(tmp_path)
    in_file, in_memory = read_state(tmp_path / "model.safetensors").tensors, dict(network.state_dict())
    found = recognise(in_file)
    assert recognise(in_memory) is found
    assert found.name.startswith("Hugging Face")
    ours, other = found.convert(in_file).tensors, found.convert(in_memory).tensors
    assert ours.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in ours.items())
    theirs = ("query", "key", "_proj", "dense", "lambda", "layernorm", "embeddings", "encoder", "weights_")
    assert not any(part in name for name in ours for part in theirs)
