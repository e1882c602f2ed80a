"""Options that several commands share, one group of them a class; commands inherit what they need.

An option is written once, here or in the class of its command: name, type with its range, default, and the
sentence below it. Python keywords, command line, ``--help``, ``config.yaml`` and the pages of the
documentation are made from these classes.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from geopretrain.config.several import Mode, different, parts_of, whole
from geopretrain.errors import OptionError, plain_text
from geopretrain.schema import (
    AnySize,
    BatchSize,
    Best,
    Count,
    Decay,
    Device,
    Few,
    FilePath,
    FilePaths,
    Fraction,
    Keep,
    Natural,
    NonNegative,
    OptimizerName,
    Positive,
    Precision,
    Schedule,
    Seed,
    Strategy,
    Threads,
    Unit,
    Words,
    checked,
    descriptions,
    is_number,
    reads,
)


def require(options: Any, *names: str) -> None:
    """Raise OptionError for the first option of these that was not given."""
    for name in names:
        if getattr(options, name) in (None, "", [], ()):
            raise OptionError(name, f"is missing: {plain_text(descriptions(type(options))[name])}")


def listed(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return one path or several as a list of text."""
    return [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def run_to_resume(options: Any) -> Path | None:
    """Return the folder of the run that is to be continued, None where none is.

    Raises:
        OptionError: ``resume`` and ``out`` name different folders, or neither names one.
    """
    if options.resume is False:
        return None
    if options.resume is True and not options.out:
        raise OptionError("resume", "needs the folder of the run: --resume RUN.")
    folder = Path(options.out if options.resume is True else options.resume)
    if options.out and Path(options.out).absolute() != folder.absolute():
        raise OptionError(
            "resume", f"names '{folder}' and --out names '{options.out}'. Give one folder, to --resume."
        )
    return folder


def _resume(value: Any) -> Any:
    words = value.lower() if isinstance(value, str) else value
    if words in (True, "true", "yes"):
        return True
    if words in (False, "false", "no", "", None):
        return False
    if not isinstance(value, str):
        raise ValueError("true, false, or the folder of the run to continue")
    return value


def settings_of_text(value: Any) -> Any:
    """Return ``['a=1', 'b=x']`` as a dictionary; values are read as YAML."""
    if value in (None, [], ()) or isinstance(value, Mapping):
        return value or {}
    import yaml

    lines = [value] if isinstance(value, str) else value
    pairs = [str(line).partition("=") for line in lines] if isinstance(lines, (list, tuple)) else []
    if not pairs or any(not (name.strip() and sign) for name, sign, _ in pairs):
        raise ValueError("given as name=value")
    try:
        return {name.strip(): _as_yaml(text) for name, _, text in pairs}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError("given as name=value") from error


def _as_yaml(text: str) -> Any:
    """Return the value of a text; a number that YAML has of 017 (15), 1:30 (90) or 1_0 (10) stays text."""
    from geopretrain.records import plain_yaml

    value = plain_yaml(text)
    is_odd = is_number(value) and math.isfinite(value) and not _DECIMAL.fullmatch(text.strip())
    return text.strip() if is_odd else value


def _curve(points: Any) -> Any:
    """Return the number of evaluations, or the steps after which to evaluate, ascending."""
    several = isinstance(points, (list, tuple)) or (isinstance(points, str) and "," in points)
    try:
        chosen = [whole(part) for part in parts_of(points)]
    except (TypeError, ValueError, OverflowError):
        chosen = []
    if not chosen or min(chosen) < 1 or (not several and chosen[0] > MAX_CURVE_POINTS):
        raise ValueError(
            f"a number of evaluations from 1 to {MAX_CURVE_POINTS}, or the steps after which to evaluate, "
            "with commas"
        )
    return tuple(sorted(set(chosen))) if several else chosen[0]


def _loggers(value: Any) -> Any:
    """Return where numbers are written; ``none`` stands alone."""
    names = different(value)
    if "none" in names and len(names) > 1:
        raise ValueError("none alone, or names without it")
    return names


_DECIMAL = re.compile(r"[-+]?(0|[1-9]\d*|\d*\.\d*([eE][-+]?\d+)?)", re.ASCII)
MAX_CURVE_POINTS = 10_000
Resume = Annotated[
    bool | str | os.PathLike[str], reads(_resume), Words("true, false or a run folder", "FOLDER")
]
Settings = Annotated[Mapping[str, Any], reads(settings_of_text), Words("name=value", "NAME=VALUE", many=True)]
Variants = Annotated[
    Mapping[str, Mapping[str, Any]],
    reads(settings_of_text),
    Words("name={init: INIT, option: value}", "NAME={...}", many=True),
]
CurvePoints = Annotated[
    int | tuple[int, ...], reads(_curve), Words("a number of evaluations, or steps", "N", many=True)
]


Saves = Annotated[
    tuple[Literal["picture", "depth", "cloud", "video", "rerun"], ...],
    reads(different),
    Words("picture, depth, cloud, video or rerun", "WHAT", many=True),
]
AutoBatchSize = Annotated[
    Literal["auto"] | BatchSize, Words("auto or a whole number of at least 1", "auto|N")
]
Loggers = Annotated[
    tuple[Literal["tensorboard", "csv", "wandb", "mlflow", "none"], ...],
    reads(_loggers),
    Words("tensorboard, csv, wandb, mlflow or none", "WHERE", many=True),
]
Factor = Annotated[float, Field(gt=0, le=1), Words("a number above 0 and at most 1", "X")]
Momentum = Annotated[float, Field(ge=0, lt=1), Words("a number of at least 0 and below 1", "X")]


@checked
class ProgressOptions:
    """Other options."""

    progress: bool = True
    """Show progress and sentences."""


@checked
class OutputOptions:
    """Where the run goes."""

    out: FilePath | None = None
    """Folder to write the run into."""
    resume: Resume = False
    """Continue the interrupted run in ``out``, or in the folder given here: what is not given is taken from
    the run, and the outcome is the same as without interruption."""
    overwrite: bool = False
    """Start again from nothing where ``out`` holds a run."""


@checked
class DeviceOptions:
    """What computes."""

    device: Device = "auto"
    """What to compute on; auto: a GPU where there is one."""
    threads: Threads | None = None
    """Threads of the processor to compute with; left away: PyTorch's own choice."""


@checked
class ComputeOptions(DeviceOptions):
    """What computes."""

    precision: Precision = "auto"
    """Numbers to compute with; auto: bf16 where the machine computes in it, else fp32."""
    channels_last: bool = True
    """Keep images and filters in the memory order that makes convolutions faster."""


@checked
class InitOptions:
    """What is trained, and from which weights."""

    init: FilePath = "random"
    """Weights to start from: random, imagenet, a run folder or a weights file; starts a NEW run."""
    backbone: str | None = None
    """Any timm model; left away: that of ``init``, resnet18 for random and imagenet."""


@checked
class RateOptions:
    """How it is trained; what is left away is taken from the preset."""

    lr: Positive | None = None
    """Highest learning rate; left away: that of the preset."""


@checked
class RecipeOptions:
    """How it is trained; what is left away is taken from the preset."""

    preset: str = "auto"
    """Named settings of the task, e.g. paper or short; auto: paper on a GPU, short elsewhere."""
    steps: Count | None = None
    """Optimisation steps."""
    batch_size: AutoBatchSize | None = None
    """Samples per step; auto: those of the preset, computed in as few parts as the memory takes."""
    schedule: Schedule | None = None
    """How the learning rate changes with the step."""
    lr_floor: Momentum | None = None
    """Lowest learning rate of the schedule, as a fraction of the highest, e.g. 0.1; 0 to below 1."""
    warmup_steps: Natural | None = None
    """Steps over which the rate rises."""
    optimizer: OptimizerName | None = None
    """What turns gradients into steps."""
    momentum: Momentum | None = None
    """Momentum of sgd."""
    beta2: Momentum | None = None
    """Of adam and adamw: how slowly the mean of squared gradients changes."""
    weight_decay: NonNegative | None = None
    """Decay of the weights at each step, relative to the rate; norms and biases are spared."""
    layer_decay: Factor | None = None
    """Factor on the learning rate from each layer of the backbone to the one below it, at most 1."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient; longer ones are shortened to it."""
    accumulate: Count | None = None
    """Equal parts that the batch of a step is computed in, one after the other, to need less memory."""


@checked
class PreservingOptions:
    """What is kept of the first weights of the backbone; what is left away is taken from the preset."""

    backbone_lr: Unit | None = None
    """Learning rate of the backbone as a fraction of the others, e.g. 0.1; 0: it stands still."""
    backbone_from: Natural | None = None
    """Steps over which the backbone stands still at first, while everything else learns."""
    freeze_norms: bool | None = None
    """Keep the batch-norm statistics of the backbone as they are."""
    feature_distance: NonNegative | None = None
    """Weight in the loss of the relative distance of the backbone's features from those of its first
    weights, e.g. 1."""
    l2_sp: NonNegative | None = None
    """Weight in the loss of half the squared distance of the backbone's weights from the first ones (L2-SP),
    e.g. 0.01."""


@checked
class DistributedOptions:
    """Several devices."""

    devices: Few = 1
    """Processes that train together on a machine, each on a GPU of its own or on a part of the processor;
    the batch of a step stays the same and is divided among them."""
    num_nodes: Few = 1
    """Machines that train together, with as many devices each; torchrun or SLURM starts the command there."""
    strategy: Strategy = "ddp"
    """What each device holds: the whole network (ddp), or a part of it (fsdp, on GPUs)."""
    checkpoint_activations: bool = False
    """Keep less of the forward pass of the backbone and compute it a second time, to need less memory."""
    sync_batchnorm: bool = False
    """Batch-norm statistics over all devices (on GPUs); otherwise each has those of its part of the batch."""


@checked
class AverageOptions:
    """Which weights are kept."""

    ema: Decay | None = None
    """Keep a moving average of the weights, of which this fraction stays at each step, e.g. 0.999; it is what
    is validated and handed on."""


@checked
class KeptOptions(AverageOptions):
    """Which weights are kept."""

    monitor: str | None = None
    """Number of the validation that decides which weights are best, e.g. validation/loss."""
    monitor_best: Best = "auto"
    """Which value of it is best; auto: the lowest of losses and errors, the highest of others."""
    patience: Count | None = None
    """Validations in a row without a better value after which the training ends early."""
    keep: Keep = "last"
    """Weights that are handed on: the last ones, or those of the best validation."""


@checked
class LoopOptions:
    """The run itself."""

    seed: Seed = 0
    """Fixes everything random in the run."""
    validate_every: Count | None = None
    """Steps between validations."""
    checkpoint_every: Count = 100
    """Steps between writings of the checkpoint that --resume needs."""
    log_every: Count = 10
    """Steps averaged into one line of the log."""
    loggers: Loggers = ("tensorboard",)
    """Where else the numbers are written, with commas: tensorboard and csv (into the run), wandb, mlflow; or
    none. metrics.jsonl has them all."""


@checked
class SettingsOptions:
    """Settings of the method or task itself."""

    settings: Settings = field(default_factory=dict)
    """Settings of the method as name=value, e.g. smoothness=0.002."""


@checked
class DataRootOptions:
    """Data sets by name."""

    data_root: FilePath | None = None
    """Folder that data sets lie in, where data is the name of one (``geopretrain data list``); left away:
    $GEOPRETRAIN_DATA_ROOT."""


@checked
class VideoOptions(DataRootOptions):
    """Data without labels."""

    data: FilePaths | None = None
    """Prepared store, or a video, folder of images or data set, which is prepared first."""
    size: AnySize = None
    """Height and width in px to prepare raw data at, e.g. 96x320 (height first)."""
    subset: Fraction | None = None
    """Part of the training samples to learn from, e.g. 5%; left away: all. Kept in subset.json."""
    subset_seed: Seed = 0
    """Fixes which samples these are; smaller subsets lie inside larger ones."""


@checked
class ModeOptions:
    """What is trained."""

    mode: Mode = "full"
    """What is trained: full (encoder and decoder from init), encoder (fresh decoder; of depth without labels
    nothing else is taken over, either), frozen (encoder unchanged; of depth with labels only)."""


@checked
class TransferOptions(ModeOptions):
    """What is scored."""

    curve_points: CurvePoints = 6
    """Number of evaluations, each at twice the steps of the last, or the steps themselves with commas."""
    evaluate_on: Literal["test", "val"] = "test"
    """Split that is scored; val for choosing settings."""
