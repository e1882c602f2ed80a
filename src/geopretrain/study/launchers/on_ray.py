"""Trials on a Ray cluster: one that is there, or one of this machine's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geopretrain import interruption
from geopretrain.console import console
from geopretrain.errors import ConfigError, short
from geopretrain.extras import require_extra
from geopretrain.study import worker
from geopretrain.study.launchers import Answer, Launch, message_of
from geopretrain.study.trials import Trial

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 3
"""How often a trial is begun again whose machine or process has died; it goes on from its checkpoint."""
LOOK = 1.0
"""Seconds between looks for an interruption."""


def run_on_ray(trials: Sequence[Trial], launch: Launch, on_done: Callable[[Trial, Answer], None]) -> None:
    """Train all trials, as many at a time as the cluster has cores or GPUs for, see `Launch`.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    require_extra("ray", "ray", "Comparisons on a cluster")
    import ray

    with _connected(launch.address):
        needs: dict[str, Any] = {"num_cpus": launch.threads or 1, "max_retries": RETRIES}
        if launch.device == "cuda":
            needs["num_gpus"] = 1
        train = ray.remote(**needs)(_answer)
        most = len(trials) if launch.jobs == "auto" else launch.jobs
        waiting, running = list(trials), dict["ObjectRef[Answer]", Trial]()
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    trial = waiting.pop(0)
                    running[train.remote(message_of(trial, launch.threads, launch.device))] = trial
                for done in ray.wait(list(running), timeout=LOOK)[0]:
                    on_done(running.pop(done), _got(done))
                interruption.check()
        finally:
            for left in running:
                ray.cancel(left, recursive=False)  # a training that is asked so keeps its checkpoint


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, and leave it again; a connection that was there before stays."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a trial without GPU may see them
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"at '{address}'" if address else "here"
        raise ConfigError(
            f"No Ray cluster can be reached {where}: {short(error)}. Give the address of its head as "
            "`ray start --head` prints it, or leave --address away for a cluster of this machine's own."
        ) from error
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        room = ray.cluster_resources()
        console.say(
            f"Ray: {len(nodes)} machine{'s' * (len(nodes) != 1)}, {room.get('CPU', 0):g} cores, "
            f"{room.get('GPU', 0):g} GPUs."
        )
        yield
    finally:
        ray.shutdown()


def _got(done: ObjectRef[Answer]) -> Answer:
    """Return the answer of a trial, an error where its process died more often than it is begun again."""
    import ray
    from ray.exceptions import RayError

    try:
        answer: Answer = ray.get(done)
    except RayError as error:
        reason = str(error).strip().partition("\n")[0]
        return {"error": f"its process on the cluster ended unexpectedly: {reason}", "details": str(error)}
    return answer


def _answer(message: dict[str, Any]) -> Answer:
    """Train a trial in a process of the cluster."""
    return worker.answer(message)
