"""A training that diverges ends with a sentence and its exit code, and never with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import geopretrain

METHODS = {
    "optical_flow": ["pretrain", "optical_flow"],
    "geometric_flow": ["pretrain", "geometric_flow"],
    "scdepth 1": ["pretrain", "scdepth"],
    "scdepth 1 as released": ["pretrain", "scdepth", "--settings", "as_released=true"],
    "scdepth 2": ["pretrain", "scdepth", "--settings", "version=2"],
    "scdepth 3": ["pretrain", "scdepth", "--settings", "version=3"],
    "monodepth": ["pretrain", "monodepth"],
    "monodepth, intrinsics learned": ["pretrain", "monodepth", "--settings", "learned_intrinsics=dataset"],
    "monodepth, stereo too": ["pretrain", "monodepth", "--settings", "supervision=both"],
    "depth_supervised": ["pretrain", "depth_supervised"],
    "finetune depth": ["finetune", "depth"],
    "finetune segmentation": ["finetune", "segmentation"],
}
LABELS = "synthetic:street?train=4&val=2&test=2"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Return the folder of a store of each size, with stereo pairs and depth by a teacher."""
    folder = tmp_path_factory.mktemp("diverging")
    for size in ("64x96", "96x128"):
        worlds = "synthetic:street?frames=10&stereo=1"
        geopretrain.prepare(worlds, folder / size, size=size, progress=False)
    return folder


def diverge(stores, method, size, precision):
    """Return exit code and last line of a training at an impossible rate, in a process of its own."""
    words = list(METHODS[method])
    if "segmentation" in words:
        words += ["--data", LABELS, "--size", size, "--labels", "4"]
    else:
        words += ["--data", str(stores / size), "--validate-every", "1"]
    words += ["--backbone", "test_resnet", "--steps", "12", "--log-every", "12", "--lr", "1000"]
    words += ["--batch-size", "2", "--precision", precision, "--device", "cpu", "--threads", "1"]
    out = stores / f"{method}-{size}-{precision}".replace(" ", "_")
    done = subprocess.run(
        [sys.executable, "-m", "geopretrain", *words, "--out", str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def check(stores, method, size, precision):
    code, said = diverge(stores, method, size, precision)
    assert said.startswith(("error: The loss", "error: The gradient")), said
    assert "is not a number any more at step" in said, said
    assert code == 2


def test_optical_flow_that_diverges_ends_with_a_sentence(stores):
    check(stores, "optical_flow", "64x96", "fp32")


@pytest.mark.slow
@pytest.mark.parametrize(("size", "precision"), [("64x96", "fp32"), ("96x128", "fp32"), ("96x128", "bf16")])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_that_diverges_ends_with_a_sentence(stores, method, size, precision):
    if method == "scdepth 3":
        teach(stores, size)
    check(stores, method, size, precision)


def teach(stores, size):
    """Give the store depth by a teacher, a run of a step."""
    teacher = stores / f"teacher-{size}"
    if teacher.exists():
        return
    run = geopretrain.pretrain(
        "scdepth", data=stores / size, out=teacher, backbone="test_resnet", steps=1, batch_size=2,
        device="cpu", threads=1, progress=False,
    )  # fmt: skip
    geopretrain.pseudo_depth(stores / size, run.path, progress=False, device="cpu")


@pytest.mark.parametrize("method", ["moco", "monodepth"])
def test_finite_weights_that_are_of_no_use_are_told_and_kept_in_the_results(stores, capsys, method):
    out = stores / f"useless-{method}"
    words = {"backbone": "test_resnet", "batch_size": 4, "device": "cpu", "threads": 1, "precision": "fp32"}
    lr = {"moco": 1000, "monodepth": 0.01}[method]
    run = geopretrain.pretrain(method, data=stores / "64x96", out=out, steps=3, lr=lr, **words)
    said = [line for line in capsys.readouterr().out.splitlines() if "has come to nothing" in line]
    if method == "monodepth":
        assert (said, "warnings" in run.results) == ([], False)
    else:
        assert (
            "times as large as at first. Its weights are of no use. Start again with a smaller --lr"
            in said[0]
        )
        assert run.results["warnings"] == said
