"""A training that begins with somebody else's file: its backbone, what is said, and what is kept."""

from __future__ import annotations

import json

import pytest
import timm
import torch

import geopretrain
from geopretrain import manifest
from geopretrain.errors import ConfigError
from geopretrain.study.inits import common_backbone, read_inits

SMALL = {"batch_size": 2, "threads": 1, "device": "cpu", "progress": False, "steps": 1, "precision": "fp32"}


@pytest.fixture
def moco(tmp_path):
    """A checkpoint of MoCo v2 without its last stage."""
    torch.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=0).state_dict()
    state = {f"module.encoder_q.{name}": tensor for name, tensor in network.items()}
    state |= {"module.queue": torch.ones(4, 8), "module.encoder_q.fc.0.weight": torch.ones(4, 4)}
    torch.save({"state_dict": state}, tmp_path / "moco.pth.tar")
    return tmp_path / "moco.pth.tar"


@pytest.fixture
def store(tmp_path):
    return geopretrain.prepare("synthetic:street?frames=6", tmp_path / "store", size=(64, 64), progress=False)


def test_the_backbone_is_told_and_the_table_kept(tmp_path, moco, store, capsys):
    loud = SMALL | {"progress": True}
    run = geopretrain.pretrain("inpainting", data=store.path, init=moco, out=tmp_path / "run", **loud)
    said = capsys.readouterr().out
    assert "look like resnet18: --backbone resnet18" in " ".join(said.split())
    assert "format: MoCo v1 or v2" in said
    assert run.lineage["backbone"] == "resnet18"
    assert run.lineage["normalisation"]["mean"] == [0.485, 0.456, 0.406]
    kept = json.loads((run.path / "weights.json").read_text())
    assert kept["format"].startswith("MoCo")
    assert "backbone.conv1.weight" in kept["loaded"]
    assert {"tensor": "queue", "reason": "queue of negatives"} in kept["skipped"]
    assert all(name.startswith("decoder.") for name in kept["reinitialised"])
    assert "weights.json" in manifest.listed(run.path)
    again = geopretrain.pretrain(
        "inpainting",
        data=store.path,
        init="random",
        out=run.path,
        overwrite=True,
        backbone="resnet18",
        **SMALL,
    )
    assert json.loads((again.path / "weights.json").read_text())["loaded"] == []


def test_a_part_of_a_backbone_is_warned_of(tmp_path, moco, store, caplog):
    content = torch.load(moco)
    content["state_dict"] = {n: t for n, t in content["state_dict"].items() if ".layer4." not in n}
    torch.save(content, moco)
    run = geopretrain.pretrain("inpainting", data=store.path, init=moco, out=tmp_path / "run", **SMALL)
    kept = json.loads((run.path / "weights.json").read_text())
    assert "only a part of resnet18" in kept["incomplete"]
    assert any(kept["incomplete"] in one.getMessage() for one in caplog.records if one.levelname == "WARNING")


def test_a_comparison_takes_the_backbone_of_files(tmp_path, moco):
    timm_file = tmp_path / "timm.pth"
    torch.save(timm.create_model("resnet18", num_classes=0).state_dict(), timm_file)
    inits = read_inits(["random", str(moco), str(timm_file)])
    assert common_backbone(None, inits) == "resnet18"
    torch.save(timm.create_model("resnet34", num_classes=0).state_dict(), timm_file)
    with pytest.raises(ConfigError, match=r"these look like: .*resnet18, .*resnet34"):
        common_backbone(None, read_inits(["random", str(moco), str(timm_file)]))
