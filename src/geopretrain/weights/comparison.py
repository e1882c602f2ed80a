"""Whether tensors are those of a model: which are missing, have another shape, or are more than it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

COUNTER = "num_batches_tracked"
"""End of the names of counters, which no network needs."""

MIN_FRACTION = 0.25
"""Least part of a backbone's tensors that is still called a part of it."""


@dataclass(frozen=True)
class Comparison:
    """Tensors held against a model.

    Attributes:
        wanted: names of the model's tensors, counters left out.
        missing: those that there are none for.
        wrong: those that have another shape or hold no fractions, with what is found and expected, in words.
        surplus: tensors that would be layers of the model, which it does not have.
    """

    wanted: list[str]
    missing: list[str]
    wrong: list[tuple[str, str, str]]
    surplus: list[str]

    @property
    def found(self) -> int:
        """Number of tensors that fit."""
        return len(self.wanted) - len(self.missing) - len(self.wrong)

    @property
    def whole(self) -> bool:
        """Whether they are the tensors of this model, all of them."""
        return not (self.missing or self.wrong or self.surplus)

    @property
    def is_part(self) -> bool:
        """Whether they could be a part of this model: nothing contradicts it, and it is not just a little."""
        return not (self.wrong or self.surplus) and self.found >= MIN_FRACTION * len(self.wanted)

    def missing_stages(self) -> list[str]:
        """Return the stages that are missing, in the order of the model; of others, how much of them is."""
        missing, wanted = (Counter(map(_stage, names)) for names in (self.missing, self.wanted))
        return [
            stage if count == wanted[stage] else f"{stage} ({count} of {wanted[stage]} tensors)"
            for stage, count in missing.items()
        ]

    def difference(self) -> str:
        """Return what differs, with the first few names."""
        if not (self.missing or self.wrong):
            return f"it has {len(self.surplus)} layers more, e.g. {self.surplus[0]}"
        if not self.wrong:
            count, total = len(self.missing), len(self.wanted)
            return f"{count} of {total} tensors are missing or differ, e.g. {self.missing[0]} is missing"
        shown = [f"{name} is {found} instead of {expected}" for name, found, expected in self.wrong[:3]]
        differ = "one tensor differs:" if len(self.wrong) == 1 else f"{len(self.wrong)} tensors differ, e.g."
        return f"{differ} {', '.join(shown)}"


def compare(model: Any, tensors: Mapping[str, Tensor]) -> Comparison:
    """Hold tensors, under the names of a timm model without its classifier, against it."""
    own = model.state_dict()
    wanted = [name for name in own if not name.endswith(COUNTER)]
    parts = {name.split(".")[0] for name in own}
    heads = classifiers(model)
    return Comparison(
        wanted,
        missing=[name for name in wanted if name not in tensors],
        wrong=[
            (name, *_contrast(tensors[name], own[name]))
            for name in wanted
            if name in tensors and not fits(tensors[name], own[name])
        ],
        surplus=[n for n in tensors if n not in own and _is_inside(n, parts, heads)],
    )


def fits(found: Tensor, own: Tensor) -> bool:
    """Whether a tensor can take the place of another one: its shape, and fractions in place of fractions."""
    return found.shape == own.shape and (found.is_floating_point() or not own.is_floating_point())


def _contrast(found: Tensor, own: Tensor) -> tuple[str, str]:
    """Return what two tensors differ in, in words."""
    if found.shape != own.shape:
        return shape(found), shape(own)
    return tuple(str(one.dtype).removeprefix("torch.") for one in (found, own))  # type: ignore[return-value]


def shape(tensor: Tensor) -> str:
    """Return the shape of a tensor in words, e.g. ``64x3x7x7``."""
    return "x".join(str(side) for side in tensor.shape) or "scalar"


def classifiers(model: Any) -> list[str]:
    """Return the names of a timm model's layers that classify."""
    classifier = model.pretrained_cfg.get("classifier", "fc")
    return [classifier] if isinstance(classifier, str) else list(classifier or [])


def _is_inside(name: str, parts: set[str], heads: list[str]) -> bool:
    """Whether a surplus name looks like a layer of the backbone rather than a classifier or another head."""
    if any(name.startswith(f"{head}.") for head in heads) or name.endswith(COUNTER):
        return False
    return name.split(".")[0] in parts


def _stage(name: str) -> str:
    first, *rest = name.split(".")[:-1] or [name]
    return first if not rest or first[-1].isdigit() else f"{first}.{rest[0]}"
