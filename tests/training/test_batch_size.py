"""``--batch-size auto``: the recipe's batch in as few parts as fit, and nothing else changes."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from fake_tasks import FakeTask, samples

from geopretrain.config.options import CompareOptions, PretrainOptions
from geopretrain.errors import ConfigError, OptionError
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.presets import Preset
from geopretrain.training import batch_size
from geopretrain.training.batch_size import fitted
from geopretrain.training.fit import fit
from geopretrain.training.memory import keep_freed_memory, peak_memory, usable_memory
from geopretrain.training.resolve import loop_settings, resolved
from geopretrain.training.settings import LoopSettings

GB = 10**9


@pytest.fixture
def machine(monkeypatch):
    """Return what sets a machine of so much memory, in which a step takes 1 GB and so much a sample."""

    def of(usable, each=0.1, base=1.0):
        taken = []

        def peak(work, device):
            work()
            return round((base + each * taken[-1]) * GB)

        def step(trial, size):
            taken.append(size)

        monkeypatch.setattr(batch_size, "usable_memory", lambda device: round(usable * GB / 0.8))
        monkeypatch.setattr(batch_size, "peak_memory", peak)
        monkeypatch.setattr(batch_size._Trial, "step", step)
        return taken

    return of


def settings(**changes):
    usual = {"steps": 6, "batch_size": 8, "lr": 1e-2, "precision": "fp32", "device": "cpu", "log_every": 2}
    return LoopSettings(**{**usual, **changes})


@pytest.mark.parametrize(
    ("usable", "changes", "parts"),
    [
        (100.0, {}, 1),
        (30.0, {}, 1),  # 1 + 25.6 GB
        (20.0, {}, 2),
        (5.0, {}, 8),
        (1.25, {}, 128),
        (100.0, {"accumulate": 4}, 4),
        (5.0, {"accumulate": 4}, 8),
        (10.0, {"devices": 2}, 4),  # 5 GB for each, which computes 128
    ],
)
def test_the_recipe_is_computed_in_as_few_parts_as_fit(usable, changes, parts, machine, caplog):
    caplog.set_level(logging.INFO, "geopretrain")
    taken = machine(usable)
    found = fitted(settings(batch_size=256, **changes), FakeTask(), samples(), "cpu")
    assert (found.batch_size, found.accumulate) == (256, parts)
    assert max(taken) <= 4, "large batches are not tried, but reckoned from small ones"
    assert "Batches of 256, the recipe's" in caplog.text
    assert (f"in {parts} parts of" in caplog.text) == (parts > 1)


def test_a_step_that_never_fits_is_refused(machine):
    machine(1.05)
    with pytest.raises(ConfigError, match=r"A step of a single sample takes 1.1 GB"):
        fitted(settings(batch_size=256), FakeTask(), samples(), "cpu")


def test_trying_leaves_no_trace():
    task, before = FakeTask(), torch.get_rng_state()
    task.eval()
    state = {name: value.clone() for name, value in task.state_dict().items()}
    np_state = np.random.get_state()[1].copy()
    found = fitted(settings(), task, samples(), "cpu")
    assert found == settings(), "so small a task fits whole"
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(np_state, np.random.get_state()[1])
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
    assert not task.training
    assert all(p.grad is None for p in task.parameters())
    assert (task.steps, task.trained_on) == ([], [])


def test_the_run_is_that_of_the_same_numbers_given_by_hand(tmp_path, machine):
    def train(name, chosen, task):
        run = RunFolder.create(tmp_path / name, config={"command": "pretrain"})
        fit(task, samples(), chosen, run)
        return task.state_dict()

    by_hand = train("hand", settings(accumulate=2), FakeTask())
    task = FakeTask()
    fitted(settings(), task, samples(), "cpu")  # for real
    machine(1.5)
    chosen = fitted(settings(), task, samples(), "cpu")
    assert chosen.accumulate == 2
    found = train("auto", chosen, task)
    assert all(torch.equal(value, found[name]) for name, value in by_hand.items())


def test_what_was_chosen_is_kept_as_numbers():
    options = PretrainOptions(data="d", out="o", batch_size="auto")
    loop = loop_settings(options, Preset(batch_size=256, steps=3), "cpu", 100, task=FakeTask())
    assert loop.batch_size == 256
    kept = resolved(loop)
    assert (kept["batch_size"], kept["accumulate"]) == (256, 1)
    with pytest.raises(OptionError, match="must be auto or a whole number"):
        PretrainOptions(data="d", out="o", batch_size="much")
    with pytest.raises(OptionError, match="a number, which all"):
        CompareOptions(inits="random,imagenet", data="d", out="o", batch_size="auto")


def test_memory_is_measured():
    def work():
        torch.ones(50_000_000).sum()

    keep_freed_memory()
    torch.ones(100_000_000).sum()  # more than the work will take, and kept by the process
    small, large = peak_memory(lambda: None, "cpu"), peak_memory(work, "cpu")
    assert large - small > 150_000_000
    assert usable_memory("cpu") > small
