"""Shows how much of a step the networks' own forward and backward passes take, and what the rest is.

    python benchmarks/breakdown.py --method scdepth --settings 832x256:4
    python benchmarks/breakdown.py --method monodepth --set supervision=both --profile

A step is what the training loop does: take a uint8 batch, augment it, compute the loss, go backwards, Adam.
While one step runs, the calls of the task's networks are recorded with their inputs and the gradients of
their outputs; replayed on their own, they are what the networks take. Everything else (data, warps, losses,
masks, optimiser) is the difference. Steps and replays take turns. On a busy machine --cpu-time with
--threads 1 counts the processor's time, which other processes disturb less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from steps import Job, OurStep, Setting, Variant, for_task, make_batch
from torch import Tensor, nn

DEFAULT = "bf16+cl+pairs+keep"


@dataclass
class Call:
    """One outermost call of a network.

    Attributes:
        module: the network.
        inputs: its arguments.
        options: its named arguments.
        gradients: of the outputs by their position, filled in by the backward pass.
    """

    module: nn.Module
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    gradients: dict[int, Tensor] = field(default_factory=dict)

    def again(self) -> tuple[list[Tensor], list[Tensor]]:
        """Call the network once more; returns the outputs that had a gradient, and these gradients."""
        outputs = _tensors(self.module(*self.inputs, **self.options))
        used = sorted(self.gradients)
        return [outputs[i] for i in used], [self.gradients[i] for i in used]


@contextmanager
def recorded(task: nn.Module) -> Iterator[list[Call]]:
    """Record the calls of modules that have parameters and are not called by another one."""
    calls: list[Call] = []
    inside: list[nn.Module] = []

    def before(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        if not inside:
            calls.append(Call(module, _detached(inputs), _detached(options)))
        inside.append(module)

    def after(module: nn.Module, inputs: Any, options: Any, outputs: Any) -> None:
        inside.pop()
        if not inside:
            for i, output in enumerate(_tensors(outputs)):
                if output.requires_grad:
                    output.register_hook(_keeper(calls[-1].gradients, i))

    handles = []
    for module in task.modules():
        if module is not task and any(True for _ in module.parameters()):
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after, with_kwargs=True))
    yield calls
    for handle in handles:
        handle.remove()


def _keeper(gradients: dict[int, Tensor], position: int) -> Callable[[Tensor], None]:
    def keep(gradient: Tensor) -> None:
        gradients[position] = gradient.detach().clone()

    return keep


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    return [t for value in values for t in _tensors(value)] if hasattr(values, "__iter__") else []


def _detached(values: Any) -> Any:
    if isinstance(values, Tensor):
        return values.detach().requires_grad_(values.requires_grad)
    if isinstance(values, dict):
        return {name: _detached(value) for name, value in values.items()}
    return type(values)(_detached(v) for v in values) if isinstance(values, (list, tuple)) else values


class Step:
    """A whole step in its parts.

    Args:
        job: method, size and settings.
        variant: how it is run.
        clock: returns seconds.
    """

    def __init__(self, job: Job, variant: Variant, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.ours = OurStep(job, variant)
        batch = for_task(self.ours.task, make_batch(job.setting))
        whole = {"images": batch.images, "stereo": batch.stereo}
        stored: Any = {n: (255 * v).to(torch.uint8) for n, v in whole.items() if v is not None}
        self.batch = replace(batch, **stored)
        self.networks = self._networks()

    def run(self) -> dict[str, float]:
        """Do one step and return the seconds of its parts."""
        times = [self.clock()]

        def lap() -> None:
            times.append(self.clock())

        self.ours.optimizer.zero_grad()
        batch = self.ours.task.train_transform(self.batch)
        lap()
        loss = self.ours.loss(batch)
        lap()
        loss.backward()
        lap()
        self.ours.optimizer.step()
        lap()
        names = ("data", "forward", "backward", "optimiser")
        return {name: b - a for name, a, b in zip(names, times, times[1:], strict=False)}

    def _networks(self) -> list[Call]:
        with recorded(self.ours.task) as calls:
            self.run()
        return calls

    def replay(self) -> dict[str, float]:
        """Call the networks alone, forward and backward, and return the seconds of both."""
        self.ours.optimizer.zero_grad()
        start = self.clock()
        with self.ours.autocast():
            done = [call.again() for call in self.networks]
        middle = self.clock()
        outputs, gradients = ([t for pair in done for t in pair[side]] for side in (0, 1))
        torch.autograd.backward(outputs, gradients)
        return {"forward": middle - start, "backward": self.clock() - middle}


def report(job: Job, arguments: argparse.Namespace) -> None:
    """Let whole steps and replays take turns and print the parts in milliseconds."""
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    step = Step(job, Variant.parse(arguments.variant), clock)
    for warm in (step.run, step.replay):
        warm()
    turns = [(step.run(), step.replay()) for _ in range(arguments.steps)]
    parts = {name: statistics.median(run[name] for run, _ in turns) for name in turns[0][0]}
    own = {name: statistics.median(alone[name] for _, alone in turns) for name in turns[0][1]}
    whole = statistics.median(sum(run.values()) for run, _ in turns)
    fractions = [1 - sum(alone.values()) / sum(run.values()) for run, alone in turns]
    (height, width), batch = job.setting.size, job.setting.batch
    what = " ".join([job.method, *job.settings, f"{width}x{height}:{batch}", arguments.variant])
    print(f"\n{what}, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}")
    print(f"  step {1e3 * whole:.0f} ms: networks {1e3 * sum(own.values()):.0f} ms, everything else ", end="")
    print(f"{statistics.median(fractions):.0%} ({min(fractions):.0%}-{max(fractions):.0%}), of it ", end="")
    rest = {name: parts[name] - own.get(name, 0.0) for name in parts}
    print(", ".join(f"{name} {1e3 * value:.0f}" for name, value in rest.items()) + " ms", flush=True)
    if arguments.profile:
        print(_profile(step))


def _profile(step: Step) -> str:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CPU]) as result:
        step.run()
    table = result.key_averages().table(sort_by="self_cpu_time_total", row_limit=30, max_name_column_width=60)
    return str(table)


def main() -> None:
    """Read the command line and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", default="monodepth")
    parser.add_argument("--set", nargs="+", default=[], help="settings of the method, name=value")
    parser.add_argument("--settings", default="320x96:8", help="WIDTHxHEIGHT:BATCH, several with commas")
    parser.add_argument("--variant", default=DEFAULT, help="as in train_step.py")
    parser.add_argument("--steps", type=int, default=5, help="timed rounds")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of elapsed time")
    parser.add_argument("--profile", action="store_true", help="list the operators that take most")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for text in arguments.settings.split(","):
        job = Job(arguments.method, Setting.parse(text), arguments.set)
        report(job, arguments)


if __name__ == "__main__":
    main()
