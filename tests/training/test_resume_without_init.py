"""A run that is continued needs no more what it began with: its checkpoint holds all weights."""

from __future__ import annotations

import json
import shutil

import pytest

import geopretrain
from geopretrain.errors import WeightsError

SMALL = {"backbone": "test_resnet", "batch_size": 2, "threads": 1, "device": "cpu", "progress": False}
SMALL |= {"schedule": "constant", "precision": "fp32"}


def test_an_initialisation_that_is_gone_is_not_missed(tmp_path, capsys):
    store = geopretrain.prepare(
        "synthetic:street?frames=10", tmp_path / "store", size=(64, 64), progress=False
    )
    begun = geopretrain.pretrain(
        data=store.path, out=tmp_path / "begun", steps=1, init="random", seed=3, **SMALL
    )
    run = geopretrain.pretrain(data=store.path, out=tmp_path / "run", steps=2, init=begun.path, **SMALL)
    before = run.lineage
    shutil.copytree(run.path, tmp_path / "copy")
    with_init = geopretrain.pretrain(resume=run.path, steps=4, progress=False)
    shutil.rmtree(begun.path)
    without = geopretrain.pretrain(resume=tmp_path / "copy", steps=4)
    assert "its checkpoint holds all weights" in capsys.readouterr().out
    name = "model.safetensors"
    assert (without.path / name).read_bytes() == (with_init.path / name).read_bytes()
    for part in ("init", "chain", "normalisation"):
        assert json.dumps(without.lineage[part]) == json.dumps(before[part])
    with pytest.raises(WeightsError, match="no such run folder or weights file"):
        geopretrain.pretrain(data=store.path, out=tmp_path / "new", steps=1, init=begun.path, **SMALL)
