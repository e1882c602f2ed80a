from __future__ import annotations

import torch
from fake_tasks import FakeTask

from geopretrain.training.diagnostics import DiagnosticsWatch, LogAverages, Outcome, weights_are_finite


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


def ended(first_loss, loss, validation=(), growth=1.0, kept=""):
    """Return what is said of a training that ends with these numbers, interrupted and continued."""
    task, outcome = FakeTask(), Outcome()
    outcome.begin(task)
    for value in (first_loss, 1e9):  # only the first one counts
        outcome.add(torch.tensor(value))
    continued = Outcome()
    continued.load_state_dict(outcome.state_dict())
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.mul_(growth)
    return continued.sentences(task, loss, list(validation), kept)


def test_an_end_that_came_to_nothing_is_told():
    (said,) = ended(0.876, 48.0)
    assert "the loss ended at 48 and began at 0.876" in said
    (said,) = ended(1.0, 1.0, [2.0, 3.0, 9000.0])
    assert "the loss on held-out samples ended at 9e+03 and began at 2" in said
    (said,) = ended(7.0, 6.0, [7.0, 6.0], growth=400)
    assert "the weights are 400 times as large as at first" in said
    (said,) = ended(1.0, 1e6, [1.0, 1e7], growth=400)
    assert said.count("began at") == 2


def test_kept_weights_are_not_called_of_no_use():
    (said,) = ended(1.0, 1e6, kept="step 40")
    assert "Its last weights are of no use; those of step 40, the best by --monitor, are handed on" in said
    assert "Its weights are of no use" in ended(1.0, 1e6)[0]


def test_an_end_that_is_worse_or_begins_at_nothing_is_not_told():
    assert ended(1.0, 9.0, [1.0, 9.0], growth=20) == []
    assert ended(0.0, 2.0, [0.0, 2.0]) == []
    assert ended(1.0, 1.0, [1e6]) == []  # one validation alone has no beginning
    assert ended(-3.0, -5.0) == []
    empty = Outcome()
    empty.load_state_dict({})  # of a checkpoint of an earlier version
    assert empty.sentences(FakeTask(), 1e9, []) == []


def test_what_is_true_to_the_end_is_said_again_there():
    watch, task = DiagnosticsWatch(), FakeTask()
    watch.new_sentences(task, {"spread": 0.5}, 5)
    assert watch.at_end(task, {"spread": 0.5}, 5) == []  # it has just been said
    watch.new_sentences(task, {"spread": 0.25}, 9)
    assert watch.at_end(task, {"spread": 0.25}, 9) == [
        "To the end of the training: Spread is 0.250: look at it."
    ]
    assert watch.at_end(task, {"spread": 0.5}, 1) == []
