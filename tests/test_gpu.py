"""Methods and transfers on a GPU beside the processor, by the command line; skipped where there is none."""

from __future__ import annotations

import json
import math

import pytest
import torch
from fake_tasks import Crash, FakeBatch, FakeTask, crash_at, samples

import geopretrain
from geopretrain import cli
from geopretrain.runs.folder import RunFolder
from geopretrain.training.fit import fit
from geopretrain.training.settings import LoopSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

WORLDS = "synthetic:street?frames=16&stereo=1"
LABELS = "synthetic:street?train=6&val=2&test=2"
METHODS = {
    "monodepth": ["monodepth"],
    "monodepth, stereo too": ["monodepth", "--settings", "supervision=both"],
    "monodepth, intrinsics learned": ["monodepth", "--settings", "learned_intrinsics=dataset"],
    "scdepth 1": ["scdepth"],
    "scdepth 2": ["scdepth", "--settings", "version=2"],
    "geometric_flow": ["geometric_flow"],
    "optical_flow": ["optical_flow"],
    "depth_supervised": ["depth_supervised"],
    "simmim": ["simmim"],
    "mae": ["mae", "--backbone", "vit_tiny_patch16_224"],
    "cross_view": ["cross_view", "--backbone", "vit_tiny_patch16_224"],
    "moco": ["moco"],
    "dino": ["dino"],
    "inpainting": ["inpainting"],
    "segmentation": ["segmentation"],
}


DRAWN_ON_THE_DEVICE = ("another head", "detection")
"""Transfers with dropout, or with boxes that are learned from drawn there."""


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """No TF32, which rounds to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with a store of stereo pairs and depth, and a run of depth from the GPU."""
    folder = tmp_path_factory.mktemp("gpu")
    geopretrain.prepare(WORLDS, folder / "store", size=(64, 96), progress=False)
    run("pretrain", "monodepth", *frames(folder), "--out", folder / "depth", *brief())
    return folder


def run(*words):
    assert cli.main([*map(str, words), "--progress=false"]) == 0


def frames(work):
    return ["--data", work / "store"]


def brief(device="cuda", precision="auto", steps=3):
    words = ["--preset", "short", "--steps", steps, "--batch-size", 2, "--log-every", 1, "--threads", 1]
    return [*words, "--device", device, "--precision", precision]


def logged(folder):
    return [record["loss"] for record in RunFolder.open(folder).metrics("train")]


def words_of(method, work):
    name, *more = METHODS[method]
    backbone = [] if "--backbone" in more else ["--backbone", "test_resnet"]
    data = ["--data", LABELS, "--size", "64x96"] if name == "segmentation" else frames(work)
    return ["pretrain", name, *more, *backbone, *data]


def close(found, expected, rel):
    assert found == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_starts_with_the_loss_of_the_processor_and_goes_on(method, work, tmp_path):
    losses = {}
    for device, precision in (("cpu", "fp32"), ("cuda", "fp32"), ("cuda", "bf16"), ("cuda", "fp16")):
        out = tmp_path / f"{device}-{precision}"
        run(*words_of(method, work), "--out", out, *brief(device, precision))
        losses[device, precision] = logged(out)
        assert all(map(math.isfinite, losses[device, precision]))
    on_processor = losses["cpu", "fp32"]
    close(losses["cuda", "fp32"][0], on_processor[0], 1e-3)
    close(losses["cuda", "fp32"], on_processor, 0.05)
    for precision in ("bf16", "fp16"):
        close(losses["cuda", precision][0], on_processor[0], 0.05)


class OnDevice(FakeTask):
    """Draws on the device."""

    def train_transform(self, batch):
        images = batch.images.float() / 255
        return FakeBatch(images + 0.1 * torch.rand_like(images), batch.targets)

    def loss(self, batch, step):
        return (self.net(batch.images) - batch.targets).abs().mean(), {}


def test_a_training_that_was_cut_off_goes_on(tmp_path):
    def train(name, data, resume=False):
        folder = RunFolder.create(tmp_path / name, config={"command": "pretrain"}, resume=resume)
        settings = LoopSettings(
            steps=8, batch_size=4, lr=1e-2, checkpoint_every=3, log_every=2, device="cuda", precision="fp32"
        )
        task = OnDevice()
        fit(task, data, settings, folder, resume=resume)
        return task.state_dict()

    whole = train("whole", samples())
    with pytest.raises(Crash):
        train("broken", samples(crash_at(6)))
    for name, value in train("broken", samples(), resume=True).items():
        torch.testing.assert_close(value, whole[name], atol=1e-4, rtol=1e-3, msg=name)


TRANSFERS = {
    "all layers": ["segmentation"],
    "frozen": ["segmentation", "--mode", "frozen"],
    "another head": ["segmentation", "--settings", "head=deeplabv3plus"],
    "beside depth": ["segmentation", "--auxiliary", "monodepth", "--auxiliary-data", "{store}"],
    "mixed by depth": ["segmentation", "--depth-from", "{depth}", "--settings", "depth_mix=0.5"],
    "depth shown": ["segmentation", "--depth-from", "{depth}", "--settings", "depth_input=true"],
    "detection": ["detection", "--settings", "channels=8", "regions=8", "anchor=8"],
    "depth": ["depth"],
}


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_a_transfer_starts_with_the_loss_of_the_processor_and_goes_on(transfer, work, tmp_path):
    kind, *more = (word.format(store=work / "store", depth=work / "depth") for word in TRANSFERS[transfer])
    words = ["finetune", kind, *more, "--init", work / "depth", "--out"]
    data = frames(work) if kind == "depth" else ["--data", LABELS, "--size", "64x96", "--labels", 4]
    losses = []
    for device, precision in (("cpu", "fp32"), ("cuda", "fp32"), ("cuda", "auto")):
        run(*words, tmp_path / f"{device}-{precision}", *data, *brief(device, precision))
        losses.append(logged(tmp_path / f"{device}-{precision}"))
        assert all(map(math.isfinite, losses[-1]))
    on_processor, on_gpu, automatic = losses
    drawn = transfer in DRAWN_ON_THE_DEVICE
    close(on_gpu[0], on_processor[0], 0.03 if drawn else 1e-3)
    close(on_gpu, on_processor, 0.3 if drawn else 0.05)
    close(automatic[0], on_processor[0], 0.05)


@pytest.fixture(scope="module")
def segmenter(work):
    words = ["finetune", "segmentation", "--data", LABELS, "--size", "64x96", "--labels", 4]
    run(*words, "--init", work / "depth", "--out", work / "segmenter", *brief())
    return work / "segmenter"


COMMANDS = {
    "evaluate depth": ["evaluate", "{depth}", "{store}", "--out", "{out}"],
    "predict depth": ["predict", "{depth}", WORLDS, "--out", "{out}"],
    "predict classes": ["predict", "{segmenter}", WORLDS, "--out", "{out}"],
    "cka": ["analyse", "cka", "{depth}", "{segmenter}", "--data", "{store}", "--out", "{out}"],
    "activations": ["analyse", "activations", "{segmenter}", "--data", LABELS, "--out", "{out}"],
    "features": ["analyse", "features", "{depth}", "--data", LABELS, "--size", "64x96", "--out", "{out}"],
    "select": ["data", "select", "{store}", "--labels", "3", "--init", "{depth}", "--out", "{out}"],
    "advise": ["advise", "{store}", LABELS, "--size", "64x96"],
    "pseudo-depth": ["data", "pseudo-depth", "{store}", "--teacher", "{depth}"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_computes_on_the_gpu(command, work, segmenter, tmp_path):
    places = {
        "depth": work / "depth",
        "store": work / "store",
        "segmenter": segmenter,
        "out": tmp_path / "out",
    }
    run(*(word.format(**places) for word in COMMANDS[command]), "--device", "cuda")


def test_processes_share_the_gpu(work, tmp_path):
    words = [
        "compare",
        "--inits",
        "random",
        work / "depth",
        "--data",
        LABELS,
        "--size",
        "64x96",
        "--labels",
        4,
    ]
    run(
        *words,
        "--seeds",
        0,
        1,
        "--modes",
        "full",
        "--out",
        tmp_path,
        "--jobs",
        2,
        "--preset",
        "short",
        "--steps",
        4,
        "--device",
        "cuda",
    )
    trials = json.loads((tmp_path / "comparison.json").read_text())["trials"]
    assert len(trials) == 4
