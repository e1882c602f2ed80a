"""Where the trials of a comparison are trained: processes here, a Ray cluster, or a SLURM queue.

Each launcher trains all trials that it is given and calls back after each, loses none to the failure of
another, and asks trainings to end where it is interrupted. A trial is a folder on a disk that all machines
see: wherever it runs again, it goes on from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from geopretrain.config.launching import LauncherOptions
from geopretrain.study import worker
from geopretrain.study.trials import Trial

Answer = dict[str, Any]
Name = Literal["local", "ray", "slurm"]


@dataclass(frozen=True)
class Launch:
    """Where and how trials are trained.

    Attributes:
        launcher: ``local``, ``ray`` or ``slurm``.
        jobs: at the same time; of a cluster ``auto`` is as many as it has room for.
        device: that each computes on, resolved when the comparison was planned.
        threads: of each; None: its share of the cores.
        log: file for what processes print.
        address: of a Ray cluster; None: the one that is found, or one of this machine's own.
        slurm: what is asked of SLURM, see `geopretrain.study.launchers.on_slurm`.
    """

    launcher: Name
    jobs: int | Literal["auto"]
    device: str
    log: Path
    threads: int | None = None
    address: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)


def check_here(options: LauncherOptions) -> None:
    """Make sure that this machine has what trials are launched with, before anything is read or written.

    Raises:
        ConfigError: the launcher's library is missing, or there is no SLURM here.
    """
    if options.launcher == "ray":
        from geopretrain.study.launchers.on_ray import check_ray

        check_ray()
    elif options.launcher == "slurm":
        from geopretrain.study.launchers.on_slurm import check_slurm

        check_slurm(options.slurm)


@contextmanager
def reaching(launch: Launch) -> Iterator[None]:
    """Stay connected to the cluster that trials are trained on, where there is one.

    Raises:
        ConfigError: it cannot be reached, or no machine of it can ever train one.
    """
    if launch.launcher != "ray":
        yield
        return
    from geopretrain.study.launchers.on_ray import connected

    with connected(launch):
        yield


def run_trials(trials: Sequence[Trial], launch: Launch, on_done: Callable[[Trial, Answer], None]) -> None:
    """Train all trials; after each call ``on_done`` with ``{'outcome'}`` or ``{'error', 'details'}``.

    Inside `reaching`.

    Raises:
        ConfigError: the launcher refuses a trial.
    """
    if launch.launcher == "ray":
        from geopretrain.study.launchers.on_ray import run_on_ray

        run_on_ray(trials, launch, on_done)
    elif launch.launcher == "slurm":
        from geopretrain.study.launchers.on_slurm import run_on_slurm

        run_on_slurm(trials, launch, on_done)
    else:
        from geopretrain.study.launchers.local import choose_jobs, run_here

        jobs = choose_jobs(launch.jobs, len(trials), launch.device)
        run_here(
            trials, jobs=jobs, device=launch.device, log=launch.log, on_done=on_done, threads=launch.threads
        )


def message_of(trial: Trial, threads: int | None, device: str) -> dict[str, Any]:
    """Return what a process is told of a trial, in plain values."""
    return {"trial": asdict(trial), "threads": threads, "device": device, "runner": worker.RUNNER}


def jobs_in_words(launch: Launch, trials: int) -> int | None:
    """Return how many run at a time where that is known: a cluster says nothing before it has room."""
    if launch.launcher == "local":
        from geopretrain.study.launchers.local import choose_jobs

        return choose_jobs(launch.jobs, trials, launch.device)
    return None if launch.jobs == "auto" else launch.jobs
