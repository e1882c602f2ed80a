"""Jobs of a SLURM queue, by submitit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Any

from geopretrain import interruption, manifest
from geopretrain.config.launching import gpus_of, read_slurm
from geopretrain.console import console
from geopretrain.errors import ConfigError, short
from geopretrain.extras import require_extra
from geopretrain.study import worker
from geopretrain.study.folder import JOBS
from geopretrain.study.launchers import Answer, Job, Launch, Work, message_of

LOOK = 5.0
"""Seconds between looks at the queue."""
PROGRAMS = ("sbatch", "srun")
"""Of SLURM, without which nothing can be submitted."""


def check_slurm(asked: Mapping[str, Any]) -> None:
    """Make sure that jobs can be submitted from this machine.

    Raises:
        ConfigError: submitit is not installed, or there is no SLURM here.
    """
    require_extra("submitit", "slurm", "Work on SLURM")
    missing = [program for program in PROGRAMS if which(program) is None]
    if missing and asked.get("executor") != "local":
        raise ConfigError(
            f"Jobs cannot be submitted: there is no {' and no '.join(missing)} here. Run this on a machine "
            "with sbatch, or try it with --slurm executor=local."
        )
    if "time" not in asked:
        console.warn(
            "Nothing is said of how long a job may take, so submitit asks for a few minutes. Say it with "
            "--slurm time=MINUTES; a training that is cut off goes on when the command is repeated."
        )


def run_on_slurm(work: Work, launch: Launch) -> None:
    """Submit each job and wait for all, at most ``jobs`` of them at a time, see `Launch`.

    Raises:
        ConfigError: SLURM refuses what is asked for.
    """
    executor = _executor(launch)
    most = work.total if launch.jobs == "auto" else launch.jobs
    running = dict[Any, Job]()
    try:
        while work.open:
            while len(running) < most and (job := work.take()) is not None:
                running[_submitted(executor, message_of(job, launch.threads, launch.device))] = job
            for one in [one for one in running if one.done(force_check=True)]:
                work.finish(running.pop(one), _got(one))
            interruption.check()
            if running:
                time.sleep(LOOK if executor.cluster == "slurm" else LOOK / 10)
    finally:
        for one in running:
            one.cancel(check=False)
        for file in (launch.log.parent / JOBS).glob("*_*"):
            manifest.note(file)


def _executor(launch: Launch) -> Any:
    import submitit

    asked = read_slurm(launch.slurm)
    folder = launch.log.parent / JOBS
    folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster=asked.pop("executor", "slurm"))
    executor.update_parameters(**_parameters(asked, launch))
    return executor


def _parameters(asked: Mapping[str, Any], launch: Launch) -> dict[str, Any]:
    """Return what submitit is told; a GPU for each where it computes on one and nothing is said."""
    found: dict[str, Any] = {"name": "geopretrain", "cpus_per_task": asked.get("cpus", launch.threads or 1)}
    gpus = asked.get("gpus", 1 if launch.device == "cuda" else 0)
    if isinstance(gpus, str):  # a kind and a number, which submitit's own word for GPUs does not take
        found["slurm_gres"] = f"gpu:{gpus}"
        found["local_gpus_per_node"] = gpus_of(asked)
    elif gpus:
        found["gpus_per_node"] = gpus
    if "time" in asked:
        found["timeout_min"] = asked["time"]
    rest = ("partition", "mem", "account", "qos", "constraint", "nodelist")
    return found | {f"slurm_{name}": asked[name] for name in rest if name in asked}


def _submitted(executor: Any, message: dict[str, Any]) -> Any:
    try:
        return executor.submit(worker.answer_elsewhere, message)
    except Exception as error:  # sbatch says no
        raise ConfigError(f"SLURM refuses the job: {short(error)}. Correct --slurm.") from error


def _got(job: Any) -> Answer:
    """Return the answer of a job, an error where its job ended without one."""
    try:
        answer: Answer = job.result()
    except Exception as error:
        logs = Path(job.paths.stderr)
        reason = str(error).strip().partition("\n")[0]
        return {"error": f"its job {job.job_id} ended unexpectedly ({reason}); see {logs}", "details": ""}
    return answer
