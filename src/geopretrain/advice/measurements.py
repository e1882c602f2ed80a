"""What pre-trainings were worth where that was measured (``measured.yaml``), and what is nearest to a case.

A row of the file is all that a new measurement needs: what is nearest, and what follows from it, is found by
the rules here and in ``rules``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from geopretrain.errors import DataError
from geopretrain.records import Finite, Length, Text, as_type, read_yaml
from geopretrain.wording import counted, sides

TABLE = Path(__file__).with_name("measured.yaml")
AS_OURS = "It must look like advice/measured.yaml of the package; docs/advise.md shows a row."
KINDS = ("same", "related", "other")
"""How far the video was from the labelled images, in steps."""
TIE = 0.5
"""Distance by which a study may be farther than the nearest one and still be looked at."""
FAR = 1.5
"""Distance beyond which a study says little of a case."""
OTHER_BACKBONE = 0.5
OTHER_CAMERA = 1.0
LESS_ALIKE = 2.0
"""Of a step by which the video of a case is less alike than that of a study: gains need not reach so far."""
Camera = Literal["moves", "turns"]
Word = Annotated[Text, Field(min_length=1)]


@dataclass(frozen=True)
class Effect:
    """What one pre-training added to another beginning.

    Attributes:
        added: method of ``pretrain``, or ``imagenet``.
        to: what it began with and is compared with: ``imagenet``, ``random`` or another method.
        trained: what was fine-tuned afterwards: full, encoder, frozen, or linear for a linear layer on the
            last features.
        effect: difference; above 0 is better.
        interval: of 95 %, paired; None where no spread is known.
        trainings: of each of the two that are compared.
        pretrain: method and options that repeat it.
        remark: what else must be known, a sentence.
    """

    added: Word
    to: Word
    trained: Literal["full", "encoder", "frozen", "linear"]
    effect: Finite
    trainings: Length
    interval: tuple[Finite, Finite] | None = None
    pretrain: Text = ""
    remark: Text = ""


@dataclass(frozen=True)
class Study:
    """Effects that were measured under one condition.

    Attributes:
        data: video and labelled data, in words.
        task: that was learned.
        unit: of the effects, e.g. ``points of mIoU``.
        domain: how like the labelled images the video is, by ``advise``; None where no video was used.
        camera: what it mostly does in the video, by ``advise``: ``moves``, or ``turns``, which shows no
            depth; None where that is not known, or no video was used.
        labels: images that were learned from.
        backbone: timm model.
        size: (height, width) of the labelled images, px.
        samples: of the video that were learned from, None without.
        protocol: how it was scored, a clause.
        where: page and entry that tell more.
        effects: measured ones.
    """

    data: Word
    task: Literal["segmentation", "detection", "depth"]
    unit: Word
    labels: Length
    backbone: Word
    size: tuple[Length, Length]
    protocol: Word
    where: Word
    effects: list[Effect]
    domain: Literal["same", "related", "other"] | None = None
    camera: Camera | None = None
    samples: Length | None = None


@dataclass(frozen=True)
class Case:
    """What a measurement is looked for.

    Attributes:
        task: that is to be learned.
        labels: number of labelled images.
        domain: how like these the video is; ``unknown`` is none of them.
        backbone: timm model.
        camera: what it mostly does in the video, None where that is not known.
    """

    task: str
    labels: int
    domain: str
    backbone: str
    camera: Camera | None = None


@dataclass(frozen=True)
class Found:
    """An effect with the study it is of, and how far that is from the case.

    Attributes:
        effect: what was measured.
        study: under which condition.
        distance: see `distance`.
    """

    effect: Effect
    study: Study = field(repr=False)
    distance: float


def studies(more: str | Path | None = None) -> list[Study]:
    """Return our studies, and those of a file of the user.

    Raises:
        DataError: the file cannot be read or is of another form.
    """
    found = _read(TABLE, "Install geopretrain again.")
    return found if more is None else [*found, *_read(Path(more), AS_OURS)]


def _read(file: Path, advice: str) -> list[Study]:
    content = read_yaml(file, error=DataError, advice=advice)
    found: list[Study] = as_type(list[Study], content, file, error=DataError, advice=advice)
    for number, study in enumerate(found):
        for effect in study.effects:
            if effect.interval is not None and not effect.interval[0] <= effect.effect <= effect.interval[1]:
                raise DataError(
                    f"'{file}': the effect {effect.effect:g} of [{number}] ({effect.added}) must lie inside "
                    f"its interval, {list(effect.interval)}. {advice}"
                )
    return found


def distance(study: Study, case: Case, *, with_video: bool) -> float:
    """Return how far a study is from a case.

    Numbers of labels four times apart count 1, each step of same, related, other 1, or 2 where the video of
    the case is the less alike one, another backbone 0.5, a camera that moves and one that turns 1.

    Args:
        study: with the condition it was made under.
        case: to compare it with.
        with_video: whether the video matters, which it does not for ImageNet's weights.
    """
    found = abs(log2(study.labels / case.labels)) / 2
    found += OTHER_BACKBONE * (study.backbone.partition(".")[0] != case.backbone.partition(".")[0])
    if with_video and study.domain in KINDS and case.domain in KINDS:
        steps = KINDS.index(case.domain) - KINDS.index(study.domain)
        found += max(LESS_ALIKE * steps, -steps)
    if with_video and None not in (study.camera, case.camera):
        found += OTHER_CAMERA * (study.camera != case.camera)
    return found


def nearest(among: Sequence[Study], case: Case, to: str, *, imagenet: bool = False) -> list[Found]:
    """Return effects on what one begins with, of the studies of the task that are nearest to a case.

    Args:
        among: all studies.
        case: that is asked about.
        to: what one begins with.
        imagenet: what ImageNet's weights add, instead of what all other pre-trainings do.

    Returns:
        Best first: with the highest lower end of the interval; those without one come last.
    """
    found = [
        Found(effect, study, distance(study, case, with_video=not imagenet))
        for study in among
        if study.task == case.task
        for effect in study.effects
        if effect.to == to and (effect.added == "imagenet") is imagenet
    ]
    least = min((one.distance for one in found), default=0.0)
    near = [one for one in found if one.distance <= least + TIE]
    return sorted(
        near, key=lambda one: (one.effect.interval is None, -_lower(one.effect), -one.effect.effect)
    )


def _lower(effect: Effect) -> float:
    return effect.effect if effect.interval is None else effect.interval[0]


def in_words(found: Sequence[Found]) -> list[str]:
    """Return a line for each study, and below it one for each of its effects."""
    lines = []
    for study in {id(one.study): one.study for one in found}.values():
        size, own = sides(study.size), [one.effect for one in found if one.study is study]
        lines.append(
            f"{study.data[0].upper()}{study.data[1:]}: {counted(study.labels, 'label')}, {study.backbone}, "
            f"{size}, {study.protocol} ({study.where}), in {study.unit}:"
        )
        lines += [_line(effect) for effect in own]
    return lines


def _line(effect: Effect) -> str:
    trained = {
        "full": "all layers",
        "encoder": "fresh decoder",
        "frozen": "encoder frozen",
        "linear": "linear",
    }
    after = "instead of random numbers" if effect.to == "random" else f"after {effect.to}"
    spread = "no interval" if effect.interval is None else "[{:+z.3g}, {:+z.3g}]".format(*effect.interval)
    times = f"{effect.trainings} trainings each" if effect.trainings > 1 else "one training each"
    what = f"{effect.added} {after}, {trained[effect.trained]}"
    remark = f". {effect.remark}" if effect.remark else ""
    return f"  {what:50}  {effect.effect:+z.3g} {spread}, {times}{remark}"
