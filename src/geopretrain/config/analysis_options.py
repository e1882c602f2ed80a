"""The options of the commands that look into networks, and at what trainings have left."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from geopretrain.config.describe import BY_NAME
from geopretrain.config.groups import DataRootOptions, DeviceOptions, ProgressOptions
from geopretrain.config.labels import SubsetBy
from geopretrain.config.several import LabelCounts, different
from geopretrain.errors import OptionError
from geopretrain.schema import (
    AnySize,
    Count,
    Few,
    FilePath,
    FilePaths,
    Positive,
    Seed,
    Words,
    checked,
    defaults,
    reads,
)

CKA, ACTIVATIONS, FEATURES = ANALYSES = ("analyse cka", "analyse activations", "analyse features")
"""The commands that look into networks."""
OF_LABELS = ("subsets", "subset_by", "subset_seed", "evaluate_on")
"""Options of ``analyse features`` that say which labelled images probes are fitted and judged on."""
Patterns = Annotated[
    tuple[str, ...], reads(different), Words("names of layers, * for any letters", "PATTERN", many=True)
]
AtOnce = Annotated[int, Field(ge=4, le=4096), Words("a whole number from 4 to 4096", "N")]


@checked
class LookingOptions(ProgressOptions, DeviceOptions, DataRootOptions):
    """Images to look at."""

    size: AnySize = None
    """Height and width in px to look at images at (height first); left away: that of the store, or what is
    usual for the data."""
    split: Literal["train", "val", "test", "all"] = "all"
    """Which images."""
    overwrite: bool = False
    """Replace what an earlier command of this kind wrote."""


@checked
class CkaOptions(LookingOptions):
    """Options of ``analyse cka``."""

    inits: FilePaths = field(kw_only=False)
    """One network, whose layers are compared with each other, or two, layer against layer: run folders,
    imagenet, random, or weights files."""
    data: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Images that both look at: a store, labelled images, images:FOLDER, or a video."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder to write the numbers (cka.json, cka.csv) and the map (cka.png) into."""
    backbone: str | None = None
    """Any timm model, for imagenet, random and weights files; left away: that of the other network, what
    the weights look like, or resnet18."""
    layers: Patterns | None = None
    """Layers of timm's model by name, with * for any letters, e.g. 'blocks.*' 'layer?.*.conv2'; left away:
    the nine of MeSa for Swin-v2, for others those that their features are from."""
    samples: Literal["pooled", "flattened", "positions"] = "pooled"
    """What is compared: the mean of each image over its positions (pooled), whole maps (flattened), or cells
    of images, each on its own (positions)."""
    cells: Count = 4
    """Rows and columns of cells that positions are averaged to, at most those of the smallest map."""
    images: Count = 512
    """Images to look at, at most, evenly spread over the data."""
    batch_size: AtOnce = 32
    """Images at a time: the numbers are means over batches, and memory does not grow with the images."""


@checked
class ActivationsOptions(LookingOptions):
    """Options of ``analyse activations``."""

    runs: FilePaths = field(kw_only=False)
    """Runs that predict classes or depth, a column each."""
    data: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Images to look at: a store, labelled images, images:FOLDER, or a video."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder to write the picture (activations.png) and the maps (activations.npz) into."""
    layer: str | None = None
    """Layer of timm's model by name; left away: the first that features are taken from, which of a ResNet is
    the activation before pooling."""
    images: Count = 4
    """Images to look at, evenly spread over the data."""


@checked
class FeaturesOptions(ProgressOptions, DeviceOptions, DataRootOptions):
    """Options of ``analyse features``."""

    inits: FilePaths = field(kw_only=False)
    """Initialisations: run folders, imagenet, random, or weights files; how far weights have moved is told
    from the first."""
    data: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Labelled images (class maps) that probes are fitted and judged on."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder to write the numbers (features.json, features.csv, moved.csv, labels.csv) and pictures
    (moved.png, labels.png) into."""
    backbone: str | None = None
    """Any timm model, for imagenet, random and weights files; left away: that of another one, what the
    weights look like, or resnet18."""
    size: AnySize = None
    """Height and width in px to read the images at (height first); left away: what is usual for the data."""
    labels: LabelCounts | None = None
    """Numbers of labelled images to fit further linear probes on, with commas, such as 4,16,64,all: what each
    initialisation is worth with so many labels, judged on the whole split."""
    subsets: Few = 6
    """Sets of labelled images that are drawn for these (with ``subset_seed`` and the seeds after it), the
    same ones for each initialisation."""
    subset_by: SubsetBy | None = None
    """How these are drawn: by chance, or of each sequence of images in proportion to its length (sequence);
    left away: chance for one set, sequence for several."""
    subset_seed: Seed = 0
    """Fixes which images these are; smaller sets lie inside larger ones."""
    evaluate_on: Literal["test", "val"] = "val"
    """Split that these are judged on; test for what nothing is chosen by."""
    overwrite: bool = False
    """Replace what an earlier command of this kind wrote."""

    def __post_init__(self) -> None:
        standard = defaults(FeaturesOptions)
        alone = [name for name in OF_LABELS if getattr(self, name) != standard[name]]
        if alone and self.labels is None:
            raise OptionError(alone[0], "is of probes with several numbers of labels: add --labels 4,16,all.")


@checked
class ReportOptions(ProgressOptions):
    """Options of ``report``."""

    folder: FilePath = field(kw_only=False)
    """Folder with comparisons, pre-trainings, fine-tunings, recipes and maps of layers in any mixture; or the
    folder of one of them."""
    out: FilePath | None = None
    """File to write the page into; left away: ``report.html`` in that folder, ``runs.html`` in that of a
    recipe, which has a ``report.html`` of its own."""
    watch: bool = False
    """Write the page anew while something is trained, until everything is finished or Ctrl-C; a browser that
    shows it follows. Where nothing has begun yet it waits."""
    interval: Positive = 10
    """Seconds from one page to the next while watching."""
