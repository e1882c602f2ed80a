"""Times one optimisation step of a method (ResNet-18, Adam), beside the released code.

    python benchmarks/train_step.py --official ../monodepth2
    python benchmarks/train_step.py --method scdepth --official-scdepth ../sc_depth --settings 832x256:4
    python benchmarks/train_step.py --official ../monodepth2 --end-to-end --data ../shared/data/kitti_raw
    python benchmarks/train_step.py --lightly --method dino --set backbone=vit_small_patch16_224
    python benchmarks/train_step.py --against ../geopretrain-before --threads 1 --cpu-time

With --end-to-end each step also loads and augments its batch in the same process: the released code from the
images of a KITTI folder (its data set class without workers), ours from a store prepared beforehand.

Each variant has a process of its own, which tells its peak memory; the processes take turns step by step, so
that a disturbance of the machine meets all of them. Ratios are the median over the rounds and that of the
fastest steps. Without a checkout the first variant is what the others are compared with; with --against,
another checkout of ours, it is the same variant there, where its own benchmark and sources run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from steps import ON_FRAMES, STEP, Job, OurStep, Setting, Variant, build, make_batch

SETTINGS = {"monodepth": "640x192:4,320x96:8", "scdepth": "832x256:4,416x128:4"}
VARIANTS = "fp32,fp32+cl,fp32+cl+pairs,bf16+cl+pairs,bf16+cl+pairs+keep"
END_TO_END = "bf16+cl+pairs+keep"
BEFORE = "before: "


def serve(name: str, job: Job, arguments: argparse.Namespace) -> None:
    """Build one step and obey: ``step`` answers seconds, ``flop`` GFLOP, ``peak`` the peak memory in GB."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever libraries print is no answer
    step = build_step(name, job, arguments)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    commands = {
        "step": lambda: timed(step, clock),
        "flop": lambda: count_gflop(step),
        "peak": peak_resident_gb,
    }
    print(json.dumps(0), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(commands[line.strip()]()), file=answers, flush=True)


def build_step(name: str, job: Job, arguments: argparse.Namespace) -> STEP:
    """Return the step of a variant, with its loading if that is asked for."""
    if not arguments.end_to_end:
        return build(name, job)
    from end_to_end import build_end_to_end

    return build_end_to_end(name, job, arguments.data, arguments.format, arguments.work)


def timed(step: STEP, clock: Callable[[], float]) -> float:
    """Return the seconds of one step."""
    start = clock()
    step()
    return clock() - start


def count_gflop(step: STEP) -> float:
    """Return the arithmetic of convolutions and matrix products in one step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def peak_resident_gb() -> float:
    """Return the highest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage, whose peak a process inherits from the one that started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    )


class Worker:
    """A process that does the steps of one variant when told to.

    Args:
        name: variant, or ``official``.
        setting: spelling of the size and batch.
        folder: shared by the workers.
        checkout: of ours, whose benchmark and sources are run; None = this one.
    """

    def __init__(self, name: str, setting: str, folder: str, checkout: Path | None = None) -> None:
        self.name = f"{BEFORE}{name}" if checkout else name
        here = Path(__file__).resolve().parents[1]
        script = (checkout or here).absolute() / "benchmarks" / Path(__file__).name
        words = [*_without_against(sys.argv[1:]), "--serve", name, "--settings", setting, "--work", folder]
        sources = os.pathsep.join([str(script.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, script, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": sources},
        )
        self._answer(self.name)

    def ask(self, command: str) -> float:
        """Return the answer to a command of :func:`serve`."""
        self.process.stdin.write(command + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return self._answer(self.name)

    def _answer(self, name: str) -> float:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit(f"{name} failed; its message stands above.")
        return float(json.loads(line))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def _without_against(words: list[str]) -> list[str]:
    """Leave out the option that workers do not have."""
    if "--against" not in words:
        return words
    place = words.index("--against")
    return words[:place] + words[place + 2 :]


def report(text: str, job: Job, arguments: argparse.Namespace) -> None:
    """Let the variants take turns and print seconds, ratios and memory."""
    beside = ["official"] if job.official else ["lightly"] * (arguments.lightly and job.method in ON_FRAMES)
    names = beside + arguments.variants.split(",")
    what = " ".join([job.method, *job.settings, text]) + " end to end" * arguments.end_to_end
    print(f"\n{what}, {arguments.threads} threads, {arguments.steps} rounds, load {os.getloadavg()[0]:.1f}")
    if job.method == "monodepth" and job.official and arguments.losses:
        for name, difference in compare_losses(job).items():
            print(f"  loss differs from the official by {difference:.1e} ({name})")
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for name in names:
            progress(f"building {name}")
            if arguments.against and name not in beside:
                workers.append(Worker(name, text, folder, arguments.against))
            workers.append(Worker(name, text, folder))
        gflop = None if arguments.end_to_end else workers[0].ask("flop")
        seconds = take_turns(workers, arguments.steps, arguments.warmup)
        memory = {worker.name: worker.ask("peak") for worker in workers}
        for worker in workers:
            worker.close()
    print_table(seconds, memory, gflop)


def take_turns(workers: list[Worker], rounds: int, warmup: int) -> dict[str, list[float]]:
    """Run the steps in turns and return the seconds of each round after the warm-up."""
    seconds: dict[str, list[float]] = {worker.name: [] for worker in workers}
    for number in range(warmup + rounds):
        progress(f"round {number + 1} of {warmup + rounds}")
        for worker in workers:
            took = worker.ask("step")
            if number >= warmup:
                seconds[worker.name].append(took)
    return seconds


def progress(text: str) -> None:
    """Say what is being done, apart from the results."""
    print(f"  ... {text}", file=sys.stderr, flush=True)


def compare_losses(job: Job) -> dict[str, float]:
    """Return |our loss - Monodepth2's| on the same weights and images, without noise."""
    from official_monodepth2 import OfficialStep, official_inputs, without_noise

    batch = make_batch(job.setting)
    theirs = OfficialStep(job.monodepth2, job.setting.size, job.setting.batch)  # type: ignore[arg-type]
    inputs = official_inputs(batch.images, batch.intrinsics)
    differences = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), without_noise():
        theirs.save(Path(folder))
        for mode in ("train", "eval"):
            # running statistics move in training mode: start from the file again
            theirs.load(Path(folder))
            getattr(theirs.trainer, f"set_{mode}")()
            expected = theirs.loss(dict(inputs)).item()
            for name in ("fp32", "fp32+cl", "bf16+cl+pairs"):
                ours = OurStep(job, Variant.parse(name), folder, tie_noise=0.0)
                ours.task.train(mode == "train")
                differences[f"{name}, {mode}"] = abs(ours.loss(batch).item() - expected)
    return differences


def print_table(seconds: dict[str, list[float]], memory: dict[str, float], gflop: float | None) -> None:
    """Print times, and ratios to the same variant of another checkout, else to the first one."""
    start = next(iter(seconds))
    heading = f"  {'variant':24}  median s   min s   x median   per round   x min"
    print(heading + "   GFLOP/s" * (gflop is not None) + "   peak GB  of first")
    for name, times in seconds.items():
        first = f"{BEFORE}{name}" if f"{BEFORE}{name}" in seconds else start
        pairs = [a / b for a, b in zip(seconds[first], times, strict=True)]
        spread = f"{min(pairs):.2f}-{max(pairs):.2f}"
        line = f"  {name:24}  {statistics.median(times):8.3f}  {min(times):6.3f}"
        line += f"  {statistics.median(pairs):9.2f}  {spread:>10}  {min(seconds[first]) / min(times):6.2f}"
        if gflop is not None:
            line += f"  {gflop / min(times):8.0f}"
        print(f"{line}  {memory[name]:8.2f}  {memory[name] / memory[first]:8.2f}", flush=True)


def read_arguments() -> Any:
    """Return the checked command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", default="monodepth", help="pre-training method")
    parser.add_argument("--set", nargs="+", default=[], help="its settings, name=value")
    parser.add_argument("--official", type=Path, help="checkout of Monodepth2 to compare monodepth with")
    parser.add_argument("--official-scdepth", type=Path, help="checkout of SC-Depth to compare scdepth with")
    parser.add_argument(
        "--lightly", action="store_true", help=f"compare {', '.join(ON_FRAMES)} with steps made of lightly"
    )
    parser.add_argument("--against", type=Path, help="another checkout of ours to compare with")
    parser.add_argument("--settings", help="WIDTHxHEIGHT:BATCH, several with commas")
    parser.add_argument("--variants", help=f"several with commas; default: {VARIANTS}")
    parser.add_argument("--end-to-end", action="store_true", help="with the loading of the data")
    parser.add_argument("--data", type=Path, help="KITTI folder for that, raw data with its calibration")
    parser.add_argument(
        "--format", choices=["jpg", "png"], help="give the released code a copy of the images in this format"
    )
    parser.add_argument("--steps", type=int, default=7, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=1, help="rounds before that")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of elapsed time")
    parser.add_argument("--losses", action="store_true", help="compare the losses, too (monodepth)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.end_to_end and arguments.data is None:
        parser.error("--end-to-end needs --data KITTI_FOLDER")
    arguments.settings = arguments.settings or SETTINGS.get(arguments.method, "320x96:8")
    arguments.variants = arguments.variants or (END_TO_END if arguments.end_to_end else VARIANTS)
    return arguments


def main() -> None:
    """Serve as a worker, or let workers take turns for each setting."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    for text in arguments.settings.split(","):
        setting = Setting.parse(text)
        job = Job(arguments.method, setting, arguments.set, arguments.official, arguments.official_scdepth)
        if arguments.serve:
            serve(arguments.serve, job, arguments)
        else:
            report(text, job, arguments)


if __name__ == "__main__":
    main()
