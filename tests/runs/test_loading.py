"""Runs of earlier versions are read as the networks that they were."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from geopretrain.runs.loading import begun_task


def test_settings_that_are_options_of_every_training_now_keep_no_network_from_being_read():
    task = {"num_classes": 3, "backbone": "test_resnet", "mode": "full", "head": "linear", "backbone_lr": 0.1}
    lineage = {"command": "finetune segmentation", "method": "segmentation", "task": task}
    read = begun_task(SimpleNamespace(path=Path("run"), lineage=lineage))
    assert (read.config.head, read.config.num_classes) == ("linear", 3)
