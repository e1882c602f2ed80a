"""The whole way at a size that nothing divides: prepare, pre-train, evaluate, predict, fine-tune."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

import geopretrain as gp
from geopretrain.data.labelled.labelled_set import LabelledSet

ODD = (75, 101)
COMMON = {"backbone": "test_resnet", "device": "cpu", "progress": False, "preset": "tiny", "steps": 2}


def test_from_a_store_to_a_segmenter(tmp_path):
    store = tmp_path / "store"
    gp.prepare(["synthetic:street?frames=12&seed=1"], out=store, size=ODD, progress=False)
    run = gp.pretrain("monodepth", data=store, out=tmp_path / "depth", **COMMON)
    assert run.size == ODD
    scores = gp.evaluate(run.path, data=store, out=tmp_path / "scores", device="cpu", progress=False)
    assert np.isfinite(scores["abs_rel"])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 130, 3), dtype=np.uint8)).save(
        tmp_path / "picture.png"
    )
    (picture,) = gp.predict(
        run.path, [tmp_path / "picture.png"], out=tmp_path / "seen", device="cpu", progress=False
    )
    with Image.open(picture) as seen:
        assert seen.size == (130, 90)
    labelled = "synthetic:street?train=4&val=1&test=2"
    segmenter = gp.finetune_segmentation(
        data=labelled, init=run.path, out=tmp_path / "segments", size=ODD, labels=2, **COMMON
    )
    results = json.loads((segmenter.path / "results.json").read_text())
    assert "75x101" in results["protocol"]
    assert LabelledSet.open(labelled, size=ODD).read([0]).labels.shape == (1, *ODD)
