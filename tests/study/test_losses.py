from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest

from geopretrain.runs.folder import RunFolder
from geopretrain.study.losses import POINTS, log_every, losses_of, mean_losses


def run_with(folder, losses, every=1):
    folder.mkdir()
    lines = [{"kind": "train", "step": every * (k + 1), "loss": loss} for k, loss in enumerate(losses)]
    lines.insert(1, {"kind": "validation", "step": 1, "loss": 9.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return RunFolder(folder)


def test_long_trainings_keep_points_spread_over_all_of_it(tmp_path):
    losses = [1 / (k + 1) for k in range(1000)]
    found = losses_of(run_with(tmp_path / "run", losses, every=10))
    assert len(found) == POINTS
    assert (found[0], found[-1]) == ((10, 1.0), (10_000, 0.001))
    gaps = {b - a for (a, _), (b, _) in pairwise(found)}
    assert gaps <= {100, 110}
    assert losses_of(run_with(tmp_path / "short", [3.0, math.nan, 2.0])) == [(1, 3.0), (3, 2.0)]
    assert losses_of(RunFolder(tmp_path / "none")) == []


def test_few_steps_are_logged_more_often_and_many_as_ever():
    assert [log_every(steps) for steps in (1, 3, 40, 199, 200, 20_000)] == [1, 1, 2, 9, 10, 10]


def test_means_are_over_the_trainings_of_a_row():
    trials = [
        {"init": "a", "mode": "full", "labels": 4, "losses": [(1, 3.0), (2, 2.0)]},
        {"init": "a", "mode": "full", "labels": 4, "losses": [(1, 5.0)]},
        {"init": "b", "mode": "full", "labels": 4},
    ]
    (found,) = mean_losses(trials)
    assert (found["init"], found["labels"], found["steps"]) == ("a", 4, [1, 2])
    assert found["means"] == [4.0, 2.0]
    assert found["sds"] == [pytest.approx(math.sqrt(2)), None]
