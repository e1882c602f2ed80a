"""Jobs on a Ray cluster: one that is there, or one of this machine's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geopretrain import interruption
from geopretrain.console import console
from geopretrain.errors import ConfigError, short
from geopretrain.extras import require_extra
from geopretrain.study import worker
from geopretrain.study.launchers import Answer, Job, Launch, Work, message_of
from geopretrain.wording import counted

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 3
"""How often a job is begun again whose machine or process has died; it goes on from its checkpoint."""
LOOK = 1.0
"""Seconds between looks for an interruption."""


def run_on_ray(work: Work, launch: Launch) -> None:
    """Do all work, as many jobs at a time as the cluster has cores or GPUs for, see `Launch`."""
    import ray

    needs = _needs(launch)
    do = ray.remote(num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), max_retries=RETRIES)(_answer)
    most = work.total if launch.jobs == "auto" else launch.jobs
    running = dict["ObjectRef[Answer]", Job]()
    try:
        while work.open:
            while len(running) < most and (job := work.take()) is not None:
                running[do.remote(message_of(job, launch.threads, launch.device))] = job
            for done in ray.wait(list(running), timeout=LOOK)[0]:
                work.finish(running.pop(done), _got(done))
            interruption.check()
    finally:
        for left in running:
            ray.cancel(left, recursive=False)  # a training that is asked so keeps its checkpoint


def check_ray() -> None:
    """Raise ConfigError where Ray is not installed."""
    require_extra("ray", "ray", "Work on a cluster")


@contextmanager
def connected(launch: Launch) -> Iterator[None]:
    """Connect to a cluster, and leave it again; a connection that was there before stays.

    Raises:
        ConfigError: there is none at the address, or jobs would wait for ever.
    """
    import ray

    if ray.is_initialized():
        _check_room(launch, may_grow=True)
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a job without GPU may see them
    is_own = _connect(launch.address)
    try:
        nodes, room = _machines(), ray.cluster_resources()
        console.say(
            f"Ray: {len(nodes)} machine{'s' * (len(nodes) != 1)}, {room.get('CPU', 0):g} cores, "
            f"{room.get('GPU', 0):g} GPUs."
        )
        _check_room(launch, may_grow=not is_own)
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None) -> bool:
    """Connect to the cluster that is meant; return whether it was started for it, here."""
    import ray

    quiet: Any = {"log_to_driver": False, "configure_logging": False, "include_dashboard": False}
    try:
        if address is None and "RAY_ADDRESS" not in os.environ:
            try:
                ray.init("auto", **quiet)
            except ConnectionError:  # none runs here
                ray.init("local", **quiet)
                return True
        else:
            ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"at '{address}'" if address else "here"
        raise ConfigError(
            f"No Ray cluster can be reached {where}: {short(error)}. Give the address of its head as "
            "`ray start --head` prints it, or leave --address away for a cluster of this machine's own."
        ) from error
    return False


def _machines() -> list[Any]:
    """Return what Ray knows of each machine that is there."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _needs(launch: Launch) -> dict[str, int]:
    """Return what a job takes of one machine."""
    return {"CPU": launch.threads or 1, **({"GPU": 1} if launch.device == "cuda" else {})}


def _check_room(launch: Launch, *, may_grow: bool) -> None:
    """Say where no machine has room for a job, for which Ray waits without a word.

    Machines may join a cluster, even because something waits for them, so that this is refused only of one
    of this machine's own.

    Raises:
        ConfigError: none has, and none will join.
    """
    needs, machines = _needs(launch), [node["Resources"] for node in _machines()]
    if any(all(one.get(kind, 0) >= count for kind, count in needs.items()) for one in machines):
        return
    wanted = f"{counted(needs['CPU'], 'core')}{' and a GPU' if 'GPU' in needs else ''}"
    most = "; ".join(
        f"{counted(int(one.get('CPU', 0)), 'core')}, {one.get('GPU', 0):g} GPUs" for one in machines
    )
    said = f"No machine of the Ray cluster has {wanted}, which each training takes (there are: {most})."
    ask = "Ask for less with --threads" + (" or --device cpu" if "GPU" in needs else "")
    if not may_grow:
        raise ConfigError(f"{said} {ask}.")
    console.warn(f"{said} Trainings wait until one joins. {ask}, or add a machine.")


def _got(done: ObjectRef[Answer]) -> Answer:
    """Return the answer of a job, an error where its process died more often than it is begun again."""
    import ray
    from ray.exceptions import RayError

    try:
        answer: Answer = ray.get(done)
    except RayError as error:
        reason = str(error).strip().partition("\n")[0]
        return {"error": f"its process on the cluster ended unexpectedly: {reason}", "details": str(error)}
    return answer


def _answer(message: dict[str, Any]) -> Answer:
    """Do a job in a process of the cluster."""
    return worker.answer_elsewhere(message)
