"""Every example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import backbone_in_pytorch
import few_labels
import labelled_reader
import lightning_classifier
import pytest
import smp_segmentation
import torch
import torchvision_detection
from PIL import Image
from safetensors.torch import load_file

import geopretrain as gp
from geopretrain.runs.folder import RunFolder

FOLDER = Path(__file__).parents[1] / "examples"
SMALL = {"backbone": "test_resnet", "size": (64, 96), "steps": 2, "labels": 2, "seeds": 2}


def script(name: str, *words: object) -> str:
    """Run an example as a user does, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, FOLDER / name, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What ``few_labels.py`` leaves, small."""
    out = tmp_path_factory.mktemp("few-labels")
    sentence = few_labels.main(out, "synthetic:street?frames=24&seed=1", **SMALL)
    return out, sentence


def test_the_whole_job(done):
    out, sentence = done
    assert "With 2 labelled images" in sentence
    assert (out / "comparison" / "report.html").is_file()
    assert list((out / "pictures").iterdir())
    assert RunFolder.open(out / "segmentation").lineage["chain"][-1]["method"] == "monodepth"


def test_a_backbone_in_plain_pytorch(done, tmp_path):
    Image.new("RGB", (50, 40), "red").save(tmp_path / "red.png")
    features = backbone_in_pytorch.main(done[0] / "depth", tmp_path / "red.png")
    assert features[-1].shape[-2:] == (192 // 32, 320 // 32)
    source = (FOLDER / "backbone_in_pytorch.py").read_text()
    assert "import geopretrain" not in source
    assert "from geopretrain" not in source


def test_a_backbone_in_other_libraries(done, tmp_path):
    """The encoder of a U-Net, a detector, and a classifier that Lightning trains."""
    for name in ("left/a.png", "left/b.png", "right/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (50, 40), "red").save(tmp_path / name)
    run = done[0] / "depth"
    classes = smp_segmentation.main(run, tmp_path / "left" / "a.png", classes=5)
    assert classes.shape == (1, 192, 320)
    losses = torchvision_detection.main(run)
    assert {"loss_classifier", "loss_box_reg", "loss_objectness"} <= losses.keys()
    model = lightning_classifier.main(run, tmp_path, size=64, steps=2)
    assert model.head.out_features == 2
    before = gp.backbone(run).state_dict()["conv1.0.weight"]
    assert not torch.equal(model.backbone.state_dict()["conv1.0.weight"].cpu(), before)  # it was trained


def test_a_method_of_ones_own_is_trained_resumed_and_handed_on(done, tmp_path):
    """The ordinary command trains it; a backbone that it trained starts another method."""
    words = ["--data", done[0] / "store", "--out", tmp_path / "masked", "--backbone", "test_resnet"]
    words += ["--batch-size", "2", "--device", "cpu", "--settings", "hidden=0.5"]
    said = script("masked_autoencoding.py", *words, "--steps", "3")
    assert "geopretrain finetune segmentation" in said
    run = RunFolder.open(tmp_path / "masked")
    assert run.config["settings"] == {"hidden": 0.5}
    assert list(run.figures.glob("*.png"))
    script("masked_autoencoding.py", "--resume", "--out", tmp_path / "masked")
    again = gp.pretrain(
        "monodepth", data=done[0] / "store", out=tmp_path / "depth", init=run.path, backbone="test_resnet",
        steps=1, batch_size=2, device="cpu",
    )  # fmt: skip
    assert again.lineage["chain"][-1]["method"] == "masked"
    assert (
        load_file(run.path / "backbone.safetensors").keys()
        == load_file(again.path / "backbone.safetensors").keys()
    )


def test_a_layout_of_ones_own(tmp_path):
    data = labelled_reader.write_stripes(tmp_path / "stripes")
    words = ["finetune", "segmentation", "--data", data, "--out", tmp_path / "run", "--labels", "4"]
    script("labelled_reader.py", *words, "--backbone", "test_resnet", "--steps", "2", "--batch-size", "2")
    assert set(RunFolder.open(tmp_path / "run").results["iou"]) == {"left", "right"}


@pytest.mark.slow
def test_the_processes_of_a_comparison_know_a_reader_of_ones_own(tmp_path):
    data = labelled_reader.write_stripes(tmp_path / "stripes")
    words = [
        "compare",
        "--data",
        data,
        "--out",
        tmp_path / "comparison",
        "--inits",
        "random,random2",
        "--jobs",
        "2",
    ]
    words = [w if w != "random,random2" else f"random,{_weights(tmp_path)}" for w in words]
    small = [
        "--backbone",
        "test_resnet",
        "--steps",
        "2",
        "--batch-size",
        "2",
        "--labels",
        "4",
        "--seeds",
        "2",
    ]
    script("labelled_reader.py", *words, *small, "--modes", "full", "--lr", "0.001")
    assert (tmp_path / "comparison" / "report.html").is_file()


def _weights(folder: Path) -> Path:
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("test_resnet").state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def test_every_example_is_listed_and_run_here():
    listed = (FOLDER / "README.md").read_text()
    here = Path(__file__).read_text()
    for path in FOLDER.glob("*.py"):
        assert f"`{path.name}" in listed
        assert path.stem in here
