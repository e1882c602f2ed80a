"""Runs in the formats of others, through the command line; the lines printed to load them are run here."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

import geopretrain as gp
from geopretrain import cli
from geopretrain.errors import WeightsError
from geopretrain.exporting.formats import FORMATS
from geopretrain.exporting.monodepth2_folder import _normalised
from geopretrain.exporting.subject import nameless
from geopretrain.exporting.torchvision_file import TWINS, in_order, torchvision_model
from geopretrain.networks import Backbone
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.weights import monodepth2, parse_init, read_metadata
from geopretrain.weights.timm_model import check_plain

SMALL = {"steps": 1, "batch_size": 2, "threads": 1, "device": "cpu", "progress": False}
IMAGES = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "street"
    return gp.prepare("synthetic:street?frames=12", out, size=(64, 96), progress=False)


@pytest.fixture(scope="module")
def depth(store):
    return gp.pretrain(data=store.path, out=store.path.parent / "depth", backbone="resnet18", **SMALL)


@pytest.fixture(scope="module")
def small(store):
    """A depth run whose backbone nobody but timm has."""
    return gp.pretrain(data=store.path, out=store.path.parent / "small", backbone="test_resnet", **SMALL)


@pytest.fixture(scope="module")
def masked(store):
    """A run that predicts nothing."""
    return gp.pretrain(
        "simmim", data=store.path, out=store.path.parent / "masked", backbone="test_vit", **SMALL
    )


@pytest.fixture(scope="module")
def classes(small):
    data, out = "synthetic:street", small.path.parent / "classes"
    return gp.finetune_segmentation(data=data, init=small.path, labels=2, size=(64, 96), out=out, **SMALL)


@pytest.fixture(scope="module")
def flow(store):
    out = store.path.parent / "flow"
    return gp.pretrain("geometric_flow", data=store.path, out=out, backbone="test_resnet", **SMALL)


def export(run, *words: object) -> int:
    return cli.main(["export", str(run.path), *map(str, words)])


def loaded(said: str) -> torch.nn.Module:
    """Run the lines that were printed, and return their ``model``."""
    names: dict[str, object] = {}
    exec(said.partition("To load it:\n")[2], names)
    return names["model"].eval()  # type: ignore[union-attr]


def opened(run):
    return gp.load(run, device="cpu")


def features_of(run, images=IMAGES):
    backbone = opened(run).backbone
    return backbone.model.eval()(backbone.normalise(images))


# ---- backbones
@torch.no_grad()
@pytest.mark.parametrize("form", ["timm", "hub-folder", "torchvision"])
def test_a_backbone_is_loaded_by_the_lines_that_are_printed(form, depth, tmp_path, capsys):
    assert export(depth, "--format", form, "--out", tmp_path / "out") == 0
    model, expected = loaded(capsys.readouterr().out), features_of(depth)
    normalised = opened(depth).backbone.normalise(IMAGES)
    torch.testing.assert_close(model(normalised), expected)
    if form != "torchvision":
        assert isinstance(model, timm.models.resnet.ResNet)
        told = {name: list(model.pretrained_cfg[name]) for name in ("mean", "std")}
        assert told == depth.lineage["normalisation"]


def test_timms_file_has_its_names_and_says_where_it_comes_from(small, tmp_path):
    file = gp.export(small, format="timm", out=tmp_path / "backbone.safetensors", progress=False)
    assert file == tmp_path / "backbone.safetensors"
    plain = timm.create_model("test_resnet", num_classes=0)
    plain.load_state_dict(load_file(file), strict=True)
    told = read_metadata(file)
    assert json.loads(told["lineage"])["method"] == "monodepth"
    assert told["backbone"] == "test_resnet"
    model = gp.backbone(file)  # and is taken as weights again
    for name, tensor in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    ["mobilenetv2_100", *(pytest.param(n, marks=pytest.mark.slow) for n in ("convnext_tiny", "densenet121"))],
)
def test_twins_compute_the_same(name):
    backbone = Backbone(name).eval()
    for layer in backbone.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    model, _ = torchvision_model(TWINS[name])
    model.load_state_dict(in_order(backbone.model.state_dict(), model.state_dict()))
    torch.testing.assert_close(model(IMAGES), backbone.model(IMAGES))
    with pytest.raises(gp.WeightsError, match="has not the layers"):
        in_order(timm.create_model("test_resnet", num_classes=0).state_dict(), model.state_dict())


def test_plain_timm_does_not_know_models_of_others():
    check_plain("resnet18.a1_in1k")
    with pytest.raises(gp.ConfigError, match=r"registered by geopretrain.*--format safetensors"):
        check_plain("geopretrain_swinv2_mini")


def test_torchvision_has_few_twins(small, masked, tmp_path, capsys):
    assert export(small, "--format", "torchvision", "--out", tmp_path / "out") == 2
    assert re.search(
        r"no model with the very layers of test_resnet.*resnet18, resnet34", capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_the_card_tells_lineage_data_protocols_and_licences_and_no_folders(classes, tmp_path):
    folder = gp.export(classes, format="hub-folder", out=tmp_path / "hub", progress=False)
    card = (folder / "README.md").read_text()
    assert "random -> monodepth (small) -> segmentation" in card
    assert classes.lineage["data_fingerprint"] in card
    assert f"{classes.results['miou']:.4g} | {classes.results['protocol']}" in card
    assert "patent" in card
    assert 'timm.create_model("local-dir:hub", pretrained=True)' in card
    assert str(classes.path.parent) not in card
    assert str(tmp_path) not in card
    assert str(classes.path.parent) not in read_metadata(folder / "model.safetensors")["lineage"]
    assert card.startswith("---\nlibrary_name: timm\n")


class FakeApi:
    """The hub, as far as pushing needs it."""

    calls: ClassVar[list[tuple]] = []

    def __init__(self, **more):
        pass

    def create_repo(self, name, **more):
        self.calls.append(("create", name, more["private"]))
        return f"https://hub/{name}"

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, commit_message):
        self.calls.append(("upload", repo_id, sorted(allow_patterns)))
        assert all((Path(folder_path) / name).is_file() for name in allow_patterns)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("geopretrain.exporting.hub_folder.why_unreachable", lambda: None)
    monkeypatch.setattr(FakeApi, "calls", [])
    return FakeApi


def test_a_hub_folder_is_pushed(small, tmp_path, hub, capsys):
    words = ["--format", "hub-folder", "--out", tmp_path / "out", "--push", "me/streets", "--private"]
    assert export(small, *words) == 0
    files = ["README.md", "config.json", "model.safetensors"]
    assert hub.calls == [("create", "me/streets", True), ("upload", "me/streets", files)]
    assert "https://hub/me/streets" in capsys.readouterr().out
    assert '"hf-hub:me/streets"' in (tmp_path / "out" / "README.md").read_text()


def test_what_cannot_be_pushed_is_said_before_anything_is_written(small, tmp_path, hub, monkeypatch, capsys):
    out = tmp_path / "out"

    def refused(match, *words):
        assert export(small, "--out", out, *words) == 2
        assert re.search(match, capsys.readouterr().err)
        assert not out.exists()

    refused("--push must be OWNER/NAME", "--format", "hub-folder", "--push", "streets")
    refused("Only a hub-folder can be pushed", "--format", "timm", "--push", "me/streets")
    monkeypatch.setattr(
        "geopretrain.exporting.hub_folder.why_unreachable", lambda: "the hub cannot be reached"
    )
    refused("cannot be reached.*hf upload me/streets", "--format", "hub-folder", "--push", "me/streets")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    refused("no token.*HF_TOKEN", "--format", "hub-folder", "--push", "me/streets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("HF_HUB_OFFLINE", "--format", "hub-folder", "--push", "me/streets")


def test_a_hub_that_refuses_leaves_the_folder(small, tmp_path, hub, monkeypatch, capsys):
    monkeypatch.setattr(hub, "create_repo", lambda *a, **k: (_ for _ in ()).throw(OSError("403 Forbidden")))
    assert export(small, "--format", "hub-folder", "--out", tmp_path / "out", "--push", "me/streets") == 2
    assert re.search("is complete, but the hub did not take it.*403 Forbidden", capsys.readouterr().err)
    assert (tmp_path / "out" / "model.safetensors").is_file()


# ---- whole networks
def test_the_released_files_of_monodepth2(depth, tmp_path, golden):
    folder = gp.export(depth, format="monodepth2", out=tmp_path / "out", progress=False)
    layout = json.loads((Path(__file__).parents[1] / "golden" / "monodepth2_networks.json").read_text())
    files = {name: torch.load(folder / name, weights_only=True) for name in monodepth2.FILES}
    assert files["encoder.pth"]["height"] == 64
    assert files["encoder.pth"]["width"] == 96
    names = ("ResnetEncoder18", "DepthDecoder_on_18", "PoseResnetEncoder18_2images", "PoseDecoder_on_18")
    for file, name in zip(monodepth2.FILES, names, strict=True):  # so that its scripts load strictly
        assert {row[0] for row in layout[name]} <= files[file].keys()
    again = Monodepth.create(MonodepthConfig(backbone="resnet18"), parse_init(folder))[0].eval()
    torch.testing.assert_close(again.predict(IMAGES).disparity, opened(depth).task.predict(IMAGES).disparity)


@torch.no_grad()
def test_another_normalisation_is_built_into_the_first_layer_of_monodepth2():
    torch.manual_seed(0)
    own = Backbone("resnet18", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)).eval()
    theirs = Backbone("resnet18").eval()
    theirs.model.load_state_dict(_normalised(dict(own.model.state_dict()), "", own))

    def first(backbone):
        return backbone.model.bn1(backbone.model.conv1(backbone.normalise(IMAGES)))[..., 2:-2, 2:-2]

    torch.testing.assert_close(first(theirs), first(own), atol=1e-5, rtol=1e-4)


def test_monodepth2_has_depth_only(classes, small, tmp_path, capsys):
    assert export(classes, "--format", "monodepth2", "--out", tmp_path / "out") == 2
    assert re.search("segmentation and has no depth network.*--format timm", capsys.readouterr().err)
    assert export(small, "--format", "monodepth2", "--out", tmp_path / "out") == 2
    assert re.search("knows resnet18.* and not test_resnet", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_one_file_gives_the_whole_network_again(classes, tmp_path):
    file = gp.export(classes, format="safetensors", out=tmp_path / "streets.safetensors", progress=False)
    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    found, expected = opened(file), opened(classes)
    assert found.size == expected.size == (64, 96)
    assert found.task.class_names == expected.task.class_names
    assert torch.equal(found.predict(picture).logits, expected.predict(picture).logits)
    with pytest.raises(gp.WeightsError, match="does not say which network"):
        gp.load(classes.path / "backbone.safetensors")


def run_onnx(file: Path, images: torch.Tensor, name: str = "images") -> list[torch.Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    return [torch.from_numpy(found) for found in session.run(None, {name: images.numpy()})]


@torch.no_grad()
def test_onnx_runs_on_other_sizes_and_numbers_of_images(small, tmp_path, capsys):
    words = ["--format", "onnx", "--part", "backbone", "--out", tmp_path / "small.onnx"]
    assert export(small, *words) == 0
    said = capsys.readouterr().out
    assert "any number of images, of any height and width of 33 px or more" in said
    assert re.search(
        r"run it on 2 of 33x33, 1 of 64x96, .* px; the largest difference from PyTorch is \d", said
    )
    for size in ((160, 64), (71, 50), (65, 97)):  # neither number nor size is among those compared before
        images = torch.rand(4, 3, *size)
        for found, expected in zip(
            run_onnx(tmp_path / "small.onnx", images),
            opened(small).backbone(images),
            strict=True,
        ):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ["small", "classes", "flow"])
def test_whole_networks_run_in_onnx_on_any_size(name, tmp_path, request):
    run = request.getfixturevalue(name)
    file = gp.export(run, format="onnx", out=tmp_path / "model.onnx", progress=False)
    frames, taken = ((2,), "frames") if name == "flow" else ((), "images")
    images, task = torch.rand(4, *frames, 3, 160, 64), opened(run).task
    expected = next(iter(vars(task.predict(images)).values()))
    torch.testing.assert_close(run_onnx(file, images, taken)[0], expected, atol=1e-5, rtol=1e-4)
    for height, width in ((33, 33), (71, 50), (65, 97), (63, 95)):  # one above, one below, and neither
        part = torch.rand(1, *frames, 3, height, width)
        expected = next(iter(vars(task.predict(part)).values()))
        assert expected.shape[-2:] == (height, width)
        torch.testing.assert_close(run_onnx(file, part, taken)[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_onnx_of_a_transformers_features(masked, tmp_path):
    file = gp.export(masked, format="onnx", part="backbone", out=tmp_path / "a.onnx", progress=False)
    for size in ((64, 160), (61, 77)):
        images = torch.rand(3, 3, *size)
        for found, expected in zip(run_onnx(file, images), opened(masked).backbone(images), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_a_program_of_torch_export(small, tmp_path, capsys):
    assert export(small, "--format", "torch-export", "--out", tmp_path) == 0
    program = torch.export.load(tmp_path / "model.pt2").module()
    for size in ((128, 64), (75, 101)):
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(program(images)[0], opened(small).task.predict(images).disparity)


def test_one_size_only_is_said(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timm.models.resnet.ResNet, "window_size", 7, raising=False)
    words = ["--format", "torch-export", "--size", "96x64", "--part", "backbone"]
    assert export(small, *words, "--out", tmp_path / "model.pt2") == 0
    said = capsys.readouterr().out
    assert "any number of images, of 96x64 px (height x width) only" in said
    assert "attends within windows" in said
    program = torch.export.load(tmp_path / "model.pt2").module()
    assert program(torch.rand(5, 3, 96, 64))[-1].shape[-2:] == (3, 2)


def test_a_run_that_predicts_nothing_has_a_backbone_to_export(masked, tmp_path, capsys):
    assert export(masked, "--format", "onnx", "--out", tmp_path / "model.onnx") == 2
    assert "--part backbone" in capsys.readouterr().err


# ---- what is wrong
def test_an_unfinished_run_is_refused(small, tmp_path, capsys):
    unfinished = tmp_path / "run"
    unfinished.mkdir()
    for name in ("config.yaml", "lineage.json", "model.safetensors"):
        (unfinished / name).write_bytes((small.path / name).read_bytes())
    assert cli.main(["export", str(unfinished), "--format", "timm", "--out", str(tmp_path / "out")]) == 2
    assert re.search("is not finished.*--resume", capsys.readouterr().err)


def test_nothing_of_others_is_replaced(small, tmp_path, capsys):
    file = tmp_path / "backbone.safetensors"
    assert export(small, "--format", "timm", "--out", file) == 0
    before = file.read_bytes()
    assert export(small, "--format", "timm", "--out", file) == 2
    assert "replace it with --overwrite" in capsys.readouterr().err
    assert export(small, "--format", "timm", "--out", file, "--overwrite") == 0
    assert file.read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert export(small, "--format", "hub-folder", "--out", tmp_path / "mine", "--overwrite") == 2
    assert "was not written by geopretrain" in capsys.readouterr().err


def test_folders_of_runs_and_stores_are_no_place(small, store, tmp_path, capsys):
    places = [
        small.path,
        small.path / "figures",
        small.path / "checkpoints",
        store.path,
        store.path / "depth",
    ]
    for place in places:
        for words in (["hub-folder", "--out", place], ["timm", "--out", place / "backbone.safetensors"]):
            assert export(small, "--format", *words, "--overwrite") == 2
            assert "folder of a run, a comparison or a store" in capsys.readouterr().err
    assert export(small, "--format", "hub-folder", "--out", small.path / "exported") == 0  # beside them


@pytest.mark.parametrize(("form", "out"), [("hub-folder", "hub"), ("timm", "files"), ("timm", "one.pth")])
def test_what_a_killed_export_left_is_in_nobodys_way(form, out, small, tmp_path, monkeypatch):
    def dies(*more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("geopretrain.commands.export.publish", dies)
        with pytest.raises(KeyboardInterrupt):
            gp.export(small, format=form, out=tmp_path / out, progress=False)
    assert list(tmp_path.iterdir()) == []
    beside = tmp_path / "files" if out == "files" else tmp_path
    name = "backbone.safetensors" if out == "files" else out
    left = beside / f".{name}.4194303.partial"  # what kill -9 leaves
    (left / ".geopretrain").mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    target = gp.export(small, format=form, out=tmp_path / out, progress=False)
    assert target.exists()
    assert not left.exists()
    assert gp.export(small, format=form, out=tmp_path / out, overwrite=True, progress=False) == target


def test_a_folder_is_there_whole_or_not_at_all(small, tmp_path, monkeypatch, capsys):
    def broken(subject, folder):
        raise WeightsError("timm makes something else of it.")

    monkeypatch.setattr("geopretrain.exporting.hub_folder._check", broken)
    assert export(small, "--format", "hub-folder", "--out", tmp_path / "hub") == 2
    assert "something else" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["timm", "torchvision"])
def test_a_file_of_pytorch_is_such_a_file(form, depth, tmp_path, capsys):
    assert export(depth, "--format", form, "--out", tmp_path / "backbone.pth") == 0
    assert (tmp_path / "backbone.pth").is_file()
    state = torch.load(tmp_path / "backbone.pth", weights_only=True)
    assert set(state) >= {"conv1.weight", "layer4.1.bn2.running_var"}
    loaded(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("form", "name", "match"),
    [
        ("hub-folder", "x.pth", "--out must be a folder for the format hub-folder, not the file .*x.pth"),
        ("monodepth2", "x.pth", "must be a folder"),
        ("onnx", "x.pth", r"ends in \.onnx, or a folder.*Use .*x\.onnx"),
        ("safetensors", "x.PTH", r"ends in \.safetensors, or a folder"),
        ("timm", "x.onnx", r"ends in \.safetensors or \.pth or"),
    ],
)
def test_no_folder_is_called_like_a_file(form, name, match, small, tmp_path, capsys):
    assert export(small, "--format", form, "--out", tmp_path / name) == 2
    assert re.search(match, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["timm", "hub-folder", "safetensors", "onnx", "torch-export"])
def test_nothing_exported_tells_folders_of_this_machine(form, small, tmp_path):
    gp.export(small, format=form, out=tmp_path / "out", progress=False)
    here = [str(path).encode() for path in (tmp_path, small.path.parent, Path(gp.__file__).parents[2])]
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        assert not [folder for folder in here if folder in content], path
    assert not (tmp_path / "out" / "config.yaml").exists()


def test_paths_within_settings_and_sentences_lose_their_folders():
    told = {"teacher": "/home/me/runs/depth", "size": "64x96", "unit": "1/m", "said": "see /data/my/a.png, b"}
    shown = nameless({**told, "deep": [("/a/b", 1.0)], "kept": ["synthetic:street", "images and/or 3/4"]})
    assert shown == {
        **told, "teacher": "depth", "said": "see a.png, b",
        "deep": [["b", 1.0]], "kept": ["synthetic:street", "images and/or 3/4"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--format", "onxx"], "--format must be one of .*Did you mean 'onnx'"),
        (["--format", "timm", "--part", "task"], "holds the backbone of a run, not its task"),
        (["--format", "timm", "--size", "64x64"], "has no size of images"),
        ([], "--format is missing"),
    ],
)
def test_options_that_do_not_fit(words, match, small, tmp_path, capsys):
    assert export(small, "--out", tmp_path / "out", *words) == 2
    assert re.search(match, capsys.readouterr().err)


def test_every_format_is_an_option():
    from typing import get_args

    from geopretrain.config.run_options import ExportOptions
    from geopretrain.schema import hints

    assert set(get_args(hints(ExportOptions)["format"])) == set(FORMATS)
