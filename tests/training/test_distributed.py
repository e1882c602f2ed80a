"""Several processes that train together are one: same samples, same numbers, one that writes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_tasks import samples
from lightning.pytorch.strategies import FSDPStrategy
from safetensors.torch import load_file
from side_by_side import Plain, train

import geopretrain
from geopretrain import ranks
from geopretrain.errors import ConfigError, OptionError
from geopretrain.runs.folder import RunFolder
from geopretrain.training.distributed import check_devices, strategy
from geopretrain.training.module import TrainingModule
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import BatchStream

HELPERS = Path(__file__).parents[1] / "helpers"


def settings(**changes):
    return LoopSettings(**{"steps": 2, "batch_size": 8, "lr": 0.1, **changes})


def test_processes_take_turns_at_the_parts_of_a_step():
    nine = samples(lambda i: i, positions=range(9))
    whole = iter(BatchStream(nine, 8, seed=5))
    both = [iter(BatchStream(nine, 8, seed=5, parts=4, rank=rank, processes=2)) for rank in (0, 1)]
    for _ in range(3):
        parts = [next(both[0]), next(both[1]), next(both[0]), next(both[1])]
        assert np.array_equal(next(whole), np.concatenate(parts))


def test_the_batch_of_a_step_must_be_divisible():
    assert settings(devices=2, num_nodes=2, accumulate=2).parts == 8
    with pytest.raises(OptionError, match="3 on each of 2 devices") as error:
        settings(devices=2, accumulate=3)
    assert error.value.name == "devices"


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"GEOPRETRAIN_PLACE": "1/2/29500"}, ranks.Place(1, 2, 1, 29500)),
        (
            {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"},
            ranks.Place(5, 8, 1),
        ),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "3"}, ranks.Place(3, 4, 3)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "bash"}, None),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, None),
    ],
)
def test_who_has_started_a_process_is_in_its_environment(environment, place, monkeypatch):
    for name in [
        name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_", "GEOPRETRAIN_P"))
    ]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ranks.place() == place


def test_another_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setenv("GEOPRETRAIN_PLACE", "1/2/0")
    assert ranks.place_among(2, 1) == ranks.Place(1, 2, 1)
    assert ranks.place_among(1, 1) is None, "a training of its own"
    assert ranks.follows(2, 1)
    with pytest.raises(ConfigError, match=r"2 processes were started together, and --devices 3"):
        ranks.place_among(3, 1)


def test_machines_need_a_launcher(monkeypatch):
    monkeypatch.setattr(ranks, "place", lambda: None)
    with pytest.raises(ConfigError, match="torchrun --nnodes 2 --nproc-per-node 4"):
        ranks.place_among(4, 2)


def test_what_needs_gpus_says_so():
    with pytest.raises(OptionError, match="fsdp divides a network among GPUs; on cpu use ddp"):
        check_devices(settings(strategy="fsdp"), "cpu")
    with pytest.raises(OptionError, match="works on GPUs only"):
        check_devices(settings(sync_batchnorm=True, devices=2), "cpu")
    with pytest.raises(OptionError, match="is 4, and this machine has one GPU"):
        check_devices(settings(devices=4), "mps")


def test_fsdp_keeps_one_file_and_refuses_what_it_would_tear_apart():
    task = Plain()
    found = strategy(settings(strategy="fsdp"), task, ranks.Ranks())
    assert isinstance(found, FSDPStrategy)
    assert found._state_dict_type == "full"

    class Following(Plain):
        def after_step(self, step):
            pass

    with pytest.raises(OptionError, match="moves one of them towards another"):
        strategy(settings(strategy="fsdp"), Following(), ranks.Ranks())


def test_groups_of_the_optimiser_are_those_of_whole_parameters():
    """Parts of divided parameters are vectors, which would not decay."""
    task = Plain()
    whole = TrainingModule(task, settings(weight_decay=0.1), 10)
    module = TrainingModule(task, settings(weight_decay=0.1, strategy="fsdp"), 10)
    expected = whole.configure_optimizers()["optimizer"].param_groups
    for parameter in task.parameters():
        parameter.data = parameter.data.flatten()
    groups = module.configure_optimizers()["optimizer"].param_groups
    assert [[id(p) for p in g["params"]] for g in groups] == [[id(p) for p in g["params"]] for g in expected]
    assert [g["weight_decay"] for g in groups] == [g["weight_decay"] for g in expected] == [0.0, 0.1]


def test_alone_nobody_is_asked():
    alone = ranks.Ranks()
    assert (alone.first, alone.largest(3), alone.mean(torch.ones(2)).tolist()) == (True, 3, [1.0, 1.0])
    alone.wait()


# ---- processes
def side_by_side(folder, steps, *words, processes=2):
    """Train the tiny task in processes that something else has started, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = Path(geopretrain.__file__).parents[1]
    shared = {
        **os.environ, "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": f"{source}{os.pathsep}{HELPERS}",
    }  # fmt: skip
    command = [
        sys.executable,
        str(HELPERS / "side_by_side.py"),
        str(folder),
        str(steps),
        str(processes),
        *words,
    ]
    started = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for rank in range(processes)
    ]  # fmt: skip
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes, said
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(processes)], said


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_processes_are_one_with_the_same_batch(tmp_path):
    (first, second), said = side_by_side(tmp_path / "two", 6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    task, alone = train(tmp_path / "one", 6)
    assert_close(first, task.state_dict())
    runs = RunFolder(tmp_path / "two"), alone
    losses, expected = ([r["loss"] for r in run.metrics("train")] for run in runs)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert "Training on" in said[0]
    assert "Training on" not in said[1], "only the first one speaks"


@pytest.mark.slow
def test_a_checkpoint_of_two_processes_continues_in_one_and_back(tmp_path):
    side_by_side(tmp_path / "run", 2)
    train(tmp_path / "run", 4, resume=True)
    (first, _), _ = side_by_side(tmp_path / "run", 6, "resume")
    task, _ = train(tmp_path / "one", 6)
    assert_close(first, task.state_dict())


# ---- the command, which starts its processes itself
STORE = "synthetic:street?frames=10&seed=1"


def pretrain(out, *words, method="monodepth", wait=True):
    command = [
        *(sys.executable, "-m", "geopretrain", "pretrain", method, "--data", STORE, "--size", "64x96"),
        *("--backbone", "test_efficientnet", "--steps", "4", "--batch-size", "4", "--precision", "fp32"),
        *("--threads", "1", "--device", "cpu", "--checkpoint-every", "1", "--log-every", "1"),
        *("--out", str(out), *words),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not wait:
        return process
    said, wrong = process.communicate()
    assert process.returncode == 0, wrong
    return said, wrong


def difference(one, other):
    """Return by how much weights differ, without batch-norm statistics."""
    first, second = (load_file(path / "model.safetensors") for path in (one, other))
    names = [n for n in first if not n.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    return max((first[name] - second[name]).abs().max().item() for name in names)


@pytest.mark.slow
def test_devices_compute_what_parts_of_a_step_are(tmp_path):
    """A method with random augmentation, batch statistics and layers that are not used."""
    said, wrong = pretrain(tmp_path / "two", "--devices", "2")
    assert wrong == ""
    assert said.count("Lineage:") == 1
    pretrain(tmp_path / "parts", "--accumulate", "2")
    assert difference(tmp_path / "two", tmp_path / "parts") < 1e-5
    assert (tmp_path / "two/results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "setting"), [("moco", "queue=16"), ("dino", "outputs=32")])
def test_queues_and_centres_are_those_of_all_processes(tmp_path, method, setting):
    pytest.importorskip("lightly")
    pretrain(tmp_path / "run", "--devices", "2", "--settings", setting, method=method)
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    if method == "moco":
        assert int(state["task_state"]["queue_place"]) == 0, "4 steps of 4 keys have filled the queue"


@pytest.mark.slow
def test_a_signal_stops_all_processes_after_the_same_step(tmp_path):
    process = pretrain(tmp_path / "run", "--devices", "2", "--steps", "5000", wait=False)
    until = time.monotonic() + 300
    while not (tmp_path / "run/checkpoints/last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    others = children.read_text().split() if children.exists() else []
    process.send_signal(signal.SIGTERM)
    _, wrong = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "To continue: geopretrain pretrain --resume" in wrong
    assert not [pid for pid in others if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are found in /proc")
def test_a_process_that_is_killed_ends_the_training_with_a_sentence(tmp_path):
    process = pretrain(tmp_path / "run", "--devices", "2", "--steps", "5000", wait=False)
    while not (tmp_path / "run/checkpoints/last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(child, signal.SIGKILL)
    _, wrong = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Process 2 of 2 of this training ended unexpectedly (killed" in wrong
    assert "continue with --resume" in wrong
