"""Several processes that train together: which of them this one is, and what they say to each other.

A training on several devices is one process for each. The first one (rank 0) is the one that the user has
started: it alone speaks, holds the folder of the run and writes it. The others are started by it, or on
several machines by torchrun or SLURM; each reads the folder as if it resumed the run, and trains along.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from geopretrain.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE = "GEOPRETRAIN_PLACE"
"""What tells a process that a first one has started: ``rank/number of processes/port``."""
PATIENCE = timedelta(days=1)
"""How long processes wait for each other: the first one may prepare data, or score, for hours."""
HERE = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """The place of a process among several.

    Attributes:
        rank: its number, 0 is the first.
        size: how many there are.
        local_rank: its number on its machine, which is that of its GPU.
        port: where the first one waits for those that it has started; 0 where something else has.
    """

    rank: int
    size: int
    local_rank: int
    port: int = 0


def place() -> Place | None:
    """Return the place that this process was started with, None where it was started alone."""
    if own := os.environ.get(VARIABLE):
        rank, size, port = (int(part) for part in own.split("/"))
        return Place(rank, size, rank, port)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _from_environment("RANK", "WORLD_SIZE", "LOCAL_RANK")
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if "SLURM_PROCID" in os.environ and not interactive:
        return _from_environment("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
    return None


def _from_environment(*names: str) -> Place | None:
    try:
        rank, size, local_rank = (int(os.environ[name]) for name in names)
    except (KeyError, ValueError):
        return None
    return Place(rank, size, local_rank)


def place_among(devices: int, num_nodes: int) -> Place | None:
    """Return the place of this process in a training on so many devices, None where it is to begin alone.

    Raises:
        ConfigError: another number of processes was started, or one machine cannot start those of others.
    """
    size, found = devices * num_nodes, place()
    if size == 1:
        return None
    if found is not None and found.size == size:
        return found
    if found is not None and found.size > 1:
        raise ConfigError(
            f"{found.size} processes were started together, and --devices {devices} on --num-nodes "
            f"{num_nodes} are {size}. Give as many --devices as processes on each machine."
        )
    if num_nodes > 1:
        raise ConfigError(
            f"--num-nodes {num_nodes} needs a launcher that starts the processes of each machine: "
            f"torchrun --nnodes {num_nodes} --nproc-per-node {devices} --rdzv-endpoint HOST:PORT "
            "-m geopretrain ..., or srun under SLURM. All of them must see the folders of data and run."
        )
    return None


def follows(devices: int, num_nodes: int) -> bool:
    """Return whether this process trains along with a first one, which alone writes.

    Raises:
        ConfigError: as `place_among`.
    """
    mine = place_among(devices, num_nodes)
    return mine is not None and mine.rank > 0


def connect(mine: Place, device: str, store: Any = None) -> None:
    """Meet the other processes of a training; returns when all are there.

    Args:
        mine: place of this process.
        device: resolved.
        store: of the first process, which others join by its port; None: torchrun's or SLURM's.
    """
    import torch
    from torch import distributed

    if device == "cuda":
        torch.cuda.set_device(mine.local_rank)
    if distributed.is_initialized():
        return
    more: dict[str, Any] = {"device_id": torch.device("cuda", mine.local_rank)} if device == "cuda" else {}
    if store is None and mine.port:
        store = distributed.TCPStore(HERE, mine.port, mine.size, is_master=False)
        store.set(ready(mine.rank), "")
    if store is not None:
        more |= {"store": store, "rank": mine.rank, "world_size": mine.size}
    elif "SLURM_PROCID" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ:
        _address_by_slurm(mine)
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE, **more)


def ready(rank: int) -> str:
    """Return the key by which a process says that it has come."""
    return f"ready/{rank}"


def _address_by_slurm(mine: Place) -> None:
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    slurm = SLURMEnvironment()
    os.environ |= {"MASTER_ADDR": slurm.main_address, "MASTER_PORT": str(slurm.main_port)}
    os.environ |= {"RANK": str(mine.rank), "WORLD_SIZE": str(mine.size)}


def end_with_parent() -> None:
    """End this process as soon as the first one, which has started it and holds its input, has ended."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    if VARIABLE in os.environ:
        threading.Thread(target=watch, daemon=True).start()


def meet(devices: int, num_nodes: int) -> None:
    """Let the processes that a launcher has started go on together."""
    mine = place_among(devices, num_nodes)
    if mine is not None and not mine.port:
        Ranks(mine).wait()


class Ranks:
    """What the processes of a training say to each other; alone a process talks to nobody.

    Args:
        mine: place of this process; None: it is alone.
    """

    def __init__(self, mine: Place | None = None) -> None:
        self.rank, self.size = (0, 1) if mine is None else (mine.rank, mine.size)
        self.local_rank = 0 if mine is None else mine.local_rank
        self._group: Any = None
        if self.size > 1:
            from torch import distributed

            # numbers on the CPU: nobody has to wait for a GPU to know them
            self._group = distributed.new_group(backend="gloo", timeout=PATIENCE)

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def largest(self, number: int) -> int:
        """Return the largest of the numbers that the processes give."""
        if self.size == 1:
            return number
        import torch
        from torch import distributed

        given = torch.tensor([number])
        distributed.all_reduce(given, distributed.ReduceOp.MAX, group=self._group)
        return int(given)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes of values on the CPU."""
        if self.size == 1:
            return values
        from torch import distributed

        distributed.all_reduce(values, group=self._group)
        return values / self.size

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.largest(0)
