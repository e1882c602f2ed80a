"""The options of each command; what several commands share is written in ``groups``.

The fields of the last base class come first.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from geopretrain.config.auxiliary import AuxiliaryOptions, MixingOptions, check_auxiliary
from geopretrain.config.describe import BY_NAME
from geopretrain.config.groups import (
    AverageOptions,
    ComputeOptions,
    CurvePoints,
    DataRootOptions,
    DeviceOptions,
    DistributedOptions,
    InitOptions,
    KeptOptions,
    LoopOptions,
    ModeOptions,
    OutputOptions,
    PreservingOptions,
    ProgressOptions,
    RateOptions,
    RecipeOptions,
    Settings,
    SettingsOptions,
    TransferOptions,
    Variants,
    VideoOptions,
    require,
    run_to_resume,
)
from geopretrain.config.labels import (
    LabelledDataOptions,
    LabelledOptions,
    PropagatedOptions,
    ReleasedOptions,
    SubsetBy,
)
from geopretrain.config.launching import LauncherOptions
from geopretrain.config.several import CompareRates, Inits, LabelCounts, Modes, Scales, Seeds
from geopretrain.errors import ConfigError, OptionError, one_of
from geopretrain.schema import (
    AnySize,
    Count,
    Few,
    FilePath,
    Natural,
    Positive,
    Words,
    checked,
)
from geopretrain.tasks.registry import PRETEXTS
from geopretrain.wording import counted

SUPERVISION = {"M": "mono", "S": "stereo", "MS": "both"}
"""The names of Wang et al. for what a depth network learns from."""
Method = Annotated[str, Words("a pre-training method", choices=tuple(PRETEXTS))]


# ---- training
@checked
class TrainCommandOptions(
    ProgressOptions,
    ComputeOptions,
    SettingsOptions,
    LoopOptions,
    KeptOptions,
    DistributedOptions,
    PreservingOptions,
    RecipeOptions,
    RateOptions,
    InitOptions,
    OutputOptions,
):
    """What every training command has."""

    def __post_init__(self) -> None:
        if run_to_resume(self) is None:
            require(self, "out", "data")


@checked
class PretrainOptions(TrainCommandOptions, VideoOptions):
    """Options of ``pretrain``."""

    method: Method = field(default="monodepth", kw_only=False)
    """Pre-training method; ``geopretrain pretrain METHOD --help`` lists its own settings."""
    probe: FilePath | None = None
    """Labelled images that a linear probe of the frozen features is fitted to at each validation."""

    def __post_init__(self) -> None:
        one_of("method", self.method, PRETEXTS)
        super().__post_init__()


@checked
class FinetuneSegmentationOptions(
    TrainCommandOptions,
    MixingOptions,
    AuxiliaryOptions,
    TransferOptions,
    ReleasedOptions,
    PropagatedOptions,
    LabelledOptions,
):
    """Options of ``finetune segmentation``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if run_to_resume(self) is None:
            check_auxiliary(self)


@checked
class FinetuneDetectionOptions(TrainCommandOptions, TransferOptions, LabelledOptions):
    """Options of ``finetune detection``."""


@checked
class FinetuneDepthOptions(TrainCommandOptions, ModeOptions, VideoOptions):
    """Options of ``finetune depth``."""

    supervision: Literal["mono", "stereo", "both", "M", "S", "MS", "labels"] = "mono"
    """What to learn from: mono (M: neighbours in time), stereo (S), both (MS), or labels (measured depth)."""
    labels: Count | None = None
    """Number of pictures with measured depth to learn from, for --supervision labels; left away: all, or
    --subset of them."""
    subset_by: SubsetBy = "chance"
    """How the samples of ``labels`` or ``subset`` are drawn: by chance, or of each clip in proportion to its
    length (sequence)."""
    label_list: FilePath | None = None
    """Text file with the names of the pictures to learn from, one a line, the most worth first, or the folder
    that ``data select`` wrote one into, for --supervision labels; with ``labels`` the first ones of it."""
    evaluate_data: FilePath | None = None
    """What to score on, see evaluate; left away: ``data``, where it is a store with depth."""
    protocol: str | None = None
    """Name of the protocol; left away: the one that suits the data and what the run knows."""
    flip: bool = False
    """Average predictions with those of the mirrored images when scoring."""


# ---- comparing
@checked
class CompareOptions(
    ProgressOptions,
    LauncherOptions,
    ComputeOptions,
    SettingsOptions,
    AverageOptions,
    PreservingOptions,
    MixingOptions,
    AuxiliaryOptions,
    RecipeOptions,
    ReleasedOptions,
    PropagatedOptions,
    LabelledDataOptions,
):
    """Options of ``compare``."""

    inits: Inits = field(default=(), kw_only=False, metadata=BY_NAME)
    """Initialisations with commas: random, imagenet, run folders, weights files; the first is the
    reference."""
    variants: Variants = field(default_factory=dict)
    """Further rows, which are trained in another way, e.g. 'slow={init: imagenet, backbone_lr: 0.1}': a name,
    an initialisation, and options of the fine-tuning that differ from those of all."""
    out: FilePath | None = None
    """Folder to write the comparison into."""
    task: Literal["segmentation", "detection", "depth"] = "segmentation"
    """What is learned with few labels and compared: segmentation (mIoU), detection (mAP of boxes) or depth
    (AbsRel, lower is better)."""
    labels: LabelCounts | None = 16
    """Number of labelled images to learn from, the same ones for all; several with commas, such as 4,16,64,
    are compared one by one, the smaller sets inside the larger; all: every training image, also as one
    of several (4,16,all)."""
    subsets: Few = 1
    """Sets of labelled images that are drawn (with ``subset_seed`` and the seeds after it), each with every
    seed; 3 or more tell how much hangs on which images are labelled."""
    subset_by: SubsetBy | None = None
    """How these are drawn: by chance, or of each sequence of images in proportion to its length (sequence);
    left away: chance for one set, sequence for several."""
    seed_per_set: bool = False
    """Train from each of several sets with one seed, its own (the first set with the first seed), instead of
    from each with every seed: more sets for as many trainings. Needs as many seeds as sets."""
    label_list: FilePath | None = None
    """Text file with the names of chosen images, the most worth first, or the folder that ``data select``
    wrote one into: one set more, of the first ``labels`` of it, which is compared with the drawn ones."""
    supervision: Literal["labels", "mono", "stereo", "both"] = "labels"
    """What depth is learned from: measured depth (labels), or video without labels (mono, stereo, both)."""
    evaluate_data: FilePath | None = None
    """What depth is scored on; left away: ``data``, where it is a store with depth."""
    protocol: str | None = None
    """Protocol that depth is scored under; left away: the one that suits the data."""
    evaluate_on: Literal["test", "val"] = "test"
    """Split that is scored; val while settings are being chosen, so that the test images say something new in
    the end."""
    seeds: Seeds = (0, 1, 2, 3, 4)
    """Number of trainings for each initialisation and mode, at least 2; or the seeds with commas."""
    modes: Modes = ("full", "frozen")
    """What is trained, with commas: full (all layers), encoder (fresh decoder), frozen (same encoder)."""
    lr: CompareRates | None = None
    """Learning rate; several with commas are tried on validation images for each initialisation and mode;
    auto: five around that of the preset, half a power of ten apart, and further ones where an end is best."""
    search_seeds: Few = 2
    """Trainings for each learning rate that is tried; their seeds are not the reported ones."""
    curve_points: CurvePoints = 6
    """Number of evaluations, each at twice the steps of the last, or the steps themselves with commas."""
    patience: Count | None = None
    """End each training when so many validations in a row were no better, after ``steps`` at the latest, and
    score its best weights; validated is on the val split, or on training images that are not learned from."""
    validate_every: Count | None = None
    """Steps between these validations; left away: a twentieth of the steps."""
    backbone: str | None = None
    """Any timm model; left away: that of the runs, or resnet18."""
    pictures: Natural = 4
    """Number of test images to show."""
    keep_networks: bool = True
    """Keep the network of every training, of which hundreds need much space (some 36 MB each with
    EfficientNet-Lite0, 100 with ResNet-18); false: what they scored, their curves and settings alone."""
    overwrite: bool = False
    """Start again from nothing where ``out`` holds a comparison."""

    def __post_init__(self) -> None:
        require(self, "inits", "data", "out")
        check_auxiliary(self)
        self.check_launcher(self.device)
        if self.batch_size == "auto":
            raise OptionError("batch_size", "must be a number, which all trainings of a comparison share.")
        if self.validate_every is not None and self.patience is None:
            raise OptionError("validate_every", "is of trainings that end by validation: add --patience.")
        if self.seed_per_set and self.subsets != len(self.seeds):
            raise OptionError(
                "seed_per_set",
                "trains from each set of labelled images with a seed of its own, and there are "
                f"{counted(self.subsets, 'set')} and {counted(len(self.seeds), 'seed')}: give as many of one "
                "as of the other.",
            )


@checked
class DemoOptions(ProgressOptions):
    """Options of ``demo``; the defaults are chosen so that it ends within 12 minutes on two quiet cores."""

    out: FilePath = field(default="demo", kw_only=False, metadata=BY_NAME)
    """Folder that receives ``store/``, ``depth/``, ``imagenet-depth/``, ``comparison/``, ``measured/``,
    ``metres/`` and ``depth.png``."""
    video: FilePath = "synthetic:street?worlds=16&frames=64&seed=100"
    """Unlabelled video the depth networks are pre-trained on; other worlds than the labelled ones."""
    labelled: FilePath = "synthetic:street"
    """Labelled images; train, val and test come from different worlds."""
    measured: FilePath = "synthetic:street?worlds=8&frames=12&seed=900"
    """Video with measured depth, a few maps of which are learned from; the end of each clip is scored."""
    size: AnySize = (64, 128)
    """Height and width in px to work at."""
    backbone: str = "tf_efficientnet_lite0"
    """Any timm model; compared with ImageNet weights where a package has them (extra ``imagenet-lite``)."""
    steps: Count = 800
    """Optimisation steps of each pre-training."""
    finetune_steps: Count = 30
    """Optimisation steps of each fine-tuning."""
    labels: Count = 8
    """Number of labelled images to learn from."""
    maps: Count = 4
    """Number of measured depth maps to learn from."""
    seeds: Seeds = (0, 1, 2, 3, 4, 5)
    """Trainings for each initialisation; 5 is the least that supports an interval worth printing."""
    modes: Modes = ("full",)
    """What is trained, with commas: full, encoder, frozen."""
    overwrite: bool = False
    """Start again from nothing."""
    open_report: bool = True
    """Show the report in a browser where there is a display."""


@checked
class RecipesOptions:
    """Options of ``recipes``."""

    recipe: str | None = field(default=None, kw_only=False)
    """Show this one whole: stages, settings with their sources, printed numbers; or, by the name of a paper
    such as mesa, which ones it has."""


@checked
class ReproduceOptions(ProgressOptions, LauncherOptions, DistributedOptions, ComputeOptions):
    """Options of ``reproduce``."""

    recipe: str = field(kw_only=False)
    """Name of the recipe, e.g. mesa/table-1 (``geopretrain recipes`` lists them), or a YAML file of yours."""
    data_root: FilePath | None = None
    """Folder that data sets lie in (``geopretrain data list``); left away: $GEOPRETRAIN_DATA_ROOT."""
    tiny: bool = False
    """Run the same commands on synthetic worlds, without data, in a minute or two."""
    small: bool = False
    """Take the recipe's settings for an hour or so of a processor, instead of the paper's."""
    out: FilePath | None = None
    """Folder to write into; left away: in reproduced/, named by recipe and scale."""
    seeds: Seeds | None = None
    """Trainings of each row, a number, or the seeds with commas; left away: those of the recipe."""
    settings: Settings = field(default_factory=dict)
    """Settings of the recipe as name=value, e.g. finetune_steps=500; the report says what differs."""
    dry_run: bool = False
    """Print all commands that would be run, and run none."""
    overwrite: bool = False
    """Start again from nothing where ``out`` holds this recipe."""

    def __post_init__(self) -> None:
        self.check_launcher(self.device)
        if self.tiny and (self.small or self.data_root is not None):
            other = "--small" if self.small else "--data-root"
            raise ConfigError(f"--tiny runs on synthetic worlds, so {other} has no meaning with it.")
        if self.num_nodes > 1:
            raise OptionError(
                "num_nodes",
                "must be 1: each training of a recipe runs on one machine, and --launcher shares them out. "
                "--dry-run prints them: start a training on several machines by itself.",
            )


# ---- looking and scoring
@checked
class EvaluateOptions(ProgressOptions, DeviceOptions, DataRootOptions):
    """Options of ``evaluate``."""

    run: FilePath = field(kw_only=False)
    """Run folder of a method that learns depth or flow, or of a fine-tuning for segmentation or detection."""
    data: FilePath = field(kw_only=False)
    """Store or data set with depth, folder with images/ and depth/, pairs with known flow, or labelled
    images."""
    split: Literal["train", "val", "test"] | None = None
    """Split of labelled images that is scored; left away: test."""
    protocol: str | None = None
    """Name of the protocol; left away: the one that suits the data and what the run knows."""
    frames: Literal["auto", "held_out", "in_sample", "test", "all"] = "auto"
    """Which frames of the store that the run was trained on; auto: held_out."""
    split_file: FilePath | None = None
    """Text file with a line DRIVE FRAME SIDE, or the path of a picture, for each image; or eigen-test, the
    697 frames of KITTI raw."""
    every: Count = 1
    """Take every n-th frame."""
    flip: bool = False
    """Average the prediction with that of the mirrored image."""
    window: AnySize = None
    """Height and width in px of windows that are predicted one by one, e.g. 512x512; where they overlap,
    probabilities of classes are averaged. Left away: the whole image."""
    stride: Count | None = None
    """Rows and columns in px from each window to the next; left away: two thirds of the window."""
    scales: Scales = (1.0,)
    """Factors on the size of the image, with commas, over which probabilities of classes are averaged."""
    csv: bool = False
    """Also write the errors of each image as a table."""
    pictures: Natural = 0
    """Number of images to show: truth, prediction and its errors, in one PNG (of depth)."""
    depth_unit: Positive | None = None
    """Units per metre of 16-bit depth PNGs in depth/, e.g. 256; left away: 1000 (millimetres)."""
    out: FilePath | None = None
    """Folder to write results into; left away: evaluation/ in the run folder."""
