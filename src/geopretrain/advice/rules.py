"""From measurements to an answer: does it add, how much may be expected, and how sure is that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geopretrain.advice.measurements import FAR, Case, Found, Study, nearest
from geopretrain.wording import counted

Verdict = Literal["adds", "costs", "not shown", "not measured"]
LEAST_TRAININGS = 3
"""Trainings of each without which an interval is not believed."""


@dataclass(frozen=True)
class Answer:
    """What measurements say of adding a pre-training to a beginning.

    Attributes:
        to: beginning.
        verdict: adds, costs, not shown, or not measured.
        expected: interval of the gain that may be expected, with the best one's interval widened for the
            number of those tried; None where no interval is known.
        best: measurement that this is from.
        tried: how many of them decide.
        nearest: all that were looked at.
        far: sentences on how its condition differs from the case.
    """

    to: str
    verdict: Verdict
    expected: tuple[float, float] | None
    best: Found | None
    tried: int
    nearest: tuple[Found, ...]
    far: tuple[str, ...]

    @property
    def near(self) -> bool:
        """Whether it was measured near enough to the case to be relied on."""
        return self.best is not None and self.best.distance <= FAR


def answer(among: Sequence[Study], case: Case, to: str, *, imagenet: bool = False) -> Answer:
    """Answer whether a pre-training adds to a beginning in a case, by the nearest measurements.

    What trains all layers decides, where it was measured. Of several that were tried one looks better than
    it is: its interval is widened as Bonferroni does, and only if that lies above 0 it is said to add.
    """
    found = nearest(among, case, to, imagenet=imagenet)
    told = [one for one in found if one.effect.interval and one.effect.trainings >= LEAST_TRAININGS]
    decisive = [one for one in told if one.effect.trained == "full"] or told
    if not decisive:
        best = found[0] if found else None
        return Answer(to, "not measured", None, best, 0, tuple(found), _differences(best, case))
    widened = {id(one): _widened(one, len(decisive)) for one in decisive}
    best = max(decisive, key=lambda one: widened[id(one)][0])
    verdict: Verdict = "not shown"
    if widened[id(best)][0] > 0:
        verdict = "adds"
    elif all(high < 0 for _, high in widened.values()):
        verdict = "costs"
    differences = _differences(best, case)
    return Answer(to, verdict, widened[id(best)], best, len(decisive), tuple(found), differences)


def _widened(found: Found, tried: int) -> tuple[float, float]:
    """Return the interval of one of several that were tried, by Bonferroni and Student's t."""
    from scipy.stats import t

    effect = found.effect
    assert effect.interval is not None
    freedom = effect.trainings - 1
    factor = float(t.ppf(1 - 0.025 / tried, freedom) / t.ppf(0.975, freedom))
    low, high = effect.interval
    return effect.effect - factor * (effect.effect - low), effect.effect + factor * (high - effect.effect)


def _differences(found: Found | None, case: Case) -> tuple[str, ...]:
    """Return what is other in a case than where it was measured."""
    if found is None:
        return ()
    study, said = found.study, []
    if not 0.5 <= study.labels / case.labels <= 2:
        said.append(f"{counted(study.labels, 'label')} there, {case.labels} here")
    if study.backbone != case.backbone:
        said.append(f"{study.backbone} there, {case.backbone} here")
    of_video = study.domain is not None and found.effect.added != "imagenet"
    if of_video and study.domain != case.domain and case.domain != "unknown":
        said.append(f"a video of {_kind(study.domain)} kind there, of {_kind(case.domain)} here")
    if of_video and None not in (study.camera, case.camera) and study.camera != case.camera:
        said.append(f"a camera that mostly {study.camera} there, that mostly {case.camera} here")
    return tuple(said)


def _kind(domain: str | None) -> str:
    return {"same": "the labels' own", "related": "a related", "other": "another"}[str(domain)]
