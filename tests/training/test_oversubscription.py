"""Threads that get no cores: advised against, or fewer of them tried and kept where they are faster."""

from __future__ import annotations

import re
import time

import pytest
import torch

from geopretrain.compute import fewer_threads_where_shared, may_use_fewer_threads
from geopretrain.training.oversubscription import PAUSE, STEPS, WARM_UP, ThreadWatch


class Machine:
    """A processor, beside other programs or not: step times and cores by the number of threads."""

    def __init__(self, monkeypatch, threads: int, steps: dict[int, tuple[float, float]]) -> None:
        self.wall = self.processor = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(time, "process_time", lambda: self.processor)
        self.threads, self.steps, self.done, self.used = threads, steps, 0, []

    def use(self, threads: int) -> None:
        self.threads = threads
        self.used.append(threads)

    def train(self, watch: ThreadWatch, steps: int) -> list[str]:
        said = []
        for _ in range(steps):
            seconds, cores = self.steps[self.threads]
            self.wall += seconds
            self.processor += seconds * cores
            self.done += 1
            said += [sentence] if (sentence := watch.after_step(self.done)) else []
        return said


def watch(machine: Machine, may_use_fewer: bool) -> ThreadWatch:
    made = ThreadWatch(machine.threads, machine.use if may_use_fewer else None)
    made.start(0)
    return made


BESIDE_THREE = {2: (7.5, 0.8), 1: (1.6, 0.5)}


def test_fewer_threads_are_tried_in_the_first_steps_and_kept_where_they_are_faster(monkeypatch):
    machine = Machine(monkeypatch, 2, BESIDE_THREE)
    said = machine.train(watch(machine, True), WARM_UP + 2 * STEPS + 1)
    assert machine.threads == 1
    (sentence,) = said
    assert "a step took 7.50 s with 2 threads and takes 1.60 s with 1." in sentence
    assert machine.train(watch(machine, True), 500) == []


def test_they_are_given_back_where_they_are_no_faster_and_not_tried_again_at_once(monkeypatch):
    machine = Machine(monkeypatch, 2, {2: (1.0, 1.4), 1: (1.1, 1.0)})
    assert machine.train(watch(machine, True), 60) == []
    assert machine.used == [1, 2]
    one = ThreadWatch(2, machine.use)
    one.start(machine.done)
    machine.train(one, WARM_UP + 3 * STEPS + PAUSE)
    assert machine.used == [1, 2, 1, 2]


def test_many_threads_go_down_step_by_step(monkeypatch):
    machine = Machine(monkeypatch, 8, {8: (4.0, 5.2), 5: (2.0, 3.4), 3: (1.0, 2.9)})
    said = machine.train(watch(machine, True), 40)
    assert machine.used == [5, 3]
    assert [re.findall(r"with (\d+)", sentence)[:2] for sentence in said] == [["8", "5"], ["5", "3"]]


@pytest.mark.parametrize(("cores", "advice"), [(1.3, 1), (1.5, 1), (0.4, 1)])
def test_where_the_number_has_to_stay_it_is_said_once_with_what_was_measured(monkeypatch, cores, advice):
    machine = Machine(monkeypatch, 2, {2: (7.5, cores)})
    (sentence,) = machine.train(watch(machine, False), 200)
    assert machine.used == []
    assert f"2 threads get {cores:.1f} cores and wait for each other, 7.50 s a step" in sentence
    assert f"--threads {advice} " in sentence


@pytest.mark.parametrize(("threads", "cores"), [(2, 1.97), (2, 1.7), (1, 0.5), (8, 7.0)])
@pytest.mark.parametrize("may_use_fewer", [True, False])
def test_a_process_that_has_its_cores_is_left_alone(monkeypatch, threads, cores, may_use_fewer):
    machine = Machine(monkeypatch, threads, {threads: (0.5, cores)})
    assert machine.train(watch(machine, may_use_fewer), 200) == []
    assert machine.used == []


def test_what_is_no_training_is_not_measured(monkeypatch):
    machine = Machine(monkeypatch, 2, {2: (0.4, 1.98)})
    one = watch(machine, True)
    for _ in range(10):
        machine.train(one, 3)
        with one.clock.leave_out():  # validation, on one core
            machine.wall += 30
            machine.processor += 30
    assert machine.used == []


def test_fewer_threads_are_for_those_who_asked_and_given_back():
    before = torch.get_num_threads()
    assert not may_use_fewer_threads()
    with fewer_threads_where_shared():
        assert may_use_fewer_threads()
        torch.set_num_threads(before + 1)
    assert not may_use_fewer_threads()
    assert torch.get_num_threads() == before
