"""A method that learns from video beside the labels, by command: what is read, kept, resumed, refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from fake_tasks import Crash, samples
from safetensors.torch import load_file
from stopping import CrashAfter

import geopretrain as gp
from geopretrain.errors import ConfigError, DataError, OptionError, RunFolderError
from geopretrain.runs.loading import load_task
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.training.stream import BatchStream, JointSamples, sample_indices

SMALL = {"backbone": "test_resnet", "batch_size": 2, "threads": 1, "precision": "fp32", "progress": False}
LABELS = {"data": "synthetic:street", "labels": 4, "size": "64x96", "curve_points": 1, "device": "cpu"}
STORE = "synthetic:street?frames=12&seed={}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video") / "store"
    return gp.prepare(STORE.format(1), folder, size=(64, 96), progress=False).path


@pytest.fixture(scope="module")
def depth(tmp_path_factory, store):
    out = tmp_path_factory.mktemp("depth") / "run"
    return gp.pretrain("monodepth", data=store, out=out, steps=1, device="cpu", **SMALL).path


def train(out, store, **options):
    usual = {"auxiliary": "monodepth", "auxiliary_data": store, "steps": 4, "checkpoint_every": 2}
    return gp.finetune_segmentation(out=out, **{**SMALL, **LABELS, **usual, **options})


def test_a_step_reads_both_kinds_each_in_an_order_of_its_own():
    labelled = samples(lambda i: np.asarray(i), positions=range(3))
    video = samples(lambda i: 100 + np.asarray(i), positions=range(10))
    both = JointSamples(labelled.data, labelled.positions, labelled.fields, frames=video)
    stream = iter(BatchStream(both, 4, seed=5, first_step=2, parts=2))
    parts = [next(stream) for _ in range(2)]
    read = np.concatenate([part.labelled for part in parts])
    frames = np.concatenate([part.frames for part in parts])
    assert np.array_equal(read, sample_indices(2, 4, 3, 5))
    assert np.array_equal(frames, 100 + sample_indices(2, 4, 10, 5))
    assert [len(one) for one in both.batches(2)] == [2, 1], "what looks at all images sees the labelled ones"
    assert both.read(np.arange(2)).frames.tolist() == [100, 101]
    checked = []
    for one in (labelled, video):
        one.data.check = lambda rows, fields: checked.append(len(rows))
    both.check()
    assert checked == [3, 10]


@pytest.mark.parametrize(
    ("batch", "of_video", "parts"), [(8, 4, 2), (8, 2, 2), (8, 8, 4), (6, 3, 3), (5, 2, 1)]
)
def test_fewer_of_the_video_are_the_same_for_each_part(batch, of_video, parts):
    labelled = samples(lambda i: np.asarray(i), positions=range(9))
    video = samples(lambda i: 100 + np.asarray(i), positions=range(10))
    both = JointSamples(labelled.data, labelled.positions, labelled.fields, video, of_video)
    stream = iter(BatchStream(both, batch, seed=5, parts=parts))
    steps = [[next(stream) for _ in range(parts)] for _ in range(3)]
    assert {len(part.frames) for step in steps for part in step} == {of_video // parts}
    seen = np.concatenate([part.frames for step in steps for part in step]) - 100
    assert np.array_equal(seen, np.concatenate([sample_indices(s, of_video, 10, 5) for s in range(3)]))
    read = np.concatenate([part.labelled for step in steps for part in step])
    assert np.array_equal(read, np.concatenate([sample_indices(s, batch, 9, 5) for s in range(3)]))


def test_the_outcome_is_a_segmenter_that_goes_on_bit_for_bit(tmp_path, store, depth):
    whole = train(tmp_path / "whole", store, init=depth, auxiliary_weight=0.1)
    (row,) = whole.metrics("train")[-1:]
    assert row["loss"] == pytest.approx(row["cross_entropy"] + 0.1 * row["auxiliary_loss"], rel=1e-5)
    assert type(load_task(whole)) is Segmentation
    assert {name.split(".")[0] for name in load_file(whole.path / "model.safetensors")} == {
        "backbone",
        "decoder",
    }
    told = json.loads((whole.path / "weights.json").read_text())
    loaded = told["loaded"]
    assert told["skipped"] == [], "what the segmentation has no use for, the other has"
    assert any(name.startswith("auxiliary_decoder.heads.") for name in loaded)
    assert any(name.startswith("auxiliary_pose.") for name in loaded)
    beside = whole.lineage["beside"]["auxiliary_data"]
    assert (beside["method"], beside["weight"]) == ("monodepth", 0.1)

    with pytest.raises(Crash):
        train(tmp_path / "broken", store, init=depth, auxiliary_weight=0.1, callbacks=[CrashAfter(3)])
    moved = shutil.copytree(store, tmp_path / "moved")
    resumed = gp.finetune_segmentation(resume=tmp_path / "broken", auxiliary_data=moved, progress=False)
    assert resumed.trained_steps == 4
    one, other = (load_file(run.path / "model.safetensors") for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)

    shutil.copytree(tmp_path / "broken", tmp_path / "other")
    (tmp_path / "other" / "results.json").unlink()
    another = gp.prepare(STORE.format(2), tmp_path / "another", size=(64, 96), progress=False).path
    with pytest.raises(RunFolderError, match="other content in --auxiliary-data"):
        gp.finetune_segmentation(resume=tmp_path / "other", auxiliary_data=another, progress=False)


@pytest.mark.slow
def test_several_devices_compute_what_several_parts_do(tmp_path, store, depth):
    mixed = {"depth_from": depth, "settings": {"depth_mix": 0.5}, "batch_size": 4, "steps": 3}
    parts = train(tmp_path / "parts", store, accumulate=2, **mixed)
    both = train(tmp_path / "both", store, devices=2, **mixed)
    one, other = (load_file(run.path / "model.safetensors") for run in (parts, both))
    for name, value in one.items():
        if "running_" not in name and "num_batches" not in name:  # which each process counts for itself
            torch.testing.assert_close(value, other[name])


def test_without_it_nothing_is_another(tmp_path, store):
    """The weights differ from a run without it, whose lineage knows of nothing beside."""
    alone = gp.finetune_segmentation(out=tmp_path / "alone", steps=2, **SMALL, **LABELS)
    joint = train(
        tmp_path / "joint",
        store,
        steps=2,
        auxiliary="scdepth",
        auxiliary_settings={"jitter": 0.5},
        auxiliary_batch_size=1,
    )
    assert alone.lineage["beside"] == {}
    one, other = (load_file(run.path / "backbone.safetensors") for run in (alone, joint))
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])
    assert joint.config["auxiliary_settings"] == {"jitter": 0.5}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "frozen"}, OptionError, "with mode frozen it learns nothing"),
        ({"settings": {"head": "linear"}}, OptionError, "with mode frozen it learns nothing"),
        ({"backbone_lr": 0}, OptionError, "with --backbone-lr 0 it learns nothing"),
        ({"as_released": True}, OptionError, "nothing that the released script knows"),
        ({"strategy": "fsdp"}, OptionError, "whole network on each device"),
        (
            {"auxiliary": "moco"},
            OptionError,
            r"learns depth \(monodepth, scdepth, depth_supervised\), not moco",
        ),
        ({"auxiliary": "monodept"}, ConfigError, "Unknown auxiliary 'monodept'"),
        ({"auxiliary": None}, OptionError, "auxiliary is missing"),
        ({"auxiliary_data": None}, OptionError, "auxiliary_data is missing"),
        ({"auxiliary_batch_size": 3}, OptionError, r"must be at most batch_size \(2\); it is 3"),
        ({"auxiliary_batch_size": 1, "accumulate": 2}, OptionError, "a multiple of the 2 parts"),
        ({"auxiliary_settings": {"scale": 1}}, ConfigError, "Unknown setting 'scale' of monodepth"),
        (
            {"auxiliary": "depth_supervised", "auxiliary_settings": {"target": "pseudo_depth"}},
            DataError,
            "teacher",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, store, options, error, words):
    with pytest.raises(error, match=words):
        train(tmp_path / "run", store, **options)
    assert not (tmp_path / "run").exists()


def test_single_images_are_no_video(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (96, 64), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    for method, data in (("monodepth", f"images:{tmp_path / 'images'}"), ("monodepth", tmp_path / "images")):
        with pytest.raises(DataError):
            train(tmp_path / "run", data, auxiliary=method)


def test_a_dilated_backbone_is_refused(tmp_path, store):
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(OptionError, match="head=deeplabv3 dilates the backbone"):
        train(tmp_path / "run", store, backbone="resnet18", settings={"head": "deeplabv3"})
