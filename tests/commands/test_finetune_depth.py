from __future__ import annotations

import json

import pytest

import geopretrain
import geopretrain.data.store.frame_store
from geopretrain import ConfigError, UserError, cli

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
    written.unlink()
    geopretrain.finetune_depth(**options, **SMALL, resume=True)
    assert written.exists()
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


def test_what_contradicts_labels_is_refused(store):
    for options, message in (
        ({"labels": 3}, "add --supervision labels"),
        ({"labels": 3, "subset": "10%", "supervision": "labels"}, "Give one of them"),
        ({"supervision": "labels", "settings": {"crop": "640x640"}}, "does not fit"),
        ({"supervision": "labels", "settings": {"head": "other"}}, "deconv"),
        ({"supervision": "labels", "labels": 10_000}, "training split holds"),
    ):
        with pytest.raises(UserError, match=message):
            geopretrain.finetune_depth(data=store, out=store.parent / "no", **options, **SMALL)
