from __future__ import annotations

import torch
from fake_tasks import FakeTask

from geopretrain.training.diagnostics import DiagnosticsWatch, LogAverages, weights_are_finite


def test_averages_start_again_after_each_fetch():
    averages = LogAverages()
    for step, loss in enumerate((1.0, 2.0, 6.0), 1):
        averages.add(step, torch.tensor(loss), {"share": torch.tensor(loss / 10)})
    fetched = averages.fetch()
    assert fetched["loss"] == 3.0
    assert abs(fetched["share"] - 0.3) < 1e-6
    assert averages.fetch() == {}
    averages.add(4, torch.tensor(5.0), {})
    assert averages.fetch() == {"loss": 5.0}


def test_the_first_bad_step_is_known_later():
    averages = LogAverages()
    for step, loss in enumerate((1.0, float("inf"), float("nan"), 1.0), 1):
        averages.add(step, torch.tensor(loss), {})
    averages.fetch()
    assert averages.bad_step() == 2


def test_averages_can_be_carried_over_a_checkpoint():
    first, second = LogAverages(), LogAverages()
    first.add(1, torch.tensor(1.0), {})
    second.load_state_dict(first.state_dict(), torch.device("cpu"))
    second.add(2, torch.tensor(2.0), {})
    assert second.fetch() == {"loss": 1.5}


def test_a_sentence_is_said_once_even_if_its_numbers_change():
    watch, task = DiagnosticsWatch(), FakeTask()
    assert watch.new_sentences(task, {"spread": 0.5}, 1) == []
    assert watch.new_sentences(task, {"spread": 0.5}, 5) == ["Spread is 0.500: look at it."]
    assert watch.new_sentences(task, {"spread": 0.25}, 9) == []


def test_buffers_count_as_weights():
    task = FakeTask()
    assert weights_are_finite(task)
    task.net[1].running_var[3] = float("inf")
    assert not weights_are_finite(task)
