"""The main job through the command line, tiny: prepare, pretrain, finetune, predict; and kill -9."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import dying
import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import load_file

import geopretrain as gp
from geopretrain import cli

BACKBONE = "test_resnet"
SMALL = ["--backbone", BACKBONE, "--batch-size", "2", "--threads", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """One thread everywhere: quick beside other work, and the same sums in every process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    gp.prepare(["synthetic:street?frames=32&seed=1"], folder / "store", size=(64, 96), progress=False)
    return folder


def command(capsys, *words):
    code = cli.main([str(word) for word in words])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def pretrain_words(work, out, steps=4):
    words = ["pretrain", "monodepth", "--data", work / "store", "--out", out, "--steps", steps, *SMALL]
    return [str(w) for w in [*words, "--checkpoint-every", "2", "--log-every", "3"]]


@pytest.fixture(scope="module")
def depth_run(work):
    assert cli.main(pretrain_words(work, work / "runs/depth")) == 0
    return work / "runs/depth"


@pytest.fixture(scope="module")
def segmentation_run(work, depth_run):
    words = ["finetune", "segmentation", "--data", "synthetic:street", "--init", depth_run, "--labels", "3"]
    words += ["--out", work / "runs/seg", "--steps", "4", "--batch-size", "2", "--size", "64x96"]
    assert cli.main([str(w) for w in [*words, "--curve-points", "2", "--threads", "1"]]) == 0
    return work / "runs/seg"


def test_pretrain_leaves_the_run_folder_of_the_design(depth_run):
    names = {path.name for path in depth_run.iterdir()}
    assert names == {
        *("config.yaml", "lineage.json", "backbone.safetensors", "model.safetensors", "metrics.jsonl"),
        *("results.json", "weights.json", "figures", "checkpoints", "tensorboard", ".geopretrain"),
    }
    assert list((depth_run / "figures").glob("*.png"))
    assert (depth_run / "checkpoints/last.ckpt").is_file()
    lineage = json.loads((depth_run / "lineage.json").read_text())
    assert lineage["method"] == "monodepth"
    assert lineage["backbone"] == BACKBONE
    assert lineage["normalisation"] == {"mean": [0.45] * 3, "std": [0.225] * 3}
    assert [ancestor["kind"] for ancestor in lineage["chain"]] == ["random"]
    assert {"geopretrain", "torch", "timm", "lightning"} <= set(lineage["versions"])


def test_timm_loads_the_backbone(depth_run):
    model = timm.create_model(BACKBONE, num_classes=0)
    result = model.load_state_dict(load_file(depth_run / "backbone.safetensors"), strict=True)
    assert not result.missing_keys
    assert not result.unexpected_keys


def test_depth_is_reported_beside_baselines_with_its_protocol(depth_run):
    depth = gp.RunFolder.open(depth_run).results["depth"]
    for kind in ("held_out", "in_sample"):
        assert depth[kind]["protocol"] == "dense-80-median"
        assert set(depth[kind]["baselines"]) == {"constant", "row_wise", "ground_ramp"}
        assert 0 < depth[kind]["baselines"]["constant"]["abs_rel"] < 5
        assert 0 < depth[kind]["abs_rel"] < 5
    assert gp.RunFolder.open(depth_run).results["validation"]["samples"] > 0


def test_finetune_reports_scores_curve_and_subset(segmentation_run, depth_run):
    run = gp.RunFolder.open(segmentation_run)
    results = run.results
    assert [point["step"] for point in results["curve"]] == [2, 4]
    assert results["curve"][-1]["miou"] == results["miou"]
    scored = [iou for iou in results["iou"].values() if iou is not None]
    assert results["miou"] == pytest.approx(np.mean(scored))
    assert "images of 'test' at 64x96" in results["protocol"]
    assert "variant of Lao" in results["per_image_protocol"]
    assert len(json.loads((segmentation_run / "subset.json").read_text())["names"]) == 3
    chain = run.lineage["chain"]
    assert [ancestor["kind"] for ancestor in chain] == ["random", "run"]
    assert chain[-1]["method"] == "monodepth"
    assert Path(chain[-1]["init"]) == depth_run


def test_each_command_prints_the_next(work, depth_run, capsys):
    out = command(capsys, *pretrain_words(work, work / "runs/again", steps=1), "--seed", "1")
    assert f"geopretrain finetune segmentation --data LABELLED_FOLDER --init {work / 'runs/again'}" in out


@pytest.mark.parametrize("kind", ["depth", "segmentation"])
def test_predict_draws_pictures_of_the_same_size(kind, request, tmp_path, capsys):
    run = request.getfixturevalue(f"{kind}_run")
    images = tmp_path / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (70, 111, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(images / "noise.png")
    Image.fromarray(pixels[..., 0]).save(images / "grey.png")
    command(capsys, "predict", run, images, "--out", tmp_path / "out")
    drawn = {path.name: np.asarray(Image.open(path)) for path in (tmp_path / "out").glob("*.png")}
    assert set(drawn) == {"noise.png", "grey.png"}
    for picture in drawn.values():  # classes have a legend below
        assert picture.shape[1:] == (111, 3)
        assert picture.shape[0] == 70 if kind == "depth" else picture.shape[0] > 70
    assert cli.main(["predict", str(run), str(images), "--out", str(tmp_path / "out")]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_predict_takes_every_nth_frame_of_a_video(segmentation_run, tmp_path, capsys):
    video = "synthetic:street?frames=24&seed=3"
    command(capsys, "predict", segmentation_run, video, "--out", tmp_path / "out", "--every", "10")
    drawn = (tmp_path / "out").glob("*.png")
    assert sorted(path.stem[-6:] for path in drawn) == ["000000", "000010", "000020"]


def test_a_run_is_repeated_from_its_configuration(depth_run, tmp_path, capsys):
    command(capsys, "pretrain", "--config", depth_run, "--out", tmp_path / "repeated")
    assert not differing(content(tmp_path / "repeated"), content(depth_run))


@pytest.mark.parametrize("mode", ["full", "frozen"])
def test_frozen_means_frozen(mode, depth_run, tmp_path):
    gp.finetune(
        data="synthetic:street",
        out=tmp_path / mode,
        init=depth_run,
        mode=mode,
        labels=2,
        steps=3,
        batch_size=2,
        size="64x96",
        threads=1,
        progress=False,
    )
    before, after = (load_file(folder / "backbone.safetensors") for folder in (depth_run, tmp_path / mode))
    same = [bool((before[name] == after[name]).all()) for name in before]
    assert all(same) == (mode == "frozen")


def content(run):
    """Return what has to be equal, bit for bit, between two runs that did the same."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "model": (run / "model.safetensors").read_bytes(),
        "backbone": (run / "backbone.safetensors").read_bytes(),
        "results": (run / "results.json").read_bytes(),
        "metrics": [{k: v for k, v in record.items() if k != "timing"} for record in records],
        "figures": {path.name: path.read_bytes() for path in (run / "figures").iterdir()},
    }


def differing(one, other):
    """Name what differs between two ``content()``s, without printing the bytes of weights and pictures."""
    names = [name for name in one if one[name] != other[name]]
    pictures = {n for n, _ in one["figures"].items() ^ other["figures"].items()}
    return names + sorted(pictures)


def dies_at(moment, words, out):
    """Run the command and check that it died (dying.py); at 0 it lives: return the moments it had."""
    script = [sys.executable, dying.__file__, str(moment), str(out), *words]
    ended = subprocess.run(script, capture_output=True, text=True, env=dict(os.environ))
    assert ended.returncode in (dying.KILLED if moment else (0,)), ended.stderr
    return 0 if moment else int(ended.stdout.rpartition("moments: ")[2])


def check_kills(work, name, words, moments):
    """Kill at each moment (a number, or a fraction of all there are), twice before the middle, and finish."""
    whole = work / f"{name}-whole"
    total = dies_at(0, words(whole), whole)
    for number, moment in enumerate(moments):
        killed = work / f"{name}-killed-{number}"
        at = max(1, round(moment * total))
        dies_at(at, words(killed), killed)
        if at < total / 2:
            dies_at(total // 4, [*words(killed), "--resume"], killed)
        assert cli.main([*words(killed), "--resume"]) == 0
        assert not differing(content(killed), content(whole))


def test_resume_after_kill_9_is_bit_identical(work):
    check_kills(work, "pretrain", lambda out: pretrain_words(work, out, steps=12), [0.4])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_resume_after_kill_9_at_any_moment(work, depth_run, seed):
    """Also while starting, saving the weights or measuring depth, and for fine-tuning."""
    draw = random.Random(seed)
    moments = [draw.random() for _ in range(5)]
    check_kills(work, f"any-{seed}", lambda out: pretrain_words(work, out, steps=24), moments)

    def words(out):
        given = ["finetune", "segmentation", "--data", "synthetic:street", "--init", depth_run]
        given += ["--labels", "4", "--out", out]
        given += ["--steps", "24", "--batch-size", "2", "--size", "64x96", "--checkpoint-every", "3"]
        return [str(w) for w in [*given, "--threads", "1"]]

    check_kills(work, f"finetune-{seed}", words, moments)


def test_resume_with_another_setting_names_it(work, depth_run, capsys):
    before = content(depth_run)
    assert cli.main([*pretrain_words(work, depth_run), "--resume", "--lr", "0.01"]) == 2
    assert "lr = 0.0003, you asked for 0.01" in capsys.readouterr().err
    assert cli.main(pretrain_words(work, depth_run)) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert cli.main([*pretrain_words(work, depth_run), "--init", str(depth_run)]) == 2
    assert "--init and --out are the same folder" in capsys.readouterr().err
    assert not differing(content(depth_run), before)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--backbone", "resnet19"], "resnet1"),
        (["--init", "imagnet"], "imagenet"),
        (["--size", "96x128"], "64x96"),
        (["--settings", "smothness=3"], "Did you mean 'smoothness'"),
        (["--settings", "min_depth=-1"], "min_depth"),
        (["--data", "no/such/video.mp4"], "no/such/video.mp4"),
    ],
)
def test_mistakes_leave_nothing_behind(work, tmp_path, capsys, words, sentence):
    out = tmp_path / "run"
    assert cli.main([*pretrain_words(work, out), *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert not out.exists()


def test_weights_of_another_backbone_and_foreign_files_are_refused(work, depth_run, tmp_path, capsys):
    words = [
        "finetune",
        "segmentation",
        "--data",
        "synthetic:street",
        "--out",
        str(tmp_path / "run"),
        "--size",
        "64x96",
    ]
    assert cli.main([*words, "--init", str(depth_run), "--backbone", "resnet18"]) == 2
    assert BACKBONE in capsys.readouterr().err
    (tmp_path / "foreign.pth").write_bytes(b"\x80\x04cos\nsystem\n(S'touch proof'\ntR.")
    assert cli.main([*words, "--init", str(tmp_path / "foreign.pth")]) == 2
    assert "foreign.pth" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert not Path("proof").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_place_is_said_before_training(work, tmp_path, capsys):
    tmp_path.chmod(0o500)
    try:
        assert cli.main(pretrain_words(work, tmp_path / "run")) == 2
        assert "read-only" in capsys.readouterr().err
    finally:
        tmp_path.chmod(0o700)
