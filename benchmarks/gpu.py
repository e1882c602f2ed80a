"""A step on a GPU: milliseconds, how much of them it computes, and memory, by method and precision."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from steps import MIDDLE, Job, Setting, create_task, for_task, make_batch

from geopretrain.tasks.base import Task
from geopretrain.training.optimisers import make_optimiser

METHODS = (
    *("monodepth", "scdepth", "geometric_flow", "optical_flow", "depth_supervised"),
    *("simmim", "moco", "dino", "inpainting"),
)
VARIANTS = ("fp32", "tf32+cl", "bf16", "bf16+cl")


class GpuStep:
    """One optimisation step as the training loop does it.

    Args:
        job: method, size and batch.
        variant: ``fp32``, ``tf32`` or ``bf16`` (autocast), with ``+cl`` for channels_last.
    """

    def __init__(self, job: Job, variant: str) -> None:
        precision, *order = variant.split("+")
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        self.task: Task = create_task(job, {}).to("cuda").train()
        if order:
            self.task.to(memory_format=torch.channels_last)
        self.bf16 = precision == "bf16"
        self.optimizer = make_optimiser("adam", self.task.parameter_groups(1e-4), torch.device("cuda"))
        self.batch = for_task(self.task, make_batch(job.setting)).to("cuda")

    def __call__(self) -> None:
        """Do one step."""
        self.optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16) if self.bf16 else contextlib.nullcontext():
            loss = self.task.loss(self.batch, MIDDLE)[0]
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.task.after_step(MIDDLE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each method in each variant and print a table."""
    options = _options(arguments)
    print(torch.cuda.get_device_name(), f"torch {torch.__version__}", flush=True)
    print(
        "| method | variant | step, ms | kernels, ms | busy | peak GB |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for method in options.methods:
        for variant in options.variants:
            job = Job(method, options.setting, options.set)
            try:
                print(
                    f"| {method} | {variant} | {_measure(GpuStep(job, variant), options.seconds)} |",
                    flush=True,
                )
            except Exception as error:
                print(f"| {method} | {variant} | {type(error).__name__}: {error} |", flush=True)
            torch.cuda.empty_cache()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    parser.add_argument("--variants", type=lambda text: text.split(","), default=list(VARIANTS))
    parser.add_argument("--setting", type=Setting.parse, default=Setting.parse("640x192:12"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="setting of the method"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each is timed")
    return parser.parse_args(arguments)


def _measure(step: Any, seconds: float) -> str:
    for _ in range(4):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times) < 3:
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    kernels = _kernel_milliseconds(step)
    whole, peak = statistics.median(times), torch.cuda.max_memory_allocated() / 1e9
    return f"{whole:.1f} | {kernels:.1f} | {kernels / whole:.0%} | {peak:.2f}"


def _kernel_milliseconds(step: Any) -> float:
    """Return how long the GPU computes in one step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1000


if __name__ == "__main__":
    main()
