"""The advice: facts, a probe, the nearest measurements, and what follows from them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from geopretrain.advice import domain as domains
from geopretrain.advice import labels as labelled
from geopretrain.advice import learning
from geopretrain.advice.commands import Plan, geometric_method
from geopretrain.advice.domain import Domain
from geopretrain.advice.labels import Labels
from geopretrain.advice.learning import Probed
from geopretrain.advice.measurements import in_words
from geopretrain.advice.rules import Answer
from geopretrain.advice.video import Video
from geopretrain.wording import counted

Verdict = Literal["likely", "not shown", "unlikely", "not measured", "impossible"]
IMAGENET, RANDOM = "imagenet", "random"
STEEP = 2.0
"""Points that four times the labels add from which on more labels are advised first."""
LISTED = 5
WIDTH = 110


@dataclass(frozen=True)
class Advice:
    """What is advised, and all it rests on.

    Attributes:
        verdict: whether pre-training on the video is likely to pay: likely, not shown, unlikely, not measured
            near this case, or impossible with this video.
        headline: the advice in a sentence or two.
        video: facts of the video.
        video_said: the same in words.
        labels: facts of the labels.
        domain: how like them the video is.
        probe: linear probe of frozen features; None for other tasks than segmentation, or too few images.
        imagenet: what is measured of ImageNet's weights beside random numbers.
        pretraining: what is measured of pre-training on video after these.
        from_random: the same after random numbers, for who cannot have ImageNet's.
        remarks: what else speaks for or against, which no measurement of ours backs.
        commands: what to run next: (why, command line).
        in_json: whether it is printed as JSON.
    """

    verdict: Verdict
    headline: str
    video: Video
    video_said: tuple[str, ...]
    labels: Labels
    domain: Domain
    probe: Probed | None
    imagenet: Answer
    pretraining: Answer
    from_random: Answer
    remarks: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    in_json: bool = False

    def printed(self) -> str:
        """Return what the command line prints."""
        return json.dumps(self.as_json(), indent=2) if self.in_json else self.text()

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        found = asdict(self)
        for name in ("video_said", "commands", "in_json"):
            found.pop(name)
        found["commands"] = [{"why": why, "command": line} for why, line in self.commands]
        return found

    def text(self) -> str:
        """Return everything in words."""
        parts = {
            "The video": self.video_said,
            "The labels": labelled.in_words(self.labels),
            "How alike they are": domains.in_words(self.domain),
            "What few and more labels teach a linear layer here": self._probe_said(),
            "What was measured nearest to your case": self._measured_said(),
            "What else speaks for or against, without a measurement of ours": self.remarks,
        }
        lines = [filled(self.headline)]
        for title, said in parts.items():
            if said:
                lines += ["", title, *(filled(one, "  ") for one in said)]
        lines += ["", "What to run next"]
        for why, line in self.commands:
            lines += [filled(f"{why}:", "  "), f"    {line}"]
        return "\n".join(lines)

    def _probe_said(self) -> list[str]:
        if self.probe is not None:
            return [*learning.in_words(self.probe), *slope_said(self.probe)]
        if self.labels.task != "segmentation":
            return [f"The probe is of class maps; for {self.labels.task} nothing was tried here."]
        return ["There are too few labelled images to fit it on some and to judge it on others."]

    def _measured_said(self) -> list[str]:
        said = [imagenet_said(self.imagenet), pretraining_said(self.pretraining)]
        answers = [self.imagenet, self.pretraining]
        if self.pretraining.best is None and self.from_random.best is not None:
            said.append(pretraining_said(self.from_random))
            answers.append(self.from_random)
        shown = [one for answer in answers for one in answer.nearest[:LISTED]]
        more = sum(len(answer.nearest) for answer in answers) - len(shown)
        said += in_words(shown)
        return [*said, f"And {counted(more, 'more effect')}, which --json lists."] if more else said


def slope_said(probe: Probed) -> list[str]:
    """Return what more labels are worth by the probe, and how a run stands beside ImageNet."""
    said, slope = [], probe.slope(IMAGENET)
    if slope is not None:
        before, last = probe.of(IMAGENET)[-2:]
        said.append(
            f"From {before.labels} labels to {last.labels} ImageNet's features gain "
            f"{last.mean - before.mean:+z.1f} points; at that pace four times the labels are worth about "
            f"{slope:+z.1f} points of this probe."
        )
    names = {point.init for point in probe.points} - {IMAGENET, RANDOM}
    for name in sorted(names):
        parts = [f"{_spread(each)} with {n}" for n, each in probe.differences(name, IMAGENET).items()]
        said.append(
            f"{name} beside ImageNet, set by set: {', '.join(parts)} labels. No fine-tuning was done."
        )
    return said


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:+z.1f}"
    return f"{sum(values) / len(values):+z.1f} ({min(values):+z.1f} to {max(values):+z.1f})"


def imagenet_said(answer: Answer) -> str:
    """Return what ImageNet's weights are worth."""
    if answer.best is None:
        return "What ImageNet's weights are worth for this task is not measured."
    best, unit = answer.best, answer.best.study.unit
    if answer.expected is None:
        return (
            f"ImageNet's weights instead of random numbers: {best.effect.effect:+z.3g} {unit}, no spread "
            f"known{_far(answer)}."
        )
    return f"ImageNet's weights instead of random numbers are worth {_range(answer)} {unit}{_far(answer)}."


def pretraining_said(answer: Answer) -> str:
    """Return what pre-training was worth after what it began with."""
    to = {IMAGENET: "ImageNet's weights", RANDOM: "random numbers"}[answer.to]
    if answer.best is None:
        return f"What pre-training on video adds to {to} for this task is not measured."
    best, unit = answer.best.effect, answer.best.study.unit
    if answer.expected is None:
        return (
            f"Of what pre-training on video adds to {to} no spread is known: {best.added} "
            f"{best.effect:+z.3g} {unit}{_far(answer)}."
        )
    gain = f"{best.added}, {_range(answer)} {unit}"
    start = {
        "adds": f"Pre-training was shown to add to {to}: {gain}",
        "costs": f"All pre-training that was tried after {to} cost; the least: {gain}",
        "not shown": f"{_tried(answer.tried)} shown to add to {to}. The best: {gain}, so more than "
        f"{answer.expected[1]:+z.2g} is unlikely",
    }[answer.verdict]
    return f"{start}{_far(answer)}."


def _tried(count: int) -> str:
    return "The pre-training that was tried was not" if count == 1 else f"None of {count} pre-trainings was"


def _range(answer: Answer) -> str:
    assert answer.best is not None
    assert answer.expected is not None
    low, high = answer.expected
    widened = f", widened because {answer.tried} were tried" if answer.tried > 1 else ""
    return f"{answer.best.effect.effect:+z.3g} [{low:+z.2g}, {high:+z.2g}{widened}]"


def _far(answer: Answer) -> str:
    if not answer.far:
        return ""
    far = "" if answer.near else "far from your case, "
    return f" ({far}measured with {'; '.join(answer.far)})"


def verdict_of(video: Video, answer: Answer) -> Verdict:
    """Return whether pre-training is likely to pay."""
    if not video.learnable:
        return "impossible"
    if answer.best is None or not answer.near:
        return "not measured"
    found: dict[str, Verdict] = {"adds": "likely", "costs": "unlikely", "not shown": "not shown"}
    return found.get(answer.verdict, "not measured")


def headline_of(verdict: Verdict, video: Video, answer: Answer) -> str:
    """Return the advice in a sentence or two."""
    if verdict == "impossible":
        why = "; ".join(video.reasons) or "it holds still images"
        return (
            f"Start from ImageNet's weights. Geometry cannot be learned from this video: {why.rstrip('.')}."
        )
    if verdict == "likely":
        assert answer.best is not None
        return (
            f"Pre-training on this video after ImageNet is likely to pay: {answer.best.effect.added} did, "
            f"{_range(answer)} {answer.best.study.unit}, in the measurements nearest to your case."
        )
    if verdict == "unlikely":
        return (
            "Start from ImageNet's weights. Pre-training on video cost in the measurements nearest to yours."
        )
    if verdict == "not shown":
        return (
            "Start from ImageNet's weights. That pre-training on video adds to them was not shown in the "
            "measurements nearest to your case; it may on yours, and `compare` tells."
        )
    return (
        "Start from ImageNet's weights, and measure: nothing near your case tells whether pre-training on "
        "video adds to them."
    )


def remarks_of(video: Video, labels: Labels, domain: Domain, probe: Probed | None) -> list[str]:
    """Return what speaks for or against beside the measurements."""
    said = []
    if video.grade == "little data":
        said.append(f"Against: {'; '.join(video.reasons).rstrip('.')}.")
    if domain.kind in ("related", "other"):
        said.append(
            "Against: what is learned from a video of other places need not help here. A video of the places "
            "that you label, by the camera that sees them, would be better."
        )
    if domain.kind == "same":
        said.append("For: the video shows what the labelled images show.")
    if video.mostly_turns:
        said.append("Against: a camera that turns shows little depth.")
    if video.learnable and not video.camera_known:
        said.append(
            "Against depth methods: with a guessed camera depth is bent. `geopretrain data prepare "
            "--calibrate focal` finds the focal length where the video tells it."
        )
    if probe is not None:
        said += _of_probe(probe)
    if labels.absent:
        said.append("Labels first: no pre-training finds a class that no label shows.")
    return said


def _of_probe(probe: Probed) -> list[str]:
    said, slope = [], probe.slope(IMAGENET)
    most = list(probe.differences(IMAGENET, RANDOM).values())[-1]
    if sum(most) <= 0:
        said.append(
            "Against ImageNet: in the probe its features are no better than random ones. Your images may be "
            "too far from photographs for them; compare random,imagenet before you rely on either."
        )
    if slope is not None and slope >= STEEP:
        said.append(f"For more labels first: four times as many are worth {slope:+z.1f} points of the probe.")
    return said


def commands_of(
    plan: Plan, verdict: Verdict, video: Video, answer: Answer, steep: bool
) -> list[tuple[str, str]]:
    """Return what to run next, in order, each with why."""
    best = answer.best.effect if verdict == "likely" and answer.best is not None else None
    frozen = "; with so few labels its encoder is better frozen" if plan.freezes else ""
    now = (f"The safe choice ({plan.start}{frozen})", plan.finetune(plan.start, f"runs/{plan.start}"))
    asked = [("See whether this run helps on your labels", plan.compare(plan.run))] if plan.run else []
    more = [("Choose the frames to label next", plan.select("to-label"))] if steep else []
    if not video.learnable:
        return [now, *asked]
    method, why = geometric_method(video, plan.backbone)
    if best is not None:
        method, why = best.pretrain or best.added, "what was measured to add"
    run = f"runs/{plan.start}-{method.split()[0]}"
    learn = (f"Pre-train on the video by {method.split()[0]} ({why})", plan.pretrain(method, run))
    tell = ("See whether it helps on your labels", plan.compare(run))
    if best is not None:
        return [learn, ("Fine-tune from it", plan.finetune(run, f"{run}-tuned")), tell, *asked, *more]
    return [now, *(asked or [learn, tell]), *more]


def filled(text: str, indent: str = "") -> str:
    """Return a sentence in lines of a terminal's width; tables and lists stay as they are."""
    if "  " in text.strip() or len(text) + len(indent) <= WIDTH:
        return f"{indent}{text}"
    rest = f"{indent}  " if text.startswith("- ") else indent
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
