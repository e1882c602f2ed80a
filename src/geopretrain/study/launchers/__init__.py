"""Where jobs run, the trials of a comparison and the steps of a recipe: processes here, a Ray cluster, or a
SLURM queue.

Each launcher does all `Work` that it is given and calls back after each job, loses none to the failure of
another, and asks trainings to end where it is interrupted. A job is a folder on a disk that all machines
see: wherever it runs again, it goes on from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from geopretrain.config.launching import LauncherOptions, gpus_of, read_slurm
from geopretrain.config.options import CompareOptions, ReproduceOptions
from geopretrain.schema import Device
from geopretrain.study.launchers.work import Answer, J, Job, Work

Name = Literal["local", "ray", "slurm"]
Launching = CompareOptions | ReproduceOptions
"""Options of commands that launch."""


@dataclass(frozen=True)
class Launch:
    """Where and how jobs run.

    Attributes:
        launcher: ``local``, ``ray`` or ``slurm``.
        jobs: at the same time; of a cluster ``auto`` is as many as it has room for.
        device: that each computes on, see `device_of`.
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


def launch_of(options: Launching, device: str, log: Path) -> Launch:
    """Return where and how the options say that jobs run."""
    return Launch(
        options.launcher,
        options.jobs,
        device,
        log,
        threads=options.threads,
        address=options.address,
        slurm=options.slurm,
    )


def check_here(options: LauncherOptions) -> None:
    """Make sure that this machine has what jobs are launched with, before anything is read or written.

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
    """Stay connected to the cluster that jobs run on, where there is one.

    Raises:
        ConfigError: it cannot be reached, or no machine of it can ever run one.
    """
    if launch.launcher != "ray":
        yield
        return
    from geopretrain.study.launchers.on_ray import connected

    with connected(launch):
        yield


def run_jobs(
    jobs: Sequence[J],
    launch: Launch,
    on_done: Callable[[J, Answer], None],
    needs: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Do all jobs, each after those that it ``needs``, see `Work`. Inside `reaching`.

    Raises:
        ConfigError: the launcher refuses a job.
    """
    work = Work(jobs, on_done, needs)
    if launch.launcher == "ray":
        from geopretrain.study.launchers.on_ray import run_on_ray

        run_on_ray(work, launch)
    elif launch.launcher == "slurm":
        from geopretrain.study.launchers.on_slurm import run_on_slurm

        run_on_slurm(work, launch)
    else:
        from geopretrain.study.launchers.local import choose_jobs, run_here

        at_a_time = choose_jobs(launch.jobs, work.total, launch.device)
        run_here(work, jobs=at_a_time, device=launch.device, log=launch.log, threads=launch.threads)


def message_of(job: Job, threads: int | None, device: str) -> dict[str, Any]:
    """Return what a process is told of a job, in plain values, see `geopretrain.study.worker`."""
    kind = f"{type(job).__module__}:{type(job).__qualname__}"
    return {
        "kind": kind,
        "job": job.as_json(),
        "runner": job.runner,
        "threads": threads,
        "device": device,
    }


def device_of(options: Launching) -> Device:
    """Return what jobs compute on: of this machine where they run here.

    A machine that submits may have no GPU while those have one that a launcher finds: there it counts what is
    asked for, and `geopretrain.study.worker.answer_elsewhere` looks whether it is there.
    """
    from geopretrain.compute import resolve_device

    asked = read_slurm(options.slurm)
    gpus = gpus_of(asked)
    device = options.device
    if device == "auto" and gpus is not None:
        device = "cuda" if gpus else "cpu"
    is_elsewhere = options.launcher != "local" and asked.get("executor") != "local"
    return device if is_elsewhere and device == "cuda" else resolve_device(device)


def jobs_in_words(launch: Launch, count: int) -> int | None:
    """Return how many run at a time where that is known: a cluster says nothing before it has room."""
    if launch.launcher == "local":
        from geopretrain.study.launchers.local import choose_jobs

        return choose_jobs(launch.jobs, count, launch.device)
    return None if launch.jobs == "auto" else launch.jobs
