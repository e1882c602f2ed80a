"""Any timm model as a pyramid."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from tolerances import assert_near

from geopretrain.errors import ConfigError, DataError
from geopretrain.networks import Backbone, DepthNet, SegmentationNet
from geopretrain.weights import backbone_state

FAMILIES = [
    "resnet18",
    "resnet50",
    "convnext_atto",
    "swinv2_tiny_window8_256",
    "vit_tiny_patch16_224",
    "mobilenetv3_small_050",
]

TIMM = tuple(int(part) for part in timm.__version__.split(".")[:3])


@pytest.mark.parametrize("name", FAMILIES)
def test_timm_itself_loads_what_we_save(name):
    model = timm.create_model(name)
    missing, unexpected = model.load_state_dict(backbone_state(Backbone(name)), strict=False)
    assert unexpected == []
    assert all(key.startswith(model.pretrained_cfg["classifier"]) for key in missing)
    assert len(missing) <= 2


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_depth_and_gradients(name, device):
    if name.startswith("swinv2") and TIMM < (1, 0, 31):
        pytest.skip("this timm builds Swin V2 for one size of images only")
    torch.manual_seed(0)
    net = DepthNet(Backbone(name)).to(device)
    outputs = net(torch.rand(2, 3, 64, 96, device=device))
    assert [tuple(o.shape) for o in outputs] == [(2, 1, 64 >> s, 96 >> s) for s in range(4)]
    sum(o.mean() for o in outputs).backward()
    stem = next(net.backbone.model.parameters())
    assert stem.grad.abs().sum() > 0
    assert all(p.grad is not None for p in net.decoder.parameters())


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("resnet18", [2, 4, 8, 16, 32]),
        ("convnext_atto", [4, 8, 16, 32]),
        ("vit_tiny_patch16_224", [4, 8, 16, 32]),
        ("vgg11", [1, 2, 4, 8, 16, 32]),
    ],
)
def test_features_have_the_strides_and_channels_that_are_promised(name, strides, device, dtype):
    if not hasattr(timm.create_model(name), "forward_intermediates"):
        pytest.skip(f"this timm gives no features of {name}")
    backbone = Backbone(name).eval().to(device, dtype)
    assert backbone.strides == strides
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, 32, 64, device=device, dtype=dtype))
    assert all(f.dtype == dtype for f in features)
    assert [tuple(f.shape) for f in features] == [
        (1, c, 32 // s, 64 // s) for c, s in zip(backbone.channels, strides, strict=True)
    ]


def test_a_patch_size_that_does_not_divide_the_image_is_no_obstacle():
    backbone = Backbone("vit_small_patch14_dinov2").eval()
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, 64, 96))
    assert [f.shape[-2:] for f in features] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_a_transformer_is_not_resized_where_its_patches_fit(device, dtype):
    backbone = Backbone("vit_tiny_patch16_224").eval().to(device, dtype)
    image = torch.rand(1, 3, 64, 96, device=device, dtype=dtype)
    with torch.no_grad():
        features = backbone(image)
        blocks = backbone.model.forward_intermediates(
            (image - backbone.mean) / backbone.std, indices=4, output_fmt="NCHW", intermediates_only=True
        )
    assert_near(features[2], blocks[2])


def test_normalisation_happens_inside_and_can_be_changed():
    backbone = Backbone("resnet18", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)).eval()
    image = torch.rand(1, 3, 32, 32)
    by_hand = (image - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(
        3, 1, 1
    )
    with torch.no_grad():
        stem = backbone.model.act1(backbone.model.bn1(backbone.model.conv1(by_hand)))
        torch.testing.assert_close(backbone(image)[0], stem)
    backbone.set_normalisation((0.45,) * 3, (0.225,) * 3)
    assert backbone.normalisation == {"mean": [0.45] * 3, "std": [0.225] * 3}


def test_two_images_see_the_normalisation_of_one():
    backbone = Backbone("resnet18", in_images=2, mean=(0.1, 0.2, 0.3))
    assert backbone.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3] * 2)
    assert backbone.model.conv1.weight.shape[1] == 6
    assert backbone.normalisation["mean"] == [0.1, 0.2, 0.3]


ODD = (75, 101)
FIXED = ["maxvit_tiny_rw_224", "coatnet_nano_rw_224", "mixer_s32_224", "beit_base_patch16_224"]


def odd_images(size=ODD, count=1):
    torch.manual_seed(0)
    return torch.rand(count, 3, *size)


@pytest.mark.parametrize("name", [*FAMILIES, "vit_small_patch14_dinov2", "tf_efficientnet_lite0", "vgg11"])
def test_every_family_takes_images_of_any_size_and_heads_give_them_back_whole(name):
    torch.manual_seed(0)
    backbone = Backbone(name)
    features = backbone(odd_images(count=2))
    sizes = [tuple(math.ceil(side / s) for side in ODD) for s in backbone.strides]
    assert [tuple(f.shape[-2:]) for f in features] == sizes
    for net in (DepthNet(backbone), SegmentationNet(backbone, num_classes=3)):
        net.zero_grad()
        outputs = net(odd_images(count=2))
        finest = outputs[0] if isinstance(outputs, list) else outputs
        assert tuple(finest.shape[-2:]) == ODD
        assert torch.isfinite(finest).all()
        finest.square().mean().backward()
        assert next(backbone.model.parameters()).grad.abs().sum() > 0
    assert [tuple(o.shape[-2:]) for o in DepthNet(backbone)(odd_images(count=2))] == [
        (75, 101),
        (38, 51),
        (19, 26),
        (10, 13),
    ]


def test_padding_repeats_the_border_and_is_cut_off_again():
    backbone = Backbone("resnet18").eval()
    images = odd_images()
    padded = torch.nn.functional.pad(images, (0, 27, 0, 21), mode="replicate")
    with torch.no_grad():
        for cut, whole, stride in zip(backbone(images), backbone(padded), backbone.strides, strict=True):
            rows, columns = (math.ceil(side / stride) for side in ODD)
            assert torch.equal(cut, whole[..., :rows, :columns])


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXED)
def test_models_of_one_size_get_smaller_images_padded_to_it(name):
    backbone = Backbone(name).eval()
    images = odd_images()
    with torch.no_grad():
        features = backbone(images)
        padded = torch.nn.functional.pad(images, (0, 224 - 101, 0, 224 - 75), mode="replicate")
        whole = backbone(padded)
        assert backbone.embed(images).shape == (1, backbone.embedding_width)
        segments = SegmentationNet(backbone, num_classes=3).eval()(images)
    for cut, f, s in zip(features, whole, backbone.strides, strict=True):
        assert torch.equal(cut, f[..., : math.ceil(75 / s), : math.ceil(101 / s)])
    assert segments.shape == (1, 3, *ODD)


def test_trying_a_size_changes_no_statistics_and_no_random_numbers():
    backbone = Backbone("resnet18").train()
    backbone.model.bn1.eval()
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    random = torch.get_rng_state()
    assert backbone.fits((96, 128))
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert backbone.model.layer1.training
    assert not backbone.model.bn1.training


def test_images_that_are_too_large_for_a_model_of_one_size_are_refused_with_it():
    with pytest.raises(DataError, match=r"mixer_s32_224 refuses images of 256x96 px .*at most 224x224"):
        Backbone("mixer_s32_224")(torch.rand(1, 3, 250, 96))


def test_images_too_small_for_the_decoder_are_refused_with_the_least_size():
    net = SegmentationNet(Backbone("resnet18"), num_classes=2)
    with pytest.raises(DataError, match=r"too small, 32x64 px \(height x width\): both sides need 33 px"):
        net(torch.rand(1, 3, 32, 64))
    assert net.eval()(torch.rand(1, 3, 33, 64)).shape == (1, 2, 33, 64)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown backbone 'resnet81'\. Did you mean 'resnet\d+'"):
        Backbone("resnet81")


def test_segmentation_gives_full_size_logits():
    net = SegmentationNet(Backbone("mobilenetv3_small_050"), num_classes=5)
    assert net(torch.rand(1, 3, 96, 64)).shape == (1, 5, 96, 64)
    assert list(net.decoder.heads) == ["0"]


def test_levels_that_are_no_pyramid_are_refused():
    with pytest.raises(ConfigError, match="strides 12, 17, which do not divide each other"):
        Backbone("crossvit_tiny_240")


def test_errors_at_the_size_of_the_model_are_not_explained_away(monkeypatch):
    backbone = Backbone("test_resnet")
    side = backbone.model.default_cfg["input_size"][-1]

    def fail(*args, **options):
        raise RuntimeError("a real mistake")

    monkeypatch.setattr(backbone.model, "forward_intermediates", fail)
    with pytest.raises(RuntimeError, match="a real mistake"):
        backbone(torch.rand(1, 3, side, side))


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError, IndexError])
@pytest.mark.parametrize(
    "words", ["a real mistake", "expected Float but found Half", "can't allocate memory"]
)
def test_errors_that_are_not_of_the_size_pass_through_at_any_size(monkeypatch, error, words):
    backbone = Backbone("test_resnet")
    compute = backbone.model.forward_intermediates

    def fail(images, *args, **options):
        if images.any():
            raise error(words)
        return compute(images, *args, **options)  # sizes are tried on empty images

    monkeypatch.setattr(backbone.model, "forward_intermediates", fail)
    with pytest.raises(error, match=words):
        backbone(torch.rand(1, 3, 64, 96))


def test_a_model_that_fails_at_every_size_is_not_said_to_refuse_one(monkeypatch):
    backbone = Backbone("test_resnet")

    def fail(*args, **options):
        raise RuntimeError("a broken kernel")

    monkeypatch.setattr(backbone.model, "forward_intermediates", fail)
    with pytest.raises(RuntimeError, match="a broken kernel"):
        backbone(torch.rand(1, 3, 64, 96))
