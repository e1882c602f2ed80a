"""What labelled data offer to learn from: how many there are, and which classes are hardly there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.advice.groups import train_rows
from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.census import census, refuse_overlap
from geopretrain.data.labelled.detect import is_labelled
from geopretrain.data.labelled.labelled_set import BOXES, LABELS, LabelledSet
from geopretrain.data.labelled.object_census import refuse_unlikely
from geopretrain.data.opening import open_dataset
from geopretrain.data.prepare.resolve import is_store
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError, DataError, OptionError
from geopretrain.wording import in_px

Rows = NDArray[np.int64]
DEPTH = Fields(names=("depth",))
FIELDS = {"segmentation": LABELS, "detection": BOXES, "depth": DEPTH}
"""What the labels of each task are."""
MAX_TRAIN, MAX_VAL = 500, 100
"""Training and validation images whose labels are looked at, evenly spread."""
FEW_IMAGES, FEW_PIXELS = 0.1, 0.002
"""Share of the training images, or of their labelled pixels, under which a class is called rare."""
NAMED = 10


@dataclass(frozen=True)
class Labels:
    """Facts of labelled data.

    Attributes:
        path: what was opened.
        kind: of data, in a word or two.
        task: that they are fit for.
        size: (height, width) they are read at, px.
        counts: number of labelled images in each split.
        propagated: training images beside them that labels were only propagated to.
        wanted: number that is to be learned from.
        looked_at: training images whose classes are counted.
        classes: share of the labelled pixels, or of the objects, of each class in the training images.
        rare: classes that hardly occur there.
        absent: classes that do not.
        only_scored: those of them that occur in validation images.
    """

    path: str
    kind: str
    task: str
    size: tuple[int, int]
    counts: dict[str, int]
    propagated: int
    wanted: int
    looked_at: int
    classes: dict[str, float]
    rare: tuple[str, ...]
    absent: tuple[str, ...]
    only_scored: tuple[str, ...]

    @property
    def train(self) -> int:
        """Number of training images."""
        return self.counts["train"]


def open_labels(
    spec: str, task: str | None, size: tuple[int, int] | None
) -> tuple[LabelledSet | FrameStore, str]:
    """Open labelled data for a task, or for the one that they are fit for, which is returned, too.

    Raises:
        DataError: nothing usable is there, or it has no training labels of the task.
        OptionError: a size was asked for frames of a store.
    """
    task = task or _task_of(spec)
    if task == "depth":
        data = _frames(spec, size)
    else:
        data = LabelledSet.open(spec, size=size, names=FIELDS[task].names)
    if not len(data.splits(FIELDS[task])["train"]):
        raise DataError(
            f"'{spec}' has no labelled images in its train split ({data.describe().in_words()}): there is "
            "nothing to learn from. Label some; `geopretrain data select` says which."
        )
    return data, task


def _frames(spec: str, size: tuple[int, int] | None) -> FrameStore | LabelledSet:
    if is_store(spec) and size is not None:
        raise OptionError("size", f"is of images; the frames in '{spec}' are as they were prepared.")
    data = open_dataset(spec, DEPTH, size=size)
    try:
        data.splits(DEPTH)
    except DataError as error:
        raise DataError(
            f"{error} The video comes first and the labelled data second: geopretrain advise VIDEO LABELLED."
        ) from error
    return data


def _task_of(spec: str) -> str:
    if is_store(spec):
        return "depth"
    try:
        fields = LabelledSet.open(spec, names=()).source.fields
    except (DataError, ConfigError) as error:
        if is_labelled(spec):
            raise
        raise DataError(f"{error} Frames with measured depth are labelled data with --task depth.") from error
    for task, needed in FIELDS.items():
        if needed.names[0] in fields:
            return task
    raise DataError(
        f"'{spec}' holds neither class maps nor boxes nor measured depth: there is nothing to learn from."
    )


def facts_of(data: LabelledSet | FrameStore, task: str, labels: int | None) -> Labels:
    """Look at labels of the training and validation images; those of test images are left alone.

    Args:
        data: opened for the task.
        task: that it is for.
        labels: number of images that are to be learned from; None: all.

    Raises:
        DataError: a file cannot be used, a picture is in both splits, or the labels cannot be meant.
        ConfigError: there are fewer labelled images.
    """
    splits, train = data.splits(FIELDS[task]), train_rows(data, FIELDS[task])
    val = splits.get("val", np.zeros(0, np.int64))
    if labels is not None and labels > len(train):
        raise OptionError(
            "labels", f"must be at most {len(train)}, the labelled training images of '{data.path}'."
        )
    looked_at = train[spread_positions(len(train), MAX_TRAIN)], val[spread_positions(len(val), MAX_VAL)]
    occurring = _classes(data, task, *looked_at) if isinstance(data, LabelledSet) else None
    return Labels(
        path=str(data.path),
        kind=data.describe().kind,
        task=task,
        size=data.size,
        counts={split: len(rows) for split, rows in splits.items()} | {"train": len(train)},
        propagated=len(splits["train"]) - len(train),
        wanted=labels or len(train),
        looked_at=len(looked_at[0]),
        classes=occurring[0] if occurring else {},
        rare=occurring[1] if occurring else (),
        absent=occurring[2] if occurring else (),
        only_scored=occurring[3] if occurring else (),
    )


Occurring = tuple[dict[str, float], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _classes(data: LabelledSet, task: str, train: Rows, val: Rows) -> Occurring:
    """Return shares of the classes, and which are rare, absent, and absent but scored."""
    fields, looked_at = FIELDS[task], np.concatenate([train, val])
    data.check(looked_at, fields)
    if len(val):
        refuse_overlap(data, train, val, "val")
    count: Callable[[LabelledSet, Rows], Rows] = _pixels if task == "segmentation" else _objects
    _refuse_senseless(data, task, train, looked_at)
    learned, judged = count(data, train), count(data, val)
    share, images = learned.sum(0) / max(1, learned.sum()), (learned > 0).mean(0)
    names = np.array(data.class_names)
    there, few = share > 0, (images < FEW_IMAGES) | (share < FEW_PIXELS)
    return (
        {str(name): float(part) for name, part in zip(names, share, strict=True)},
        tuple(map(str, names[there & few])),
        tuple(map(str, names[~there])),
        tuple(map(str, names[~there & (judged > 0).any(0)])),
    )


def _refuse_senseless(data: LabelledSet, task: str, train: Rows, looked_at: Rows) -> None:
    if task == "detection":
        refuse_unlikely(data, data.object_counts(train), "training")
    elif (problem := census(data, looked_at).problem()) is not None:
        raise DataError(f"{data.path}: {problem}")


def _pixels(data: LabelledSet, rows: Rows) -> Rows:
    return data.class_pixels(rows)[:, :-1] if len(rows) else np.zeros((0, data.num_classes), np.int64)


def _objects(data: LabelledSet, rows: Rows) -> Rows:
    each = data.object_counts(rows).labels
    found = [np.bincount(labels, minlength=data.num_classes) for labels in each]
    return np.array(found, np.int64).reshape(len(rows), data.num_classes)


def in_words(labels: Labels) -> list[str]:
    """Return facts as sentences."""
    counts = ", ".join(f"{count} {split}" for split, count in labels.counts.items() if count)
    said = [f"{labels.kind}: {counts} labelled images for {labels.task}, {in_px(labels.size)}."]
    if labels.propagated:
        said.append(
            f"Beside them {labels.propagated} to which labels were propagated, which are not looked at."
        )
    if labels.wanted < labels.train:
        are = "is" if labels.wanted == 1 else "are"
        said.append(f"{labels.wanted} of the {labels.train} training images {are} to be learned from.")
    if not labels.classes:
        return said
    of = "pixels" if labels.task == "segmentation" else "objects"
    order = sorted(labels.classes, key=lambda name: -labels.classes[name])
    listed = [f"{name} {_percent(labels.classes[name])}" for name in order if labels.classes[name] > 0]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    said.append(
        f"Classes by {of} of {labels.looked_at} training images, {len(labels.classes)} in all: "
        f"{', '.join(listed[:NAMED])}{more}."
    )
    if labels.rare:
        said.append(f"Rare in the training images, so that few labels may miss them: {_names(labels.rare)}.")
    if labels.absent:
        seen = "" if labels.looked_at == labels.train else f" of the {labels.looked_at} that were looked at"
        said.append(f"In no training label{seen}: {_names(labels.absent)}. Nothing can be learned of that.")
    if labels.only_scored:
        said.append(
            f"{_names(labels.only_scored)} occur in validation images all the same and lower every mean over "
            "the classes: label images that show them first."
        )
    return said


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
