"""What was loaded, skipped and left as initialised: told in a few lines, kept in full."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from geopretrain.wording import counted

NOTHING = "random numbers"
"""Source of weights that come from nowhere."""
PARTS = {
    "painter": "painting head",
    "projection": "projection head",
    "key_backbone": "momentum encoder",
    "key_projection": "head of the momentum encoder",
    "teacher_backbone": "teacher",
    "teacher_projection": "head of the teacher",
    "pose": "pose network",
    "mask": "mask token",
}
"""Prefixes of saved tensors that say little, and what they are; others are said as they are."""
MAX_REASONS = 6
"""Rows of the table for what was not used; more are counted together."""


@dataclass
class LoadReport:
    """What was loaded, skipped and left as initialised.

    Attributes:
        source: where the tensors came from.
        format: in which they were found, empty where there is nothing to tell.
        loaded: names of parameters and buffers that were loaded.
        skipped: tensors of the source that were not used, each with the reason.
        reinitialised: names of the network for which the source had nothing; they keep their random
            initialisation.
        warnings: what is doubtful, e.g. which normalisation was assumed.
        changed: what was changed on the way, e.g. resized.
        normalisation: of images, that the network has now.
        incomplete: a sentence where the source holds a part of the backbone only.
        besides: parts that have ImageNet's weights while the source is another, in words.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    reinitialised: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    format: str = ""
    changed: list[str] = field(default_factory=list)
    normalisation: dict[str, list[float]] | None = None
    incomplete: str = ""
    besides: list[str] = field(default_factory=list)

    def add(self, other: LoadReport, prefix: str = "") -> LoadReport:
        """Append another part's report, its names given ``prefix``; return self."""
        self.loaded += [prefix + name for name in other.loaded]
        self.skipped += [(prefix + name, reason) for name, reason in other.skipped]
        self.reinitialised += [prefix + name for name in other.reinitialised]
        self.warnings += other.warnings
        self.changed += other.changed
        self.besides += other.besides
        self.incomplete = self.incomplete or other.incomplete
        return self

    def summary(self) -> str:
        """Return a few lines for the screen."""
        if self.source == NOTHING:
            said = NOTHING + ("" if self.besides else ", nothing was loaded")
            return "\n".join([f"Weights: {said}.", *self._besides(), *self._warnings()])
        count = counted(len(self.loaded), "tensor")
        lines = [f"Weights from {self.source}: {count} loaded{_by_part(self.loaded)}."]
        if self.format:
            lines.append(f"  format: {self.format}")
        lines += self._besides()
        if self.reinitialised:
            lines.append(f"  newly initialised: {len(self.reinitialised)}{_by_part(self.reinitialised)}")
        if self.skipped:
            names = [name for name, _ in self.skipped]
            lines.append(f"  not used: {len(names)}{_by_part(names)}: {self._reasons()}")
        if self.changed:
            more = f", and {len(self.changed) - 1} more" if len(self.changed) > 1 else ""
            lines.append(f"  changed: {self.changed[0]}{more}")
        if self.format and self.normalisation:
            lines.append("  images: mean {mean}, standard deviation {std}".format(**self.normalisation))
        return "\n".join(lines + self._warnings())

    def as_json(self) -> dict[str, Any]:
        """Return everything in plain values, as ``weights.json`` of a run keeps it."""
        return {
            "source": self.source,
            "format": self.format or None,
            "normalisation": self.normalisation,
            "incomplete": self.incomplete or None,
            "warnings": self.warnings,
            "changed": self.changed,
            "besides": self.besides,
            "loaded": self.loaded,
            "skipped": [{"tensor": name, "reason": reason} for name, reason in self.skipped],
            "reinitialised": self.reinitialised,
        }

    def _besides(self) -> list[str]:
        return [f"  {one}" for one in self.besides]

    def _warnings(self) -> list[str]:
        return [f"  {warning}" for warning in self.warnings]

    def _reasons(self) -> str:
        """Return the reasons, the commonest first, each once."""
        counts: dict[str, int] = {}
        for _, reason in self.skipped:
            counts[reason] = counts.get(reason, 0) + 1
        usual = sorted(counts, key=lambda reason: (-counts[reason], reason))
        if len(usual) == 1:
            return usual[0]
        shown = [f"{counts[reason]} {reason}" for reason in usual[:MAX_REASONS]]
        return "; ".join(shown + (["..."] if len(usual) > MAX_REASONS else []))


def examples(names: Iterable[str]) -> str:
    """Return the first few names."""
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "") if listed else "nothing"


def _by_part(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        part = PARTS.get(name.split(".")[0], name.split(".")[0])
        counts[part] = counts.get(part, 0) + 1
    if not counts or len(counts) > 4:
        return ""
    return " (" + ", ".join(f"{part} {count}" for part, count in counts.items()) + ")"
