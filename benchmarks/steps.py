"""One optimisation step of every method, ours in several variants and the released ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from geopretrain.data.batches import ClipBatch, LabelledBatch, ViewBatch
from geopretrain.tasks.base import Task
from geopretrain.tasks.building import build_task, task_config
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.training.memory import keep_freed_memory
from geopretrain.training.optimisers import make_optimiser
from geopretrain.weights import parse_init

ON_FRAMES = ("moco", "dino", "mae", "simmim")  # methods that learn from single images, as lightly has them
WORDS = {"cl": "channels_last", "pairs": "pairs", "keep": "keep"}
STEP = Callable[[], None]
Batch = ClipBatch | LabelledBatch | ViewBatch
MIDDLE = Step(50, 100)  # every layer is trained then


@dataclass(frozen=True)
class Variant:
    """How our step is run, spelt ``fp32+cl+pairs+keep``.

    Attributes:
        precision: ``fp32``, or ``bf16`` for autocast of the networks.
        channels_last: ``cl``, memory order of images and filters.
        pairs: whatever can go through a network in one batch does (changes the batch statistics).
        keep: freed memory is kept by the process.
    """

    precision: str
    channels_last: bool = False
    pairs: bool = False
    keep: bool = False

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read the spelling."""
        precision, *words = text.split("+")
        if precision not in ("fp32", "bf16") or set(words) - set(WORDS):
            raise SystemExit(f"Unknown variant {text}: spell it like bf16+cl+pairs+keep.")
        return cls(precision, **{WORDS[word]: True for word in words})


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


@dataclass(frozen=True)
class Job:
    """What is timed.

    Attributes:
        method: of ours.
        setting: size and batch.
        settings: of the method, ``name=value``.
        monodepth2: checkout of the released Monodepth2, for the step named ``official``.
        scdepth: checkout of the released SC-Depth, likewise.
    """

    method: str
    setting: Setting
    settings: Sequence[str] = ()
    monodepth2: Path | None = None
    scdepth: Path | None = None

    @property
    def official(self) -> Path | None:
        """The checkout that this method is compared with."""
        return {"monodepth": self.monodepth2, "scdepth": self.scdepth}.get(self.method)


class OurStep:
    """One optimisation step of our task, as the training loop does it.

    Args:
        job: method and settings.
        variant: how it is run.
        weights: what the task starts from.
        more: further settings of the method.
    """

    def __init__(self, job: Job, variant: Variant, weights: str = "random", **more: Any) -> None:
        if variant.keep and not keep_freed_memory():
            raise SystemExit("This C library cannot be told to keep freed memory: leave +keep away.")
        self.task = create_task(job, {**_switches(job.method, variant), **more}, weights)
        self.task.train()
        if variant.channels_last:
            self.task.to(memory_format=torch.channels_last)
        self.bf16 = variant.precision == "bf16"
        self.optimizer = make_optimiser("adam", self.task.parameter_groups(1e-4), torch.device("cpu"))

    def autocast(self) -> Any:
        """Return the context in which the networks run."""
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.bf16 else contextlib.nullcontext()

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of one batch."""
        with self.autocast():
            return self.task.loss(batch, MIDDLE)[0]

    def step(self, batch: Batch) -> None:
        """Do one optimisation step."""
        self.optimizer.zero_grad()  # before the forward pass, which then has their memory
        self.loss(batch).backward()
        self.optimizer.step()
        with torch.no_grad():
            self.task.after_step(MIDDLE)


def create_task(job: Job, settings: dict[str, Any], weights: str = "random") -> Task:
    """Return our task; the job's own settings take precedence."""
    pairs = (text.split("=", 1) for text in job.settings)
    own = {name: yaml.safe_load(value) for name, value in pairs}
    backbone = {"backbone": own.pop("backbone")} if "backbone" in own else {}  # has an option of its own
    cls = task_class(job.method)
    config = task_config(cls, {**settings, **own}, **backbone)
    return build_task(cls, config, parse_init(weights), seed=0)[0]


def _switches(method: str, variant: Variant) -> dict[str, bool]:
    """Return the variant's settings that this method has."""
    known = [field.name for field in fields(task_class(method).Config)]
    return {name: variant.pairs for name in known if name.startswith("batch_")}


def make_batch(setting: Setting) -> ClipBatch:
    """Make smooth random pictures that move to the side, for every sample another, with all there may be."""
    torch.manual_seed(0)
    batch, (height, width) = setting.batch, setting.size
    coarse = torch.rand(batch, 3, height // 8, width // 8 + 4)
    wide = nn.functional.interpolate(coarse, (height, width + 32), mode="bicubic").clamp(0, 1)
    images = torch.stack([wide[..., shift : shift + width] for shift in (16, 14, 18)], 1)
    intrinsics = torch.tensor([[0.58 * width, 0, width / 2], [0, 1.92 * height, height / 2], [0, 0, 1]])
    intrinsics = intrinsics.expand(batch, 3, 3)
    baseline = torch.eye(4).repeat(batch, 1, 1)
    baseline[:, 0, 3] = -0.54
    rows = torch.linspace(0, 1, height)[:, None].expand(height, width)
    depth = (4 / (0.05 + rows) + 2 * wide[:, :1, :, :width]).contiguous()
    return ClipBatch(
        images=images,
        intrinsics=intrinsics,
        offsets=(0, -1, 1),
        index=torch.arange(batch),
        clip=torch.zeros(batch, dtype=torch.int64),
        stereo=wide[..., :width].contiguous(),
        stereo_intrinsics=intrinsics,
        T_target_to_stereo=baseline,
        depth=depth,
        pseudo_depth=depth,
    )


def build(name: str, job: Job) -> STEP:
    """Return one step of a variant, or under the names ``official`` and ``lightly`` one of others' code."""
    batch = make_batch(job.setting)
    if name == "lightly":
        return _lightly(job, batch)
    if name != "official":
        ours = OurStep(job, Variant.parse(name))
        own = for_task(ours.task, batch)
        return lambda: ours.step(own)
    if job.official is None:
        raise SystemExit(f"Give the checkout of the released code that {job.method} is compared with.")
    if job.method == "monodepth":
        from official_monodepth2 import OfficialStep, official_inputs

        theirs = OfficialStep(job.official, job.setting.size, job.setting.batch)
        inputs = official_inputs(batch.images, batch.intrinsics)
        return lambda: theirs.step(dict(inputs))
    return _official_scdepth(job, batch)


def _lightly(job: Job, batch: ClipBatch) -> STEP:
    from lightly_steps import reference_step

    task = create_task(job, {})
    given, backbone = for_task(task, batch), task.backbone
    views = given.views if isinstance(given, ViewBatch) else (given.images,)
    assert backbone is not None
    return reference_step(job.method, backbone.name, [backbone.normalise(view) for view in views])


def _official_scdepth(job: Job, batch: ClipBatch) -> STEP:
    from official_scdepth import OfficialStep, official_inputs

    version = str(create_task(job, {}).config.version)
    version = version if version.startswith("v") else f"v{version}"
    theirs = OfficialStep(job.scdepth, version)  # type: ignore[arg-type]
    teacher = None if version != "v3" or batch.pseudo_depth is None else batch.pseudo_depth
    inputs = official_inputs(batch.images, batch.intrinsics, teacher)
    return lambda: theirs.step(list(inputs))


def for_task(task: Task, batch: ClipBatch) -> Batch:
    """Return the frames and fields that the task asks for, as a store would; of single images their views."""
    if task.required.alone:
        images = LabelledBatch((255 * batch.images[:, 0]).byte(), None, batch.index)
        return task.train_transform(images)
    frames, names = tuple(task.required.frames), task.required.names
    optional = {"stereo": ("stereo", "stereo_intrinsics", "T_target_to_stereo")}
    kept = {field for name in names for field in optional.get(name, (name,))}
    dropped: dict[str, Any] = dict.fromkeys({*optional["stereo"], "depth", "pseudo_depth"} - kept)
    images = batch.images[:, [batch.offsets.index(frame) for frame in frames]]
    return replace(batch, **dropped, images=images.contiguous(), offsets=frames)
