from __future__ import annotations

import json

import pytest
import torch

import geopretrain
import geopretrain.data.store.frame_store
from geopretrain import ConfigError, UserError, cli
from geopretrain.config.options import CompareOptions, FinetuneDepthOptions
from geopretrain.config.saved import read_saved
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.runs.loading import load_task
from geopretrain.study.contests.depth import DepthContest
from geopretrain.study.trials import Trial
from geopretrain.weights import read_tensors

SMALL = {"steps": 2, "batch_size": 2, "threads": 1, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("depth") / "street"
    geopretrain.prepare("synthetic:street?frames=16", path, size=(64, 96), progress=False)
    return path


@pytest.fixture(scope="module")
def first(store):
    return geopretrain.pretrain(data=store, out=store.parent / "first", backbone="test_resnet", **SMALL)


def _samples(run):
    return set(json.loads((run.path / "subset.json").read_text())["samples"])


def test_few_shot_transfer_is_nested_scored_and_knows_where_it_comes_from(store, first):
    runs = {
        share: geopretrain.finetune_depth(
            data=store, out=store.parent / share[:-1], init=first, subset=share, **SMALL
        )
        for share in ("30%", "60%")
    }
    few, many = (_samples(run) for run in runs.values())
    assert few < many
    assert len(many) < len(geopretrain.data.store.frame_store.FrameStore.open(store).train_samples)
    run = runs["30%"]
    assert [step["kind"] for step in run.lineage["chain"]] == ["random", "run"]
    (written,) = (run.path / "evaluation").glob("*.json")
    score = json.loads(written.read_text())
    assert (score["protocol"], score["frames"]) == ("dense-80-median", "held_out")
    assert score["abs_rel"] == pytest.approx(run.results["depth"]["held_out"]["abs_rel"])


def test_another_seed_takes_other_samples_and_resuming_a_finished_run_scores_it_again(store, first):
    options = {"data": store, "out": store.parent / "seed", "init": first, "subset": "40%", "subset_seed": 1}
    run = geopretrain.finetune_depth(**options, **SMALL)
    (written,) = (run.path / "evaluation").glob("*.json")
    without = {name: value for name, value in SMALL.items() if name != "device"}
    for lost in (written, written.with_name("config.yaml")):  # killed before it was scored, or in the midst
        before = lost.read_bytes()
        lost.unlink()
        geopretrain.finetune_depth(**options, **without, resume=True)
        assert lost.read_bytes() == before
    other = geopretrain.pretrain(
        data=store, out=store.parent / "other", init=first, subset="40%", subset_seed=2, **SMALL
    )
    assert _samples(run) != _samples(other)


def test_data_to_score_on_are_looked_at_before_training(store, tmp_path):
    for wrong in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UserError, match=str(wrong)):
            geopretrain.finetune_depth(data=store, out=tmp_path / "run", evaluate_data=wrong, **SMALL)
    assert not (tmp_path / "run").exists()


def test_what_cannot_work_is_said_before_training(store, tmp_path, capsys):
    with pytest.raises(ConfigError, match="--protocol kitti-eigen-garg-80-median"):
        geopretrain.finetune_depth(data=store, out=tmp_path, protocol="kitti-eigen-garg-80-stereo", **SMALL)
    with pytest.raises(ConfigError, match="one of mono, stereo, both"):
        geopretrain.finetune_depth(data=store, out=tmp_path, supervision="X", **SMALL)
    with pytest.raises(ConfigError, match="fraction such as 5%"):
        geopretrain.finetune_depth(data=store, out=tmp_path, subset="200", **SMALL)
    with pytest.raises(ConfigError, match="Did you mean 'depth'"):
        geopretrain.finetune("detph", data=store, out=tmp_path)
    assert cli.main(["finetune", "depth", "--help"]) == 0
    assert "--supervision" in capsys.readouterr().out


def test_depth_is_learned_from_few_labels_scored_and_resumed(store, first):
    labelled = {"data": store, "supervision": "labels", "init": first}
    settings = {"crop": "48x64", "max_depth": 60, "drop_path": 0.1}
    runs = [
        geopretrain.finetune_depth(
            out=store.parent / f"labels{labels}", labels=labels, settings=settings, **labelled, **SMALL
        )
        for labels in (2, 4)
    ]
    assert _samples(runs[0]) < _samples(runs[1])
    assert len(_samples(runs[1])) == 4
    assert runs[1].lineage["method"] == "depth"
    assert runs[1].config["supervision"] == "labels"
    scored = json.loads(next((runs[1].path / "evaluation").glob("*.json")).read_text())
    assert scored["meaning"] == "metric"
    assert scored["alignment"] == "not aligned"
    predicted = geopretrain.predict(runs[1], "synthetic:street?frames=2", store.parent / "p", progress=False)
    assert predicted
    again = geopretrain.finetune_depth(resume=runs[1].path, progress=False)
    assert again.path == runs[1].path


def test_the_decoder_of_a_depth_run_is_taken_where_the_head_is_the_same(store, first):
    begun = {
        head: geopretrain.finetune_depth(
            data=store,
            supervision="labels",
            init=first,
            labels=2,
            settings={"head": head},
            out=store.parent / head,
            **SMALL,
        )
        for head in ("multiscale", "deconv")
    }
    fresh = {
        h: json.loads((run.path / "weights.json").read_text())["reinitialised"] for h, run in begun.items()
    }
    assert fresh["multiscale"] == []
    assert fresh["deconv"]
    assert all(name.startswith("decoder.") for name in fresh["deconv"])


def test_without_labels_too_the_encoder_alone_may_be_handed_over(store, tmp_path):
    """Wang et al. hand over the encoder; with a decoder that learned flow depth would begin elsewhere."""
    first = geopretrain.pretrain("geometric_flow", data=store, out=tmp_path / "flow", **SMALL)
    taken = {}
    for mode in ("full", "encoder"):
        run = geopretrain.finetune_depth(data=store, init=first.path, mode=mode, out=tmp_path / mode, **SMALL)
        weights = json.loads((run.path / "weights.json").read_text())
        taken[mode] = {name.split(".")[0] for name in weights["loaded"]}
        said = {left["reason"] for left in weights["skipped"]}
        assert ("only the backbone is taken over" in said) == (mode == "encoder")
    assert taken == {"full": {"backbone", "decoder"}, "encoder": {"backbone"}}


@pytest.mark.parametrize(
    ("begun", "settings", "from_imagenet"),
    [
        ("imagenet", {}, True),
        ("imagenet", {"pose_init": "random"}, False),
        ("random", {}, False),
        ("random", {"pose_init": "imagenet"}, True),
    ],
)
def test_the_pose_network_begins_as_the_encoder_once_did(store, tmp_path, begun, settings, from_imagenet):
    """Against ImageNet, whose pose network begins with its weights, a run without one would stand badly."""
    options = {**SMALL, "steps": 1, "backbone": "tf_efficientnet_lite0"}
    first = geopretrain.pretrain("geometric_flow", data=store, init=begun, out=tmp_path / "flow", **options)
    run = geopretrain.finetune_depth(
        data=store, init=first.path, mode="encoder", out=tmp_path / "depth", settings=settings, **options
    )
    weights = json.loads((run.path / "weights.json").read_text())
    assert weights["besides"] == ["pose.backbone from ImageNet: 245 tensors"] * from_imagenet
    assert any(name.startswith("pose.backbone.") for name in weights["reinitialised"]) != from_imagenet
    again = geopretrain.finetune_depth(data=store, init=run.path, out=tmp_path / "again", **options)
    more = json.loads((again.path / "weights.json").read_text())
    assert more["besides"] == []
    assert any(name.startswith("pose.backbone.") for name in more["loaded"])


def test_what_contradicts_labels_is_refused(store):
    for options, message in (
        ({"labels": 3}, "add --supervision labels"),
        ({"mode": "frozen"}, "frozen goes with --supervision labels only"),
        ({"supervision": "labels", "settings": {"mode": "frozen"}}, "has an option of its own"),
        ({"labels": 3, "subset": "10%", "supervision": "labels"}, "Give one of them"),
        ({"label_list": "l.txt", "subset_seed": 1, "supervision": "labels"}, "label_list names them"),
        ({"supervision": "labels", "settings": {"crop": "640x640"}}, "does not fit"),
        ({"supervision": "labels", "settings": {"head": "other"}}, "deconv"),
        ({"supervision": "labels", "labels": 10_000}, "training split holds"),
    ):
        with pytest.raises(UserError, match=message):
            geopretrain.finetune_depth(data=store, out=store.parent / "no", **options, **SMALL)


@pytest.fixture(scope="module")
def frozen(store, first):
    return geopretrain.finetune_depth(
        data=store, supervision="labels", mode="frozen", init=first, out=store.parent / "frozen", **SMALL
    )


def test_a_frozen_encoder_stays_as_it_was_and_the_run_says_so(first, frozen):
    before, after = (read_tensors(one.path / "backbone.safetensors") for one in (first, frozen))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert (frozen.config["mode"], frozen.lineage["task"]["mode"]) == ("frozen", "frozen")


def test_a_comparison_shows_depth_with_its_errors_below_it(store, frozen):
    contest, opened = DepthContest(), FrameStore.open(store)
    options = CompareOptions(inits=("random",), data=str(store), out="x", task="depth", pictures=2)
    positions = contest.check_data(opened, options, 4, searches=False)
    assert len(positions) == 1  # of the frames that are held out
    settings = {"data": str(store)}
    trial = Trial(
        folder=str(frozen.path), init="first", source="", mode="frozen", seed=0, lr=1e-3, evaluate_on="test",
        curve=(2,), pictures=positions, settings=settings, task="depth",
    )  # fmt: skip
    kept = contest.predictions(frozen, trial)
    drawn, shown = contest.drawn(kept, opened), contest.shown(opened, "test", positions, settings)
    assert len(drawn) == len(shown) == 1
    for picture, (name, image, truth) in zip(drawn, shown, strict=True):
        assert name.startswith("street")
        assert image.shape == truth.shape
        assert picture.shape[0] > 2 * truth.shape[0]
        assert picture.shape[1] == truth.shape[1]
    assert {"curve", "abs_rel", "protocol"} <= set(contest.numbers(frozen, trial))


def test_runs_that_had_a_setting_for_a_fresh_decoder_are_read(store, first):
    run = geopretrain.finetune_depth(
        data=store, supervision="labels", mode="encoder", init=first, out=store.parent / "old", **SMALL
    )
    lineage = run.lineage
    lineage["task"] = {name: value for name, value in lineage["task"].items() if name != "mode"}
    lineage["task"]["decoder"] = "fresh"
    (run.path / "lineage.json").write_text(json.dumps(lineage))
    config = (run.path / "config.yaml").read_text()
    old = config.replace("mode: encoder\n", "").replace("settings: {}", "settings: {decoder: fresh}")
    assert old != config
    (run.path / "config.yaml").write_text(old)
    assert load_task(geopretrain.RunFolder.open(run.path)).config.mode == "encoder"
    saved = read_saved(run.path, "finetune depth", FinetuneDepthOptions)
    assert (saved["mode"], saved["settings"]) == ("encoder", {})
