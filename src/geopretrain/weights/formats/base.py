"""How somebody else names the tensors of a network: what a row of the table of formats says.

A format is recognised by the names and shapes of tensors, never by the name of a file. It renames what
belongs to the backbone to timm's names (or to those of the release that timm itself converts, see `fitting`),
passes on what else there is, and says why the rest is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Tensors = dict[str, Tensor]
Normalisation = Mapping[str, list[float]]
Rule = tuple[str, str | Callable[[re.Match[str]], str]]
"""A regular expression and its replacement, as ``re.sub`` takes them."""

IMAGENET: Normalisation = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF: Normalisation = {"mean": [0.45, 0.45, 0.45], "std": [0.225, 0.225, 0.225]}
"""That of Monodepth2 and SC-Depth, the same for every channel."""

BACKBONE = "backbone."
"""What stands before the names of the backbone once they are converted."""


@dataclass(frozen=True)
class Converted:
    """The tensors of a file in our names.

    Attributes:
        tensors: ``backbone.*`` in timm's names, and other parts: ``decoder.*``, ``pose.backbone.*``, ...
        skipped: names in the file that are left out, each with the reason.
    """

    tensors: Tensors
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """One way in which networks are saved.

    Attributes:
        name: as it is said, with where it comes from.
        marks: regular expressions; a file whose names match all of them (by ``re.search``) is of this format.
        rules: regular expressions and their replacements, applied one after the other to each name.
        skipped: regular expressions of names (in the file) that are left out, with the reason.
        other_parts: regular expression of renamed names that are no part of the backbone.
        only: every name must match this one, where it is given.
        finish: what names alone cannot do, applied to the renamed backbone.
        whole: converts everything, to names that begin with ``backbone.``, instead of the rules.
        normalisation: that the weights were trained with, None where the file cannot tell.
        ordered: the layers are those of timm's model in the same order, under other names.
    """

    name: str
    marks: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    other_parts: str | None = None
    only: str | None = None
    finish: Callable[[Tensors], Tensors] | None = None
    whole: Callable[[Tensors], Tensors] | None = None
    normalisation: Normalisation | None = None
    ordered: bool = False

    def recognises(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether these are tensors of this format."""
        if self.only is not None and not all(re.search(self.only, name) for name in tensors):
            return False
        return all(any(re.search(mark, name) for name in tensors) for mark in self.marks)

    def convert(self, tensors: Mapping[str, Tensor]) -> Converted:
        """Return the tensors in our names, and what is left out."""
        reasons = {name: self._reason(name) for name in tensors}
        skipped = [(name, reason) for name, reason in reasons.items() if reason is not None]
        kept = {name: tensor for name, tensor in tensors.items() if reasons[name] is None}
        if self.whole is not None:
            return Converted(self.whole(kept), skipped)
        renamed = {self._rename(name): tensor for name, tensor in kept.items()}
        others = {name for name in renamed if self.other_parts and re.search(self.other_parts, name)}
        backbone = {name: tensor for name, tensor in renamed.items() if name not in others}
        if self.finish is not None:
            backbone = self.finish(backbone)
        ours = {BACKBONE + name: tensor for name, tensor in backbone.items()}
        return Converted(ours | {name: renamed[name] for name in renamed if name in others}, skipped)

    def _reason(self, name: str) -> str | None:
        return next((reason for pattern, reason in self.skipped if re.search(pattern, name)), None)

    def _rename(self, name: str) -> str:
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


def joined_attention(tensors: Tensors) -> Tensors:
    """Join queries, keys and values that are saved apart (``attn.q.weight``, ...) as timm has them.

    Where keys have no bias, those of queries and values stay apart, ``attn.q_bias`` and ``attn.v_bias``.
    """
    import torch

    joined = {n: t for n, t in tensors.items() if not re.search(r"attn\.[qkv]\.(weight|bias)$", n)}
    for name, tensor in tensors.items():
        found = re.fullmatch(r"(.*attn)\.q\.(weight|bias)", name)
        if found is None:
            continue
        block, kind = found.groups()
        parts = [tensor, tensors.get(f"{block}.k.{kind}"), tensors.get(f"{block}.v.{kind}")]
        present = [part for part in parts if part is not None]
        if len(present) == len(parts):
            joined[f"{block}.qkv.{kind}"] = torch.cat(present)
        elif kind == "bias" and parts[1] is None and parts[2] is not None:
            joined |= {f"{block}.q_bias": tensor, f"{block}.v_bias": parts[2]}
    return joined
