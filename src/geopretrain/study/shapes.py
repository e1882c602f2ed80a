"""What ``comparison.json`` holds, as far as table, files and report read it; checked when it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from geopretrain.records import Colour, Index, Object, Real, Text
from geopretrain.runs.shapes import NetworkErrors

Score = Real | None
Picture = Annotated[Text, Field(pattern=r"^figures/[^/\\]+$")]


def _moment(value: Any) -> Any:
    datetime.fromisoformat(value if isinstance(value, str) else "")
    return value


@dataclass(frozen=True)
class Difference:
    """How an initialisation differs from the first."""

    values: list[Real]
    mean: Real
    sd: Real
    low: Real
    high: Real
    level: Real
    lower: bool = False
    over: Literal["seeds", "pairs", "subsets"] = "seeds"
    by_subset: list[Real] = field(default_factory=list)
    pooled: tuple[Real, Real] | None = None
    free: Real | None = None


@dataclass(frozen=True)
class Line:
    """A row of the table; version 0.1 called the step an iteration, and 0.2 the second score by its name."""

    mode: Text
    init: Text
    seeds: list[Index]
    values: list[Real]
    mean: Score
    sd: Score
    difference: Difference | None
    second: Score = None
    pixel_accuracy: Score = None
    step: Index | None = None
    iteration: Index | None = None
    labels: Index | None = None
    subsets: list[Index] = field(default_factory=list)
    subset_sd: Score = None
    trained: list[Index] = field(default_factory=list)
    at_limit: Index = 0
    residuals: list[Score] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """What an initialisation was initialised from."""

    init: Text


@dataclass(frozen=True)
class Initialisation:
    """One that was compared."""

    name: Text
    description: Text
    settings: Object
    chain: list[Step]
    depth: dict[str, NetworkErrors]


@dataclass(frozen=True)
class Classes:
    """Names and colours."""

    names: list[Text]
    colours: list[tuple[Colour, Colour, Colour]]


@dataclass(frozen=True)
class Rate:
    """A learning rate that was tried."""

    lr: Annotated[Real, Field(gt=0)]
    values: list[Real]
    mean: Score
    sd: Score
    diverged: Index = 0


@dataclass(frozen=True)
class Search:
    """The rates of an initialisation in a mode."""

    mode: Text
    init: Text
    chosen: Real
    rates: list[Rate]
    at_end: Text | None
    labels: Index | None = None


@dataclass(frozen=True)
class CurvePoint:
    """When a training was scored; version 0.1 called the step an iteration."""

    step: Index | None = None
    iteration: Index | None = None


@dataclass(frozen=True)
class Trained:
    """A training that ended with scores."""

    init: Text
    mode: Text
    seed: Index
    curve: list[CurvePoint]


@dataclass(frozen=True)
class Failure:
    """A training that failed."""

    trial: Text
    error: Text


@dataclass(frozen=True)
class Shown:
    """A test image and what was made of it."""

    name: Text
    image: Picture
    truth: Picture
    predictions: dict[str, dict[str, Picture]]
    depth: dict[str, Picture]


@dataclass(frozen=True)
class Splits:
    """Number of images."""

    train: Index
    val: Index
    test: Index


@dataclass(frozen=True)
class Drawn:
    """One of several sets of labelled images."""

    labels: Index
    subset: Index
    names: list[Text]
    sequences: dict[str, Index]


@dataclass(frozen=True)
class Ending:
    """What ended trainings by validation."""

    patience: Index
    validate_every: dict[str, Index]
    monitor: Text
    split: Text
    images: Index


@dataclass(frozen=True)
class Course:
    """How a training went that validation ended."""

    init: Text
    mode: Text
    validation: list[tuple[Index, Score]]
    kept_step: Index
    labels: Index | None = None


@dataclass(frozen=True)
class Choice:
    """Chosen labelled images against drawn ones, for an initialisation."""

    mode: Text
    init: Text
    chosen: Real
    chosen_sd: Score
    drawn: Real
    subsets: Index
    beaten: Index
    difference: Difference | None
    sentence: Text
    labels: Index | None = None


@dataclass(frozen=True)
class OfMethod:
    """Several pre-trainings of one method against the first initialisation."""

    name: Text
    inits: list[Text]
    mode: Text
    mean: Real
    means: list[Real]
    difference: Difference | None
    low: Score
    high: Score
    sentence: Text
    labels: Index | None = None


@dataclass(frozen=True)
class Saved:
    """What an initialisation saves against the first, in labels or in steps; None: more than was tried."""

    mode: Text
    init: Text
    sentence: Text
    labels: Index | None = None
    needed: Score = None
    low: Score = None
    high: Score = None
    steps: list[Score] = field(default_factory=list)
    last: Index | None = None


@dataclass(frozen=True)
class PrintedLine:
    """A number of a paper, and ours, in its unit."""

    words: Text
    init: Text
    mode: Text
    labels: Index | None
    paper: Real
    ours: Score
    sd: Score
    number: Text = ""


@dataclass(frozen=True)
class Beside:
    """What a paper says that a comparison is a recipe for."""

    paper: Text
    item: Text
    lines: list[PrintedLine]
    differs: list[Text]
    question: Text = ""
    claim: Text = ""


@dataclass(frozen=True)
class Losses:
    """The mean loss of an initialisation over the steps of its trainings."""

    init: Text
    mode: Text
    steps: list[Index]
    means: list[Real]
    sds: list[Score]
    labels: Index | None = None


@dataclass(frozen=True)
class Protocol:
    """How the numbers were made."""

    created: Annotated[Text, BeforeValidator(_moment)]
    data: Text
    data_description: Text
    splits: Splits
    labels: Index
    subset_seed: Index
    subset: list[Text]
    size: Text
    backbone: Text
    preset: Text
    steps: Index
    batch_size: Index
    precision: Text
    learning_rates: Annotated[list[Real], Field(min_length=1)]
    seeds: list[Index]
    search_seeds: list[Index]
    score: Text
    training_seconds: Real
    hardware: Text
    versions: dict[str, Text]
    command: Text
    schedule: Text | None
    warmup_steps: Index | None
    label_counts: list[Index] = field(default_factory=list)
    subset_seeds: list[Index] = field(default_factory=list)
    subset_by: Text = "chance"
    seed_per_set: bool = False
    drawn: list[Drawn] = field(default_factory=list)
    ending: Ending | None = None
    scored_on: Literal["test", "val"] = "test"
    label_list: Text | None = None
    chosen: list[Text] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """The score, see `geopretrain.study.measures.Measure`."""

    key: Text
    name: Text
    second: Text
    second_name: Text
    lower: bool
    percent: bool
    by_class: Text | None
    residual: Text | None = None
    learned: Literal["label", "sample"] = "label"


@dataclass(frozen=True)
class Results:
    """The whole of it."""

    headline: Text
    sentences: list[Text]
    cautions: list[Text]
    inits: Annotated[list[Initialisation], Field(min_length=1)]
    modes: list[Text]
    classes: Classes
    summary: list[Line]
    per_class: dict[str, Annotated[dict[str, list[Score]], Field(min_length=1)]]
    learning_rates: list[Search]
    failures: list[Failure]
    pictures: list[Shown]
    protocol: Protocol
    task: Text = "segmentation"
    measure: Measured | None = None
    confusions: dict[str, Picture] = field(default_factory=dict)
    courses: list[Course] = field(default_factory=list)
    choice: list[Choice] = field(default_factory=list)
    pretrainings: list[OfMethod] = field(default_factory=list)
    efficiency: list[Saved] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)
    printed: Beside | None = None
    trials: list[Trained] = field(default_factory=list)


def contradictions(results: Results) -> Iterator[tuple[str, str]]:
    """Yield (field, what it must be) where parts of the results do not fit together."""
    inits, modes = {one.name for one in results.inits}, set(results.modes)
    names = len(results.classes.names)
    if len(results.classes.colours) != names:
        yield "classes.colours", "as many as there are names"
    if not {row.init for row in results.summary} | {one.init for one in results.learning_rates} <= inits:
        yield "inits", "all that numbers are given of"
    if not {row.mode for row in results.summary} | {one.mode for one in results.learning_rates} <= modes:
        yield "modes", "all that numbers are given of"
    if any(row.step is None and row.iteration is None for row in results.summary):
        yield "summary", "of rows that say their step"
    if any(point.step is None and point.iteration is None for one in results.trials for point in one.curve):
        yield "trials", "of points that say their step"
    if any(len(row.seeds) != len(row.values) for row in results.summary):
        yield "summary", "of rows with a value for each seed"
    if any(len(row.subsets) not in (0, len(row.seeds)) for row in results.summary):
        yield "summary", "of rows with a subset for each seed"
    if any(not len(one.steps) == len(one.means) == len(one.sds) for one in results.losses):
        yield "losses", "of as many steps as means and standard deviations"
    if not {one.init for one in results.losses} <= inits or not {one.mode for one in results.losses} <= modes:
        yield "losses", "of the initialisations and modes"
    if len({row.labels is None for row in results.summary}) > 1:
        yield "summary", "of rows that all say their labels, or none"
    if any(len(row.trained) not in (0, len(row.seeds)) for row in results.summary):
        yield "summary", "of rows with the steps of each training"
    if any(len(row.residuals) not in (0, len(row.seeds)) for row in results.summary):
        yield "summary", "of rows with the residual information of each training"
    if any(row.difference is not None and not row.difference.values for row in results.summary):
        yield "summary", "of rows whose differences have values"
    columns = [column for of in results.per_class.values() for column in of.items()]
    if any(name not in inits or len(values) != names for name, values in columns):
        yield "per_class", "of the initialisations, with a value for each class"
    predicted = {name for one in results.pictures for of in one.predictions.values() for name in of}
    if not predicted <= inits or len({tuple(one.depth) for one in results.pictures}) > 1:
        yield "pictures", "by the initialisations, and of the same ones for every image"
    if "geopretrain" not in results.protocol.versions:
        yield "protocol.versions", "those of the libraries and of geopretrain"
