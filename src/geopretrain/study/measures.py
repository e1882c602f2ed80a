"""The number that a comparison is about: its name, which way is better, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from geopretrain.wording import counted, number


@dataclass(frozen=True)
class Measure:
    """A score of trained networks.

    Attributes:
        key: of the score in results and records.
        name: in sentences, tables and figures.
        second: key of a score that is shown beside it.
        second_name: its name.
        by_class: key of the score of each class; None where there are no classes.
        lower: whether less of it is better.
        percent: whether it is a fraction, written in percent, and differences in points.
        residual: key of the residual information (bits a pixel) that is told beside it; None where the task
            has none.
        learned: what networks learn from, counted: ``label``, or ``sample`` where nothing is labelled.
    """

    key: str
    name: str
    second: str
    second_name: str
    by_class: str | None = None
    lower: bool = False
    percent: bool = True
    residual: str | None = None
    learned: str = "label"

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Measure:
        """Return that of a finished comparison; earlier versions compared segmenters only.

        What they did not know of, the residual information, belongs to the measure all the same: it is shown
        as not measured.
        """
        told = results.get("measure")
        if told is None:
            return MIOU
        found = cls(**told)
        return replace(found, residual=MIOU.residual) if found.key == MIOU.key else found

    def counted(self, count: int | None) -> str:
        """Return ``16 labels``, or ``16 samples``; None is 0."""
        return counted(count or 0, self.learned)

    @property
    def images(self) -> str:
        """What these are: ``labelled images``, or ``samples of the video``."""
        return "labelled images" if self.learned == "label" else "samples of the video"

    @property
    def scale(self) -> float:
        """What scores are multiplied by where they are shown."""
        return 100.0 if self.percent else 1.0

    @property
    def decimals(self) -> int:
        """Digits behind the point."""
        return 1 if self.percent else 3

    @property
    def title(self) -> str:
        """Name with unit, for heads of columns: ``mIoU, %``."""
        return f"{self.name}, %" if self.percent else self.name

    @property
    def second_title(self) -> str:
        """The same of the second score."""
        return f"{self.second_name}, %" if self.percent else self.second_name

    @property
    def direction(self) -> str:
        """``higher is better`` or ``lower is better``."""
        return "lower is better" if self.lower else "higher is better"

    @property
    def difference_title(self) -> str:
        """What differences are counted in: ``points of mIoU``, or ``AbsRel, lower is better``."""
        return f"points of {self.name}" if self.percent else f"{self.name}, {self.direction}"

    def show(self, value: float, *, sign: bool = False) -> str:
        """Write a score or a difference with a real minus sign, fractions in percent."""
        return number(self.scale * value, f"{'+' if sign else ''}z.{self.decimals}f")

    def shift(self, value: float) -> str:
        """Write a difference with its unit: ``+0.7 points``, ``-0.012``."""
        return self.show(value, sign=True) + (" points" if self.percent else "")

    def shift_of(self, value: float) -> str:
        """Write a difference with its name: ``+0.7 points of mIoU``, ``-0.012 of AbsRel``."""
        return f"{self.shift(value)} of {self.name}"

    def with_direction(self) -> str:
        """Return the name, and that less is better where it is."""
        return f"{self.name} ({self.direction})" if self.lower else self.name


RESIDUAL_KEY = "residual_information"
MIOU = Measure("miou", "mIoU", "pixel_accuracy", "pixel accuracy", "iou", residual=RESIDUAL_KEY)
BOX_MAP = Measure("box_map", "mAP", "box_map_50", "mAP50", "box_ap")
ABS_REL = Measure("abs_rel", "AbsRel", "rmse", "RMSE, m", lower=True, percent=False)
RESIDUAL = Measure(RESIDUAL_KEY, "residual information, bits a pixel", "", "", lower=True, percent=False)
"""What is left unknown about the labels, see `geopretrain.metrics.residual`; told beside mIoU."""
