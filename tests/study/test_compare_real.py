"""A comparison with real trainings, as small as they get."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from geopretrain.commands.compare import compare


@pytest.fixture
def stripes(tmp_path):
    """Images whose class is their brightness."""
    root = tmp_path / "labelled"
    for number, (split, count) in enumerate((("train", 4), ("val", 1), ("test", 2))):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for k in range(count):
            labels = (np.add.outer(np.arange(64) // 16, np.arange(64) // 32) + k).astype(np.uint8) % 2
            Image.fromarray(np.repeat(labels[..., None] * (200 - 9 * number - k), 3, axis=2)).save(
                root / split / "images" / f"{k}.png"
            )
            Image.fromarray(labels).save(root / split / "labels" / f"{k}.png")
    (root / "classes.txt").write_text("dark\nbright\n")
    return root


@pytest.mark.slow
def test_same_initialisation_twice_gives_exactly_no_difference(stripes, tmp_path):
    """Two runs with equal settings hold equal weights, so every pair of trainings must agree to the bit."""
    from geopretrain.commands.finetune_segmentation import finetune_segmentation

    options = {"data": stripes, "size": "64x64", "steps": 1, "batch_size": 2, "progress": False}
    for name in ("one", "two"):
        finetune_segmentation(out=tmp_path / name, labels=2, seed=3, **options)
    comparison = compare(
        f"{tmp_path / 'one'},{tmp_path / 'two'}",
        out=tmp_path / "cmp",
        labels=2,
        seeds=2,
        modes="full",
        jobs=1,
        pictures=1,
        curve_points=1,
        **options,
    )
    (row,) = [row for row in comparison.rows if row.difference is not None]
    assert row.difference.values == (0.0, 0.0)  # same labels, order, flips and budget on both sides
    assert row.difference.verdict == "no spread"
    assert "'one' and 'two' hold the same weights" in comparison.results["cautions"][0]
    (entry,) = comparison.results["pictures"]
    picture = np.array(Image.open(tmp_path / "cmp" / entry["predictions"]["full"]["one"]))
    colours = {tuple(colour) for colour in comparison.results["classes"]["colours"]}
    assert {tuple(int(v) for v in pixel) for pixel in picture.reshape(-1, 3)} <= colours
    assert comparison.results["protocol"]["schedule"] == "cosine"


def test_a_complete_trial_has_no_checkpoint_and_its_numbers_can_be_had_from_its_run(stripes, tmp_path):
    from geopretrain.commands.finetune_segmentation import finetune_segmentation

    options = {"data": stripes, "size": "64x64", "steps": 1, "batch_size": 2, "progress": False}
    finetune_segmentation(out=tmp_path / "one", labels=2, backbone="test_resnet", **options)
    compared = {"out": tmp_path / "cmp", "labels": 2, "seeds": 2, "modes": "full", "jobs": 1, "pictures": 1}
    first = compare(f"random,{tmp_path / 'one'}", curve_points=1, **compared, **options)
    trials = tmp_path / "cmp" / "trials"
    assert len(list(trials.glob("*/model.safetensors"))) == 4
    assert not list(trials.rglob("*.ckpt"))
    before = (trials / "one-full-seed1" / "model.safetensors").stat().st_mtime_ns
    (trials / "one-full-seed1.json").unlink()
    again = compare(f"random,{tmp_path / 'one'}", curve_points=1, **compared, **options)
    assert again.rows == first.rows
    assert (trials / "one-full-seed1" / "model.safetensors").stat().st_mtime_ns == before


def test_what_is_kept_of_first_weights_is_kept_where_there_are_any(stripes, tmp_path):
    """A backbone of random numbers, and one that is frozen, are compared with as they are."""
    from geopretrain.commands.finetune_segmentation import finetune_segmentation
    from geopretrain.runs.folder import RunFolder

    options = {"data": stripes, "size": "64x64", "steps": 2, "batch_size": 2, "progress": False}
    finetune_segmentation(out=tmp_path / "one", labels=2, backbone="test_resnet", **options)
    compare(
        f"random,{tmp_path / 'one'}",
        out=tmp_path / "cmp",
        labels=2,
        seeds=2,
        jobs=1,
        pictures=1,
        curve_points=1,
        feature_distance=1.0,
        backbone_lr=0.5,
        **options,
    )
    trials = {
        path.stem: RunFolder.open(path.with_suffix("")) for path in (tmp_path / "cmp/trials").glob("*.json")
    }
    kept = {name: run.config["feature_distance"] for name, run in trials.items() if name.endswith("seed0")}
    assert kept == {
        "random-full-seed0": 0.0,
        "random-frozen-seed0": 0.0,
        "one-full-seed0": 1.0,
        "one-frozen-seed0": 0.0,
    }
    assert trials["one-full-seed0"].metrics("train")[-1]["feature_distance"] >= 0


def test_a_rate_that_is_too_high_is_told_and_its_files_take_no_space(stripes, tmp_path):
    from geopretrain.networks import Backbone
    from geopretrain.weights import save_tensors

    weights = Backbone("test_resnet").model.state_dict()
    save_tensors(tmp_path / "one.safetensors", {f"backbone.{name}": value for name, value in weights.items()})
    comparison = compare(
        f"random,{tmp_path / 'one.safetensors'}",
        data=stripes,
        out=tmp_path / "cmp",
        backbone="test_resnet",
        size="64x64",
        labels=2,
        seeds=2,
        search_seeds=1,
        steps=3,
        batch_size=2,
        lr="1e-3,1e9",
        modes="full",
        jobs=1,
        pictures=0,
        curve_points=1,
        progress=False,
    )
    assert comparison.results["failures"] == []
    for row in comparison.results["learning_rates"]:
        assert row["chosen"] == 1e-3
        assert [rate["diverged"] for rate in row["rates"]] == [0, 1]
    assert not [path for path in (tmp_path / "cmp" / "search").rglob("*") if path.suffix in (".ckpt", ".pt")]
