"""Whether depth can be learned from some video, in three grades: what inspection and preparation both say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from geopretrain.data.prepare.intrinsics import is_grave

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore

GOOD_SAMPLES = 200
"""Usable frames from which on video is not called little data."""
SHORT_SEGMENT = 20
"""Usable frames of a segment under which video is called cut up."""
Grade = Literal["fit", "little data", "not fit"]


@dataclass(frozen=True)
class Verdict:
    """A grade and why it is no better, as parts of a sentence; none for what is fit."""

    grade: Grade
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the verdict in a sentence."""
        why = "; ".join(self.reasons).rstrip(".")
        if self.grade == "fit":
            return "It is fit for learning depth."
        if self.grade == "little data":
            return f"Fit with little data: {why}. More video of the same kind would help."
        return f"Not fit for learning depth: {why}."


def judge(samples: int, segments: int = 1, problems: Sequence[str] = (), noun: str = "frame") -> Verdict:
    """Grade video by what can be used of it.

    Args:
        samples: number of frames that have usable neighbours (or of single images).
        segments: number of parts without cuts and gaps that they lie in.
        problems: what speaks against using it at all.
        noun: what a sample is called.
    """
    if problems or samples < 1:
        return Verdict("not fit", tuple(problems) or ("no three neighbouring frames can be used",))
    reasons = []
    if samples < GOOD_SAMPLES:
        count = f"{samples} usable {noun}{'s' * (samples != 1)}"
        reasons.append(f"{count} {'is' if samples == 1 else 'are'} few ({GOOD_SAMPLES} are a beginning)")
    if segments > 1 and samples < SHORT_SEGMENT * segments:
        each = f"{samples / segments:.0f} usable frames each"
        reasons.append(f"they lie in {segments} pieces of about {each} (clips, scene cuts, missing frames)")
    return Verdict("little data" if reasons else "fit", tuple(reasons))


def judge_store(store: FrameStore) -> Verdict:
    """Grade what is in a store."""
    problems = [warning for warning in store.warnings if is_grave(warning)]
    noun = "image" if store.still_images else "frame"
    return judge(store.num_samples, 1 if store.still_images else len(store.clips), problems, noun)
