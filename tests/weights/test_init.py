"""random, imagenet, runs and files."""

from __future__ import annotations

import json
import re

import pytest
import timm
import torch

from geopretrain.errors import ConfigError, WeightsError
from geopretrain.networks import Backbone
from geopretrain.runs.loading import load_trained
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.transfer.segmentation import Segmentation, SegmentationConfig
from geopretrain.weights import (
    ancestors,
    backbone_of,
    backbone_state,
    export_state,
    init_backbone,
    load_weights,
    parse_init,
    read_tensors,
    save_tensors,
    save_weights,
)

SMALL = "mobilenetv3_small_050"


def make_run(folder, seed=3, backbone=SMALL, pose_backbone=None):
    torch.manual_seed(seed)
    task, _ = Monodepth.create(
        MonodepthConfig(backbone=backbone, pose_backbone=pose_backbone), parse_init("random")
    )
    task.depth_net.backbone.set_normalisation([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    save_weights(task, folder)
    lineage = {
        "backbone": backbone,
        "method": "monodepth",
        "normalisation": task.depth_net.backbone.normalisation,
        "init": "random",
        "chain": [{"init": "random", "kind": "random"}],
    }
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return task


def test_words_runs_and_files_are_told_apart(tmp_path):
    make_run(tmp_path)
    torch.save({"encoder.conv1.weight": torch.ones(1)}, tmp_path / "a.pth")
    (tmp_path / "official").mkdir()
    torch.save({}, tmp_path / "official" / "encoder.pth")
    found = [
        parse_init(t).kind
        for t in ("random", "imagenet", tmp_path, tmp_path / "a.pth", tmp_path / "official")
    ]
    assert found == ["random", "imagenet", "run", "file", "file"]


@pytest.mark.parametrize("text", ["randon", "runs/none", "weights.pth"])
def test_unknown_initialisations_are_refused(text):
    with pytest.raises(WeightsError, match=f"Unknown initialisation '{text}'"):
        parse_init(text)


def test_a_typing_error_gets_a_hint_and_a_folder_an_explanation(tmp_path):
    with pytest.raises(WeightsError, match="Did you mean 'imagenet'"):
        parse_init("imagnet")
    with pytest.raises(WeightsError, match="no finished run"):
        parse_init(tmp_path)


def test_a_run_gives_backbone_decoder_pose_and_normalisation(tmp_path):
    donor = make_run(tmp_path)
    torch.manual_seed(99)
    task, report = Monodepth.create(MonodepthConfig(backbone=SMALL), parse_init(tmp_path))
    assert all(torch.equal(t, export_state(donor)[name]) for name, t in export_state(task).items())
    assert task.depth_net.backbone.normalisation == {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    assert task.pose_net.backbone.normalisation["mean"] == [0.1, 0.2, 0.3]
    assert report.reinitialised == []
    assert report.skipped == []
    assert len(report.loaded) == len(export_state(donor))


def test_what_a_run_ended_with_is_told_to_who_begins_with_it(tmp_path):
    make_run(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({"warnings": ["The depth map is flat."]}))
    _, report = Monodepth.create(MonodepthConfig(backbone=SMALL), parse_init(tmp_path))
    assert report.warnings == ["its training ended with a warning: The depth map is flat."]
    assert report.warnings[0] in report.summary()
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(WeightsError, match=r"results\.json' cannot be read"):
        init_backbone(SMALL, parse_init(tmp_path))


def test_timm_loads_the_backbone_file_of_a_run(tmp_path):
    make_run(tmp_path)
    missing, unexpected = timm.create_model(SMALL).load_state_dict(
        read_tensors(tmp_path / "backbone.safetensors", strip=False), strict=False
    )
    assert unexpected == []
    assert set(missing) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("file", ["backbone.safetensors", "model.safetensors"])
def test_the_files_of_a_run_can_be_given_by_themselves(tmp_path, file):
    donor = make_run(tmp_path)
    backbone, report = init_backbone(SMALL, parse_init(tmp_path / file))
    expected = backbone_state(donor.depth_net.backbone)
    assert all(torch.equal(t, expected[name]) for name, t in backbone_state(backbone).items())
    assert backbone.normalisation["std"] == [0.4, 0.5, 0.6]
    assert report.warnings == []


def test_another_pose_backbone_is_taken_whole_or_not_at_all(tmp_path):
    make_run(tmp_path, pose_backbone="resnet18")
    _, report = Monodepth.create(
        MonodepthConfig(backbone=SMALL, pose_backbone="resnet34"), parse_init(tmp_path)
    )
    assert not any(name.startswith("pose.backbone.") for name in report.loaded)
    assert ("pose.backbone.conv1.weight", "made for another backbone") in report.skipped
    assert "pose.backbone.conv1.weight" in report.reinitialised


def test_runs_of_another_backbone_and_unfinished_runs_are_refused(tmp_path):
    make_run(tmp_path)
    with pytest.raises(WeightsError, match=f"has the backbone {SMALL}, not resnet18.*--backbone {SMALL}"):
        init_backbone("resnet18", parse_init(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="is not finished: it has no model"):
        init_backbone(SMALL, parse_init(tmp_path))
    (tmp_path / "lineage.json").write_text("{")
    with pytest.raises(WeightsError, match=r"lineage\.json' cannot be read"):
        init_backbone(SMALL, parse_init(tmp_path))


def test_foreign_files_get_timms_normalisation_and_say_so(tmp_path):
    torch.save({"state_dict": timm.create_model("resnet18").state_dict()}, tmp_path / "a.pth")
    backbone, report = init_backbone("resnet18", parse_init(tmp_path / "a.pth"))
    assert backbone.normalisation["mean"] == [0.485, 0.456, 0.406]
    assert "is assumed" in report.summary()


def test_the_chain_grows_with_every_run(tmp_path):
    make_run(tmp_path)
    assert ancestors(parse_init("imagenet")) == [{"init": "imagenet", "kind": "imagenet"}]
    chain = ancestors(parse_init(tmp_path))
    assert [step["kind"] for step in chain] == ["random", "run"]
    assert chain[1] == {"init": str(tmp_path), "kind": "run", "method": "monodepth", "backbone": SMALL}


def test_imagenet_without_network_says_what_to_do(monkeypatch):
    def offline(*_, pretrained, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("geopretrain.networks.hub.why_unreachable", lambda: None)
    with pytest.raises(WeightsError, match=r"no route to host\. They are downloaded.*--init random"):
        init_backbone("resnet18", parse_init("imagenet"))


def test_imagenet_brings_its_own_normalisation(monkeypatch):
    create = timm.create_model

    def without_download(name, pretrained, **options):
        assert pretrained
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", without_download)
    monkeypatch.setattr("geopretrain.networks.hub.why_unreachable", lambda: None)
    task, _ = Monodepth.create(MonodepthConfig(backbone="resnet18"), parse_init("imagenet"))
    for backbone in (task.depth_net.backbone, task.pose_net.backbone):
        assert backbone.normalisation == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def test_a_saved_task_is_loaded_whole(tmp_path):
    torch.manual_seed(0)
    task = Segmentation(
        SegmentationConfig(num_classes=5, backbone=SMALL), Backbone(SMALL, mean=(0.3, 0.2, 0.1))
    )
    save_weights(task, tmp_path, {"method": "segmentation"})
    twin = Segmentation(SegmentationConfig(num_classes=5, backbone=SMALL), Backbone(SMALL))
    load_weights(twin, tmp_path)
    assert all(torch.equal(t, task.state_dict()[name]) for name, t in twin.state_dict().items())
    with pytest.raises(WeightsError, match="lacks"):
        load_weights(
            Segmentation(SegmentationConfig(num_classes=6, backbone=SMALL), Backbone(SMALL)), tmp_path
        )


def test_unknown_backbones_are_refused_before_weights():
    with pytest.raises(ConfigError, match="Unknown backbone"):
        init_backbone("resnet_18", parse_init("random"))


def test_normalisation_of_a_file_is_used(tmp_path):
    donor = Backbone(SMALL)
    metadata = {"normalisation": json.dumps({"mean": [0, 0, 0], "std": [1, 1, 1]})}
    save_tensors(tmp_path / "a.safetensors", backbone_state(donor), metadata)
    backbone, _ = init_backbone(SMALL, parse_init(tmp_path / "a.safetensors"))
    assert backbone.normalisation == {"mean": [0.0] * 3, "std": [1.0] * 3}


def test_what_a_run_is_continued_from_is_no_weights_file(tmp_path):
    run = tmp_path / "run"
    make_run(run)
    (run / "checkpoints").mkdir()
    content = {"global_step": 1, "state_dict": {"task.depth_net.backbone.model.conv1.weight": torch.ones(1)}}
    torch.save(content, run / "checkpoints" / "last.ckpt")
    torch.save(content, tmp_path / "copied.ckpt")
    with pytest.raises(WeightsError, match=rf"continued from.* Give the run itself: {re.escape(str(run))}\."):
        backbone_of(parse_init(run / "checkpoints" / "last.ckpt"))
    with pytest.raises(WeightsError, match="Give the folder of the run it was made in"):
        backbone_of(parse_init(tmp_path / "copied.ckpt"))
    with pytest.raises(WeightsError, match="Give the run itself"):
        load_trained(run / "checkpoints" / "last.ckpt")
    (run / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=f"not finished: continue it with --resume {re.escape(str(run))}"):
        backbone_of(parse_init(run / "checkpoints" / "last.ckpt"))


def test_a_folder_of_timm_starts_a_run_and_is_no_network_that_predicts(tmp_path):
    original = make_run(tmp_path / "run").depth_net.backbone
    save_tensors(tmp_path / "model.safetensors", backbone_state(original))
    told = {"architecture": SMALL, "pretrained_cfg": original.normalisation}
    (tmp_path / "config.json").write_text(json.dumps(told))
    init = parse_init(tmp_path)
    assert backbone_of(init) == SMALL
    found, _ = init_backbone(SMALL, init)
    assert found.normalisation == original.normalisation
    for name, tensor in original.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor)
    with pytest.raises(WeightsError, match=r"holds a backbone.*geopretrain\.backbone"):
        load_trained(tmp_path)
