"""Comparisons whose trainings run elsewhere: on a Ray cluster, machines of which die, and as SLURM jobs."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
import queueing
from comparing import train_nothing, write_labelled

from geopretrain import cli
from geopretrain.commands.compare import compare
from geopretrain.compute import visible_gpus
from geopretrain.config.launching import read_slurm
from geopretrain.errors import ConfigError, OptionError, UserError
from geopretrain.recipes.reproduce import reproduce
from geopretrain.study import worker
from geopretrain.study.launchers import Launch, local, reaching, run_jobs
from geopretrain.study.trials import Trial


@pytest.fixture
def labelled(tmp_path):
    return write_labelled(tmp_path / "labelled", {"train": 6, "val": 2, "test": 3})


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    train_nothing(monkeypatch)


def run(labelled, out, **options):
    usual = {"labels": 4, "seeds": 2, "steps": 60, "progress": False, "pictures": 0, "modes": ("full",)}
    variants = {"slow": {"init": "random", "backbone_lr": 0.1}}
    chosen = {"variants": variants, "backbone": "test_resnet", "device": "cpu", **usual, **options}
    return compare(["random"], data=labelled, out=out, **chosen)


def scores(comparison):
    return {(row.init, row.step): row.values for row in comparison.rows}


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two machines with one core each, in processes of this one."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    made.second = made.add_node(**small)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_ray_cluster_trains_what_this_machine_would(labelled, tmp_path, cluster, capsys):
    here = run(labelled, tmp_path / "here", jobs=1)
    there = run(labelled, tmp_path / "there", launcher="ray", address=cluster.address, progress=True)
    assert scores(there) == scores(here)
    assert "Ray: 2 machines, 2 cores, 0 GPUs." in capsys.readouterr().out
    again = run(labelled, tmp_path / "there", jobs=1)  # where it was trained does not matter
    assert scores(again) == scores(here)
    assert len((tmp_path / "there" / "calls.log").read_text().splitlines()) == 4


def test_trials_of_a_machine_that_dies_are_trained_on_another(labelled, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(worker, "RUNNER", "fake_runner:waits_for_word")
    out, found = tmp_path / "cmp", []
    begun = out / "begun.log"

    def lines():
        return begun.read_text().splitlines() if begun.exists() else []

    def compared():
        found.append(run(labelled, out, launcher="ray", address=cluster.address))

    working = threading.Thread(target=compared)
    working.start()
    _until(lambda: len({line.split("|")[2] for line in lines()}) == 2)  # one on each machine
    dead = cluster.second.node_id
    lost, process = next(line.split("|")[:2] for line in lines() if line.endswith(dead))
    cluster.remove_node(cluster.second, allow_graceful=False)
    _until(lambda: not Path("/proc", process).exists())
    (out / "word").write_text("go on")
    working.join(120)
    assert not working.is_alive()
    assert len(found[0].results["trials"]) == 4
    assert not found[0].results["failures"]
    where = [line.split("|")[2] for line in lines() if line.startswith(f"{lost}|")]
    assert where[0] == dead
    assert where[-1] != dead


def _until(true, seconds=90.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "the cluster does not begin"
        time.sleep(0.05)


def test_a_cluster_that_is_not_there_is_said(labelled, tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match="No Ray cluster can be reached at 'nowhere'"):
        run(labelled, tmp_path / "cmp", launcher="ray", address="nowhere")


def test_failures_on_a_cluster_do_not_end_the_others(labelled, tmp_path, cluster, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "slow, full, seed 1")
    import ray

    ray.init(cluster.address, runtime_env={"env_vars": {"FAKE_FAIL": "slow, full, seed 1"}})
    comparison = run(labelled, tmp_path / "cmp", launcher="ray")  # the connection that is there is used
    assert [failure["error"] for failure in comparison.results["failures"]] == ["the label x.png is bad"]
    assert len(comparison.results["trials"]) == 3
    assert ray.is_initialized()


def test_jobs_of_a_queue_train_what_this_machine_would(labelled, tmp_path):
    pytest.importorskip("submitit")
    here = run(labelled, tmp_path / "here", jobs=1)
    asked = {"executor": "local", "time": 5}
    there = run(labelled, tmp_path / "there", launcher="slurm", slurm=asked, jobs=2)
    assert scores(there) == scores(here)
    assert list((tmp_path / "there" / "slurm").glob("*_log.out"))
    run(labelled, tmp_path / "there", jobs=1, overwrite=True)  # what jobs have written is ours
    assert not (tmp_path / "there" / "slurm").exists()


def test_a_job_that_dies_is_a_failure_with_its_log(labelled, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("FAKE_KILL", "slow, full, seed 0")
    comparison = run(labelled, tmp_path / "cmp", launcher="slurm", slurm={"executor": "local"})
    (failure,) = comparison.results["failures"]
    assert failure["trial"] == "slow, full, seed 0"
    assert "ended unexpectedly" in failure["error"]
    assert Path(failure["error"].split("see ")[1]).exists()
    monkeypatch.delenv("FAKE_KILL")
    again = run(labelled, tmp_path / "cmp", jobs=1)
    assert not again.results["failures"]


def test_what_cannot_be_asked_of_a_queue_is_said(labelled, tmp_path):
    pytest.importorskip("submitit")
    with pytest.raises(ConfigError, match=r"'partitoin'\. Did you mean 'partition'"):
        run(labelled, tmp_path / "a", launcher="slurm", slurm={"partitoin": "gpu"})
    with pytest.raises(ConfigError, match=r"no sbatch and no srun here.*machine with sbatch"):
        run(labelled, tmp_path / "b", launcher="slurm", slurm={"partition": "gpu"})
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("time=2h", "time must be minutes such as 120, or HOURS:MINUTES:SECONDS"),
        ("time=-1", "time must be minutes"),
        ("time=0", "time must be minutes"),
        ("time=2:00", "time must be minutes"),
        ("time=0:00:00", "time must be minutes"),
        ("gpus=a100", "gpus must be a whole number of at least 0, or a kind and a number such as a100:1"),
        ("gpus=-1", "gpus must be a whole number"),
        ("cpus=x", "cpus must be a whole number of at least 1, not 'x'"),
        ("cpus=1.5", "cpus must be a whole number of at least 1, not 1.5"),
        ("mem=much", "mem must be a number with its unit"),
        ("partition=", "partition must be text, not None"),
        ("executor=debug", "executor must be slurm or local"),
    ],
)
def test_what_slurm_does_not_take_is_said_before_anything_is_written(tmp_path, capsys, asked, said):
    words = ["--launcher", "slurm", "--slurm", "executor=local", asked]
    compared = ["compare", "--inits", "random,random", "--data", "x", "--out", str(tmp_path / "cmp")]
    recipe = ["reproduce", "depth-to-semantic/table-1", "--tiny", "--out", str(tmp_path / "recipe")]
    for command in (compared, recipe):
        assert cli.main([*command, *words]) == 2
        assert f"--slurm {said}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_slurm_is_asked_for_is_read_in_its_own_words():
    times = {"90": 90, 90: 90, "2:00:00": 120, "0:00:30": 1, "1-12": 2160, "1-0:30": 1470, "1-00:00:01": 1441}
    assert {asked: read_slurm({"time": asked})["time"] for asked in times} == times
    assert read_slurm({"gpus": "a100:2", "mem": "16GB", "account": 12}) == {
        "gpus": "a100:2",
        "mem": "16GB",
        "account": "12",
    }


def test_a_recipe_says_what_it_cannot_launch_before_its_first_stage(tmp_path, monkeypatch):
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda name: None)
    for launcher in ("ray", "slurm"):
        with pytest.raises(ConfigError, match=rf"geopretrain\[{launcher}\]"):
            reproduce("depth-to-semantic/table-1", tiny=True, out=tmp_path / "out", launcher=launcher)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def queue(monkeypatch):
    """A login node without GPU, before a queue."""
    return queueing.stand_before(monkeypatch)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"slurm": {"gpus": 1, "time": 5}, "device": "auto"}, ("gpus_per_node", 1)),
        ({"slurm": {"gpus": "a100:1"}, "device": "auto"}, ("slurm_gres", "gpu:a100:1")),
        ({"slurm": {"time": "2:00:00"}, "device": "cuda"}, ("gpus_per_node", 1)),
    ],
)
def test_gpus_of_a_queue_are_used_though_the_login_node_has_none(
    labelled, tmp_path, monkeypatch, queue, options, parameter
):
    monkeypatch.setattr(worker, "resolve_device", lambda name: name)  # the machines of the queue have them
    comparison = run(labelled, tmp_path / "cmp", launcher="slurm", **options)
    assert len(comparison.results["trials"]) == 4
    assert comparison.results["protocol"]["device"] == "cuda"
    assert parameter in queue.asked[0].items()
    assert queue.asked[0].get("timeout_min", 5) == (120 if options["device"] == "cuda" else 5)


def test_a_job_without_the_gpu_it_was_to_have_fails_with_a_sentence(labelled, tmp_path, queue):
    with pytest.raises(UserError, match=r"the machine .* has no usable 'cuda' device; ask for machines"):
        run(labelled, tmp_path / "cmp", launcher="slurm", slurm={"gpus": 1}, device="auto")


def test_a_queue_without_gpus_is_computed_on_as_it_is(labelled, tmp_path, monkeypatch, queue):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    comparison = run(labelled, tmp_path / "cmp", launcher="slurm", slurm={"gpus": 0}, device="auto")
    assert comparison.results["protocol"]["device"] == "cpu"
    assert "gpus_per_node" not in queue.asked[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slurm": {"gpus": 1}, "device": "cpu"}, "asks for gpus, which --device cpu would leave idle"),
        ({"slurm": {"gpus": 0}, "device": "cuda"}, "says gpus=0, and --device cuda needs one"),
        ({"slurm": {"gpus": 1, "executor": "local"}, "device": "auto"}, "no usable 'cuda'"),
    ],
)
def test_gpus_that_would_be_idle_or_missing_are_refused(labelled, tmp_path, queue, options, said):
    with pytest.raises(ConfigError, match=said):
        run(labelled, tmp_path / "cmp", launcher="slurm", **options)
    assert not (tmp_path / "cmp").exists()


def test_what_no_machine_of_ones_own_has_is_refused(labelled, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=r"No machine of the Ray cluster has 1000 cores, .*less with --thr"):
        run(labelled, tmp_path / "cmp", launcher="ray", threads=1000)
    assert not (tmp_path / "cmp").exists()


def test_what_no_machine_of_a_cluster_has_yet_is_said(tmp_path, cluster, caplog):
    for device in ("cuda", "cpu"):
        launch = Launch("ray", "auto", device, tmp_path / "workers.log", address=cluster.address)
        caplog.clear()
        with reaching(launch):
            said = caplog.text
        assert ("has 1 core and a GPU, which each training takes" in said) == (device == "cuda")
        assert ("wait until one joins" in said) == (device == "cuda")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"address": "x:1"}, "is of --launcher ray"), ({"slurm": {"time": 1}}, "is of --launcher slurm")],
)
def test_options_of_another_launcher_are_refused(labelled, tmp_path, options, said):
    with pytest.raises(OptionError, match=said):
        run(labelled, tmp_path / "a", **options)


def test_a_missing_library_is_named(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda name: None)
    for launcher in ("ray", "slurm"):
        with pytest.raises(UserError, match=rf"geopretrain\[{launcher}\]"):
            run(labelled, tmp_path / launcher, launcher=launcher)


def test_what_is_saved_does_not_tie_a_comparison_to_a_launcher(labelled, tmp_path):
    pytest.importorskip("submitit")
    run(labelled, tmp_path / "cmp", launcher="slurm", slurm={"executor": "local"})
    results = json.loads((tmp_path / "cmp" / "comparison.json").read_text())
    assert "--launcher slurm" in results["protocol"]["command"]
    assert os.listdir(tmp_path / "cmp" / "trials")


TELLS_ITS_GPU = """
import os, time
from pathlib import Path

def run(trial, threads=None, device="auto"):
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    Path(f"{trial.folder}.told").write_text(f"{os.getpid()} {gpu} {device}")
    time.sleep(0.2)  # so that each process gets one
    return {"miou": 0.5, "seconds": 0.0}
"""


def told_by(tmp_path, monkeypatch, device, jobs, gpus):
    """Return process, GPU and device of twelve trials, in order."""
    (tmp_path / "telling.py").write_text(TELLS_ITS_GPU)
    monkeypatch.setattr(worker, "RUNNER", "telling:run")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(local, "visible_gpus", lambda: gpus)
    usual = {"init": "random", "source": "random", "mode": "full", "lr": 1e-3}
    trials = [
        Trial(str(tmp_path / f"t{k:02}"), seed=k, evaluate_on="test", curve=(1,), **usual) for k in range(12)
    ]
    answers = []
    launch = Launch("local", jobs, device, tmp_path / "workers.log", threads=1)
    run_jobs(trials, launch, lambda trial, answer: answers.append(answer))
    assert not [one for one in answers if "error" in one]
    return [Path(f"{trial.folder}.told").read_text().split() for trial in trials]


@pytest.mark.parametrize("jobs", [3, "auto"])
def test_gpus_are_dealt_out_to_the_processes(tmp_path, monkeypatch, jobs):
    found = told_by(tmp_path, monkeypatch, "cuda", jobs, ["2", "GPU-5b"])
    of = {process: gpu for process, gpu, _ in found}
    assert sorted(of.values()) == (["2", "GPU-5b"] if jobs == "auto" else ["2", "2", "GPU-5b"])
    assert {device for *_, device in found} == {"cuda"}
    assert all(of[process] == gpu for process, gpu, _ in found), "a process keeps its own"


def test_processes_without_a_gpu_are_left_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    found = told_by(tmp_path, monkeypatch, "cpu", 2, ["0", "1"])
    assert {gpu for _, gpu, _ in found} == {"7"}


@pytest.mark.parametrize(
    ("named", "count", "found"),
    [
        (None, 3, ["0", "1", "2"]),
        ("4,6", 2, ["4", "6"]),
        ("1, GPU-a", 2, ["1", "GPU-a"]),
        ("0,9", 1, ["0"]),
        ("", 0, []),
        ("-1", 0, []),
        (None, 0, []),
    ],
)
def test_gpus_have_the_names_that_cuda_knows_them_by(monkeypatch, named, count, found):
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert visible_gpus() == found
