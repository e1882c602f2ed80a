"""Times one optimisation step of Monodepth (ResNet-18, mono triplets, Adam), beside the released code.

    python benchmarks/train_step.py --official ../monodepth2
    python benchmarks/train_step.py --official ../monodepth2 --end-to-end --data ../shared/data/kitti_raw

With --end-to-end each step also loads and augments its batch in the same process: the released code from the
images of a KITTI folder (its data set class without workers), ours from a store prepared beforehand.

All variants take turns in one process, so that a disturbance of the machine meets all of them; the ratios are
the median over the rounds and that of the fastest steps. Peak memory is measured with each variant in a
process of its own. Without --official the first variant is what the others are compared with.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from geopretrain.data.batches import ClipBatch
from geopretrain.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.weights import parse_init

SETTINGS = ("640x192:4", "320x96:8")
VARIANTS = "fp32,fp32+cl,fp32+cl+compiled,bf16+cl+pairs,bf16+cl+pairs+compiled"
FASTEST = "bf16+cl+pairs+compiled"
MEMORY_STEPS = 3


@dataclass(frozen=True)
class Variant:
    """How our step is run, spelt ``fp32+cl+pairs+compiled``.

    Attributes:
        precision: ``fp32``, or ``bf16`` for autocast of the networks.
        channels_last: ``cl``, memory order of images and filters.
        pairs: all pose pairs in one batch (changes the batch statistics).
        compiled: the loss compiled.
    """

    precision: str
    channels_last: bool
    pairs: bool
    compiled: bool

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read the spelling."""
        precision, *words = text.split("+")
        if precision not in ("fp32", "bf16") or set(words) - {"cl", "pairs", "compiled"}:
            raise SystemExit(f"Unknown variant {text}: spell it like bf16+cl+pairs+compiled.")
        return cls(precision, "cl" in words, "pairs" in words, "compiled" in words)


@dataclass(frozen=True)
class Setting:
    """Size and batch, spelt ``640x192:4``."""

    size: tuple[int, int]
    batch: int

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Read the spelling."""
        size, batch = text.split(":")
        width, height = size.split("x")
        return cls((int(height), int(width)), int(batch))


class OurStep:
    """One optimisation step of our task.

    Args:
        variant: how it is run.
        weights: folder of weights in the released format, or ``random``.
        noise: standard deviation of the noise that breaks ties.
    """

    def __init__(self, variant: Variant, weights: str = "random", noise: float = 1e-5) -> None:
        config = MonodepthConfig(
            batch_pose_pairs=variant.pairs, compile_loss=variant.compiled, tie_noise=noise
        )
        self.task, _ = Monodepth.create(config, parse_init(weights))
        self.task.train()
        if variant.channels_last:
            self.task.to(memory_format=torch.channels_last)
        self.bf16 = variant.precision == "bf16"
        self.optimizer = torch.optim.Adam(self.task.parameter_groups(1e-4))

    def loss(self, batch: ClipBatch) -> Tensor:
        """Return the loss of one batch."""
        with torch.autocast("cpu", dtype=torch.bfloat16) if self.bf16 else contextlib.nullcontext():
            return self.task.training_loss(batch)[0]

    def step(self, batch: ClipBatch) -> None:
        """Do one optimisation step."""
        self.optimizer.zero_grad()  # before the forward pass, which then has their memory
        self.loss(batch).backward()
        self.optimizer.step()


def make_batch(setting: Setting) -> ClipBatch:
    """Make smooth random pictures that move to the side, for every sample another."""
    torch.manual_seed(0)
    height, width = setting.size
    coarse = torch.rand(setting.batch, 3, height // 8, width // 8 + 4)
    wide = torch.nn.functional.interpolate(coarse, (height, width + 32), mode="bicubic").clamp(0, 1)
    images = torch.stack([wide[..., shift : shift + width] for shift in (16, 14, 18)], 1)
    intrinsics = torch.tensor([[0.58 * width, 0, width / 2], [0, 1.92 * height, height / 2], [0, 0, 1]])
    index = torch.arange(setting.batch)
    return ClipBatch(images, intrinsics.expand(setting.batch, 3, 3), (0, -1, 1), index)


def build(name: str, setting: Setting, official: Path | None) -> Callable[[], None]:
    """Return one step of a variant, or of the released code under the name ``official``."""
    batch = make_batch(setting)
    if name != "official":
        ours = OurStep(Variant.parse(name))
        return lambda: ours.step(batch)
    from official_monodepth2 import OfficialStep, official_inputs

    if official is None:
        raise SystemExit("Give --official PATH to time the released code.")
    theirs = OfficialStep(official, setting.size, setting.batch)
    inputs = official_inputs(batch.images, batch.intrinsics)
    return lambda: theirs.step(dict(inputs))


def time_interleaved(
    steps: dict[str, Callable[[], None]], rounds: int, warmup: int
) -> dict[str, list[float]]:
    """Run the steps in turns and return the seconds of each round after the warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(warmup + rounds):
        progress(f"round {number + 1} of {warmup + rounds}")
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def progress(text: str) -> None:
    """Say what is being done, apart from the results."""
    print(f"  ... {text}", file=sys.stderr, flush=True)


def count_gflop(step: Callable[[], None]) -> float:
    """Return the arithmetic of convolutions and matrix products in one step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def compare_losses(setting: Setting, official: Path) -> dict[str, float]:
    """Return |our loss - theirs| on the same weights and images, without noise."""
    from official_monodepth2 import OfficialStep, official_inputs, without_noise

    batch = make_batch(setting)
    theirs = OfficialStep(official, setting.size, setting.batch)
    inputs = official_inputs(batch.images, batch.intrinsics)
    differences = {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), without_noise():
        theirs.save(Path(folder))
        for mode in ("train", "eval"):
            # running statistics move in training mode: start from the file again
            theirs.load(Path(folder))
            getattr(theirs.trainer, f"set_{mode}")()
            expected = theirs.loss(dict(inputs)).item()
            for name in ("fp32", "fp32+cl+compiled", "bf16+cl+pairs"):
                ours = OurStep(Variant.parse(name), folder, noise=0.0)
                ours.task.train(mode == "train")
                differences[f"{name}, {mode}"] = abs(ours.loss(batch).item() - expected)
    return differences


def end_to_end_steps(
    setting: Setting, names: list[str], arguments: argparse.Namespace, folder: Path
) -> dict[str, Callable[[], None]]:
    """Return steps that load and augment their own batch; what they need is prepared in ``folder``."""
    steps: dict[str, Callable[[], None]] = {}
    for name in names:
        if name == "official":
            data = reencoded(arguments.data, arguments.format, folder) if arguments.format else arguments.data
            steps[name] = _official_end_to_end(setting, arguments.official, data)
        else:
            steps[name] = _our_end_to_end(setting, Variant.parse(name), arguments.data, folder / "store")
    return steps


def _our_end_to_end(setting: Setting, variant: Variant, data: Path, folder: Path) -> Callable[[], None]:
    from geopretrain.data.prepare import prepare

    # prepared by the first variant, found there by the others
    store = prepare(data, folder, size=setting.size, min_motion=0.0, progress=False)
    ours = OurStep(variant)

    def step() -> None:
        numbers = [random.randrange(store.num_samples) for _ in range(setting.batch)]
        ours.step(ours.task.augment(store.read(numbers)))

    return step


def _official_end_to_end(setting: Setting, checkout: Path, data: Path) -> Callable[[], None]:
    from loader import official_batch, official_dataset
    from official_monodepth2 import OfficialStep

    lines, suffix = kitti_samples(data)
    dataset = official_dataset(checkout, data, lines, setting.size, suffix)
    theirs = OfficialStep(checkout, setting.size, setting.batch)

    def step() -> None:
        theirs.step(official_batch(dataset, random.choices(range(len(lines)), k=setting.batch)))

    return step


def kitti_samples(data: Path) -> tuple[list[str], str]:
    """Return the frames of a KITTI folder that have both neighbours, as the released code names them, and
    the suffix of the images.
    """
    found = data.glob("*/*_sync/image_02/data/*.*")
    files = {file.relative_to(data): file for file in found if file.stem.isdigit()}
    suffixes = sorted({file.suffix for file in files})
    if len(suffixes) != 1:
        raise SystemExit(f"{data} must hold DATE/DRIVE_sync/image_02/data of one image format: {suffixes}.")
    lines = []
    for file in sorted(files):
        number = int(file.stem)
        if all(file.with_stem(f"{number + offset:010d}") in files for offset in (-1, 1)):
            lines.append(f"{file.parents[2].as_posix()} {number} l")
    return lines, suffixes[0].lstrip(".")


def reencoded(data: Path, suffix: str, folder: Path) -> Path:
    """Write a KITTI folder's images as ``suffix`` below ``folder``."""
    from PIL import Image

    for file in data.glob("*/*_sync/image_02/data/*.*"):
        copy = (folder / suffix / file.relative_to(data)).with_suffix(f".{suffix}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            image.save(copy, quality=92)
    return folder / suffix


def report_end_to_end(setting_text: str, arguments: argparse.Namespace) -> None:
    """Time steps with their loading and print seconds and ratios to the first."""
    names = ["official"] * bool(arguments.official) + arguments.variants.split(",")
    print(f"\n{setting_text} end to end, {arguments.threads} threads, {arguments.steps} rounds")
    progress("preparing")
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        steps = end_to_end_steps(Setting.parse(setting_text), names, arguments, Path(folder))
        seconds = time_interleaved(steps, arguments.steps, arguments.warmup)
    print_table(seconds, {}, None)


def peak_memory(name: str, setting_text: str, arguments: argparse.Namespace) -> float:
    """Run a few steps of a variant in a fresh process and return its peak resident memory in GB."""
    progress(f"memory of {name}")
    command = [sys.executable, __file__, "--only-memory-of", name, "--settings", setting_text]
    command += ["--threads", str(arguments.threads)]
    if arguments.official:
        command += ["--official", str(arguments.official)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout.split()[-1])


def print_memory(name: str, setting: Setting, official: Path | None) -> None:
    step = build(name, setting, official)
    for _ in range(MEMORY_STEPS):
        step()
    print(_peak_resident_gb())


def _peak_resident_gb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage, whose peak a process inherits from the one that started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    )


def report(setting_text: str, arguments: argparse.Namespace) -> None:
    setting = Setting.parse(setting_text)
    names = ["official"] * bool(arguments.official) + arguments.variants.split(",")
    print(f"\n{setting_text}, {arguments.threads} threads, {arguments.steps} rounds")
    if arguments.official and not arguments.no_losses:
        progress("comparing losses")
        for name, difference in compare_losses(setting, arguments.official).items():
            print(f"  loss differs from the official by {difference:.1e} ({name})")
    steps = {name: build(name, setting, arguments.official) for name in names}
    progress("counting operations")
    gflop = count_gflop(steps[names[0]])
    seconds = time_interleaved(steps, arguments.steps, arguments.warmup)
    del steps
    memory = {name: peak_memory(name, setting_text, arguments) for name in names if not arguments.no_memory}
    print_table(seconds, memory, gflop)


def print_table(seconds: dict[str, list[float]], memory: dict[str, float], gflop: float | None) -> None:
    """Print times, and ratios to the first variant."""
    first = next(iter(seconds))
    heading = f"  {'variant':24}  median s   min s   x median   per round   x min"
    heading += "   GFLOP/s" * (gflop is not None) + "   peak GB  of first" * bool(memory)
    print(heading)
    for name, times in seconds.items():
        pairs = [a / b for a, b in zip(seconds[first], times, strict=True)]
        spread = f"{min(pairs):.2f}-{max(pairs):.2f}"
        line = f"  {name:24}  {statistics.median(times):8.3f}  {min(times):6.3f}"
        line += f"  {statistics.median(pairs):9.2f}  {spread:>10}  {min(seconds[first]) / min(times):6.2f}"
        if gflop is not None:
            line += f"  {gflop / min(times):8.0f}"
        if memory:
            line += f"  {memory[name]:8.2f}  {memory[name] / memory[first]:8.2f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--official", type=Path, help="checkout of the released Monodepth2 to compare with")
    parser.add_argument(
        "--settings", default=",".join(SETTINGS), help="WIDTHxHEIGHT:BATCH, several with commas"
    )
    parser.add_argument("--variants", help=f"several with commas; default: {VARIANTS}; end to end: {FASTEST}")
    parser.add_argument("--end-to-end", action="store_true", help="with the loading of the data")
    parser.add_argument("--data", type=Path, help="KITTI folder for that, raw data with its calibration")
    parser.add_argument(
        "--format", choices=["jpg", "png"], help="give the released code a copy of the images in this format"
    )
    parser.add_argument("--steps", type=int, default=7, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=1, help="rounds before that")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory")
    parser.add_argument("--no-losses", action="store_true", help="leave out the comparison of losses")
    parser.add_argument("--only-memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.end_to_end and arguments.data is None:
        parser.error("--end-to-end needs --data KITTI_FOLDER")
    arguments.variants = arguments.variants or (FASTEST if arguments.end_to_end else VARIANTS)
    torch.set_num_threads(arguments.threads)
    for text in arguments.settings.split(","):
        if arguments.only_memory_of:
            print_memory(arguments.only_memory_of, Setting.parse(text), arguments.official)
        elif arguments.end_to_end:
            report_end_to_end(text, arguments)
        else:
            report(text, arguments)


if __name__ == "__main__":
    main()
