"""Training on several devices: the processes of it, and Lightning's strategy over them.

Each process computes an equal part of the batch of a step, and their gradients are averaged: what ``N``
processes compute is what one computes with ``accumulate`` N times as large, the same samples and the same
random numbers in each part. Batch statistics are those of a part, in both cases, unless they are
synchronised.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch import Tensor, distributed
from torch.distributed.fsdp import FullyShardedDataParallel

from geopretrain.errors import OptionError, UserError
from geopretrain.ranks import HERE, PATIENCE, VARIABLE, Place, Ranks, connect, place_among, ready
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import Task
from geopretrain.training.processes import environment
from geopretrain.training.settings import LoopSettings

GRACE = 20.0
"""Seconds in which processes end by themselves once one of them has."""


class ProcessEnded(UserError):
    """One of the processes of a training ended before the others."""


@contextmanager
def together(settings: LoopSettings, device: str, run: RunFolder) -> Iterator[Ranks]:
    """Start or join the other processes of a training; inside, they are connected.

    Args:
        settings: of the loop.
        device: resolved.
        run: folder of the run, which is ready to be read by the others.

    Raises:
        ConfigError: there are fewer devices, or other processes than the settings say.
        ProcessEnded: another process ended too early; its last sentence is given.
    """
    size = settings.devices * settings.num_nodes
    if size == 1 and settings.strategy == "ddp":
        yield Ranks()
        return
    check_devices(settings, device)
    mine = place_among(settings.devices, settings.num_nodes)
    threads = torch.get_num_threads()
    try:
        if mine is not None:
            connect(mine, device)
            yield Ranks(mine)
            if mine.port:  # the first one has nothing more to do with it
                distributed.destroy_process_group()
            return
        with _Others(size, run) as others, others.connected(device) as ranks:
            yield ranks
    finally:
        torch.set_num_threads(threads)


def check_devices(settings: LoopSettings, device: str) -> None:
    """Raise OptionError where the machine has fewer devices than were asked for, or others."""
    if settings.strategy == "fsdp" and device != "cuda":
        raise OptionError("strategy", f"fsdp divides a network among GPUs; on {device} use ddp.")
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device)
    if there is not None and settings.devices > there:
        have = "one GPU" if there == 1 else f"{there} GPUs"
        raise OptionError("devices", f"is {settings.devices}, and this machine has {have}.")
    if settings.sync_batchnorm and device != "cuda":
        raise OptionError(
            "sync_batchnorm",
            f"works on GPUs only, not on {device}. Leave it away: each process has batch statistics of its "
            "own part, as with --accumulate.",
        )


class _Others:
    """The processes that the first one starts on its own machine, ended with it.

    Args:
        size: of all processes, the first one among them.
        run: folder that they read as if they resumed its run.
    """

    def __init__(self, size: int, run: RunFolder) -> None:
        self.size, self.run = size, run
        self.processes: list[subprocess.Popen[bytes]] = []
        self.said: list[Any] = []
        self.done = threading.Event()

    def __enter__(self) -> _Others:
        self.store = distributed.TCPStore(
            HERE, 0, self.size, is_master=True, wait_for_workers=False, timeout=PATIENCE
        )
        for rank in range(1, self.size):
            place = f"{rank}/{self.size}/{self.store.port}"
            self.said.append(tempfile.TemporaryFile())
            self.processes.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "geopretrain", *self.run.kind.split()),
                        *("--resume", str(self.run.path), "--progress=false"),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=self.said[-1],
                    env=environment() | {VARIABLE: place},
                )
            )
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.done.set()
        try:
            if isinstance(error, RuntimeError) and (sentence := self._failed(GRACE)):
                raise ProcessEnded(sentence) from error
        finally:
            self._end(GRACE if error is None else 0.0)

    @contextmanager
    def connected(self, device: str) -> Iterator[Ranks]:
        """Wait for the processes, then talk to them."""
        mine = Place(0, self.size, 0)
        keys = [ready(rank) for rank in range(1, self.size)]
        while keys and not self.store.check(keys):
            if sentence := self._failed(0.0):
                raise ProcessEnded(sentence)
            time.sleep(0.05)
        connect(mine, device, self.store)
        try:
            ranks = Ranks(mine)
            threading.Thread(target=self._watch, daemon=True).start()
            yield ranks
        finally:
            distributed.destroy_process_group()

    def _watch(self) -> None:
        """End this process, too, where it waits on a GPU for one that is gone."""
        while not self.done.wait(1.0):
            if (sentence := self._failed(0.0)) and not self.done.wait(GRACE):
                with suppress(OSError):
                    os.write(2, f"\n{sentence}\n".encode())
                os._exit(1)

    def _failed(self, patience: float) -> str:
        """Return what the first process that has failed says, empty where none has."""
        until = time.monotonic() + patience
        while True:
            for rank, process in enumerate(self.processes, 1):
                if process.poll():
                    return self._last_words(rank, process.returncode)
            if time.monotonic() > until:
                return ""
            time.sleep(0.05)

    def _last_words(self, rank: int, code: int) -> str:
        file = self.said[rank - 1]
        file.seek(0)
        lines = file.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else ""
        if code == 2 and last.startswith("error: "):
            return last.removeprefix("error: ")
        why = "killed, perhaps for want of memory" if code == -9 else f"exit code {code}: {last}"
        return (
            f"Process {rank + 1} of {self.size} of this training ended unexpectedly ({why}). The last "
            f"checkpoint is kept: continue with --resume {self.run.path}."
        )

    def _end(self, patience: float) -> None:
        """Let the processes end, or end them."""
        until = time.monotonic() + patience
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()  # which it ends with
        for process in self.processes:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for file in self.said:
            file.close()


class Environment(LightningEnvironment):
    """Where the process stands, for Lightning, which neither starts nor looks for others."""

    def __init__(self, ranks: Ranks, devices: int) -> None:
        super().__init__()
        self.ranks, self.devices = ranks, devices

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    def local_rank(self) -> int:
        """Return the number on this machine."""
        return self.ranks.local_rank

    def node_rank(self) -> int:
        """Return the number of this machine."""
        return self.ranks.rank // self.devices

    def teardown(self) -> None:
        """Leave the environment as it is."""


class _DDP(DDPStrategy):
    """Lightning's, among processes that are there, in notebooks, too."""

    def _configure_launcher(self) -> None:
        self._launcher = None


class Followed(RunFolder):
    """A run that another process writes."""

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Write nothing."""

    def cut_metrics(self, last_step: int) -> None:
        """Leave everything."""


def strategy(settings: LoopSettings, task: Task, ranks: Ranks) -> Strategy | str:
    """Return how the processes share the work.

    Raises:
        OptionError: the task cannot be divided.
    """
    if settings.strategy == "fsdp":
        if type(task).after_step is not Task.after_step:
            raise OptionError(
                "strategy",
                f"fsdp divides every network among the GPUs, and {task.name} moves one of them towards "
                "another one after each step: use ddp.",
            )
        return FSDPStrategy(state_dict_type="full", sync_module_states=True)
    if ranks.size == 1:
        return "auto"
    # what a dense task leaves unused of a backbone (the last layers of a classifier) gets no gradient
    return _DDP(find_unused_parameters=True)


def synchronised(task: Task) -> Task:
    """Return the task with batch statistics over all processes; other layers stay as they are."""
    from timm.layers import convert_sync_batchnorm

    converted: Task = convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
    return converted


@contextmanager
def whole_weights(trainer: Trainer) -> Iterator[None]:
    """Put together, inside, what fsdp has divided; all processes come here."""
    divided = trainer.strategy.model
    if not isinstance(divided, FullyShardedDataParallel):
        yield
        return
    with FullyShardedDataParallel.summon_full_params(divided, writeback=False):
        yield


def clip_gradients(trainer: Trainer, parameters: Iterable[Tensor], norm: float) -> None:
    """Shorten a gradient that is longer than ``norm``."""
    if isinstance(divided := trainer.strategy.model, FullyShardedDataParallel):
        divided.clip_grad_norm_(norm)  # of all parts together
    else:
        torch.nn.utils.clip_grad_norm_(parameters, norm)
