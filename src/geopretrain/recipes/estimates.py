"""What the stages of a plan are likely to take: time of a processor core, memory, disk.

Measured is what a training step costs for each sample and megapixel, of backbones and of methods, by
`benchmarks/recipe_costs.py`; all else is multiplied. That tells minutes from hours and hours from days, no
more: scoring, pictures and reading of data are left out, a frozen encoder costs less, and what nobody has
measured is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geopretrain.recipes.plan import Plan, Step
from geopretrain.schema import parse_size
from geopretrain.study.contests import contest_of
from geopretrain.study.learning_rate import rates_of
from geopretrain.study.twins import WITHOUT_DECODER
from geopretrain.wording import in_megabytes

MEASURED = "one core of an AMD EPYC beside other work, torch 2.15.0, 2026-11-28"
SAMPLES = 4 * 0.03072
"""Samples times megapixels of the steps that were measured: 4 of 96x320."""


@dataclass(frozen=True)
class Cost:
    """What a training step costs, as it was measured.

    Attributes:
        seconds: processor time for each sample and megapixel.
        megabytes: highest memory of the process.
        folder: size of the run folder without checkpoints, MB.
    """

    seconds: float
    megabytes: float
    folder: float = 0.0


BYTES = 3
"""Of a pixel in a store, without right images and depth."""
BASE = 1050.0
"""Memory, MB, of a process that has the libraries and trains next to nothing."""
NUMBERS = 0.5
"""MB of a run folder whose network was not kept."""
USUAL = "resnet18"
BACKBONES: Mapping[str, Cost] = {
    "resnet18": Cost(1.98, 1937, 102),
    "resnet50": Cost(4.18, 3102, 225),
    "tf_efficientnet_lite0": Cost(2.17, 1550, 36),
    "vit_small_patch14_dinov2": Cost(5.32, 2700, 191),
    "swinv2_tiny_window8_256": Cost(4.82, 3312, 237),
    "geopretrain_swinv2_mini": Cost(1.1, 1316, 22),
    "test_resnet": Cost(0.79, 1168, 11),
    "test_vit": Cost(0.91, 1151, 9),
}
"""With `finetune segmentation`, head ``depth``, in the numbers that `--precision auto` takes."""
METHODS: Mapping[str, Cost] = {
    "finetune segmentation": Cost(1.98, 1937),
    "finetune depth": Cost(3.4, 1925),
    "finetune detection": Cost(2.36, 1870),
    "monodepth": Cost(5.89, 2930),
    "scdepth": Cost(14.4, 3137),
    "geometric_flow": Cost(6.5, 2897),
    "depth_supervised": Cost(3.33, 1880),
    "optical_flow": Cost(6.74, 2283),
    "inpainting": Cost(3.97, 1820),
    "simmim": Cost(2.17, 1715),
    "moco": Cost(3.19, 2230),
    "dino": Cost(6.2, 4400),
    "segmentation": Cost(4.46, 1810),
}
"""With `USUAL`."""


@dataclass(frozen=True)
class Estimate:
    """What a stage takes; None where that is not known.

    Attributes:
        seconds: of one core.
        memory: MB, of one process.
        disk: MB.
        frame: disk of a frame, MB, where their number is not known.
    """

    seconds: float | None = None
    memory: float | None = None
    disk: float | None = None
    frame: float | None = None


def estimates(plan: Plan) -> dict[str, Estimate]:
    """Return what each stage takes, and each measured step over all rows and seeds."""
    sizes = {str(step.folder): step.options.size for step in plan.steps if step.command == "data prepare"}
    found = {step.name: _estimate(step, sizes) for step in plan.stages}
    for one in plan.measured:
        for step in one.steps:
            name = f"rows: {step.name.rpartition('/')[2]}"
            found[name] = _sum(found.get(name), _estimate(step, sizes))
    return found


def _sum(one: Estimate | None, other: Estimate) -> Estimate:
    if one is None:
        return other
    memory = None if one.memory is None or other.memory is None else max(one.memory, other.memory)
    return Estimate(_added(one.seconds, other.seconds), memory, _added(one.disk, other.disk))


def _added(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _estimate(step: Step, sizes: Mapping[str, Any]) -> Estimate:
    """Return what a call takes."""
    options, kind = step.options, _kind(step)
    if step.command == "data prepare":
        return Estimate(
            frame=math.prod(options.size) * BYTES / 1e6 if isinstance(options.size, tuple) else None
        )
    cost, method = BACKBONES.get(_option(options, "backbone") or ""), METHODS.get(kind)
    if cost is None or method is None:
        return Estimate()
    usual = BACKBONES[USUAL]
    trainings, steps, batch = _trainings(options), _steps(step), _batch(step)
    disk = trainings * (cost.folder if _option(options, "keep_networks") is not False else NUMBERS)
    size = _pixels(options, sizes)
    if size is None or batch is None:
        return Estimate(disk=disk)
    samples = batch * size / 1e6
    above = (cost.megabytes - BASE) * (method.megabytes - BASE) / (usual.megabytes - BASE)
    memory = BASE + above * samples / SAMPLES
    of_a_step = samples * cost.seconds * method.seconds / usual.seconds
    seconds = None if steps is None else trainings * steps * of_a_step
    return Estimate(seconds, memory, disk)


def _kind(step: Step) -> str:
    """Return what is trained, as `METHODS` calls it."""
    if step.command == "pretrain":
        return str(step.options.method)
    return f"finetune {step.options.task}" if step.command == "compare" else step.command


def _option(options: Any, name: str) -> Any:
    return getattr(options, name, None)


def _trainings(options: Any) -> int:
    """Return how many networks are trained."""
    if not hasattr(options, "inits") or not hasattr(options, "seeds"):
        return 1
    counts = options.labels if isinstance(options.labels, tuple) else (options.labels,)
    listed = _option(options, "label_list") is not None
    sets = [1 if one in (None, "all") else int(options.subsets) for one in counts]
    each = len(options.seeds)  # as many as sets, where each set has its own
    drawn = sum(each if _option(options, "seed_per_set") else count * each for count in sets)
    rates = len(rates_of(options.lr, 1.0)) if isinstance(options.lr, (tuple, str)) else 1
    searched = rates * int(options.search_seeds) * len(counts) if rates > 1 else 0
    modes = contest_of(options.task, options.supervision).modes_of(options, options.settings)
    rows = (len(options.inits) + len(options.variants)) * len(modes)
    if {"full", "encoder"} <= set(modes):  # one training for both
        starts = [*options.inits, *(one.get("init") for one in options.variants.values())]
        rows -= sum(one in WITHOUT_DECODER for one in starts)
    return rows * (drawn + listed * each * len(counts) + searched)


def _preset(step: Step) -> Any:
    """Return the training settings of a transfer by their name; None for other trainings."""
    from geopretrain.tasks.transfer import depth, detection, segmentation_presets

    known: Mapping[str, Mapping[str, Any]] = {
        "finetune segmentation": segmentation_presets.PRESETS,
        "finetune detection": detection.PRESETS,
        "finetune depth": depth.PRESETS,
    }
    return known.get(_kind(step), {}).get(step.options.preset)


def _steps(step: Step) -> int | None:
    """Return the steps of a training; None where they follow from the data."""
    if step.options.steps is not None:
        return int(step.options.steps)
    steps = getattr(_preset(step), "steps", None)
    return None if steps is None else int(steps)


def _batch(step: Step) -> int | None:
    given = step.options.batch_size
    batch = getattr(_preset(step), "batch_size", None) if given in (None, "auto") else given
    return None if batch is None else int(batch)


def _pixels(options: Any, sizes: Mapping[str, Any]) -> int | None:
    """Return the pixels of what a step sees of a sample; None where that is not said."""
    crop = (_option(options, "settings") or {}).get("crop")
    if isinstance(crop, int) and crop:
        return crop * crop
    size = None if isinstance(crop, int) else parse_size(crop)
    size = size or _option(options, "size") or sizes.get(str(_option(options, "data")))
    return size[0] * size[1] if isinstance(size, tuple) else None


def in_words(plan: Plan) -> str:
    """Return a table of what the stages are likely to take, as lines of comment."""
    found = estimates(plan)
    width = max(len(name) for name in found)
    lines = [
        f"# {name:{width}}  {_time(one.seconds):>10}  {_size(one.memory):>10}  {_on_disk(one):>14}"
        for name, one in found.items()
    ]
    known = [one.seconds for one in found.values() if one.seconds is not None]
    total = f"# {'all that is known':{width}}  {_time(sum(known)):>10}"
    return "\n".join(
        [
            f"# likely to take, by the cost of training steps on {MEASURED};",
            "# scoring and reading data are left out, and what it takes on a GPU is not known:",
            f"# {'':{width}}  {'of a core':>10}  {'memory':>10}  {'disk':>14}",
            *lines,
            *([total] if known else []),
        ]
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.2g} {name}" if seconds < 10 * unit else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def _on_disk(one: Estimate) -> str:
    return _size(one.disk) if one.frame is None else f"{one.frame:.2g} MB a frame"


def _size(megabytes: float | None) -> str:
    if megabytes is None:
        return "not known"
    return in_megabytes(megabytes)
