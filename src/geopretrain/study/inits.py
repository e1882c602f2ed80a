"""The initialisations of a comparison: names, what they are, and the depth errors their pre-training left."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.errors import ConfigError

WORDS = {"random": "random numbers, no pre-training", "imagenet": "ImageNet classification, with labels"}


@dataclass(frozen=True)
class NamedInit:
    """One initialisation.

    Attributes:
        name: how it is called in tables; the name of its folder.
        source: what ``finetune`` gets as ``init``.
        kind: ``random``, ``imagenet``, ``run`` or ``file``.
        description: what it is, in a few words.
        backbone: of a run, else None.
        method: pre-training method of a run, else None.
        chain: what it was initialised from, oldest first.
        weights: fingerprint of the weights, empty for words.
        results: ``results.json`` of a run, else empty.
    """

    name: str
    source: str
    kind: str
    description: str
    backbone: str | None
    method: str | None
    chain: list[dict[str, Any]]
    weights: str
    results: dict[str, Any]


def read_inits(sources: Sequence[str]) -> list[NamedInit]:
    """Understand a list such as ``('random', 'runs/depth')``; the others are compared with the first.

    Raises:
        ConfigError: fewer than two, the same twice, or runs with different backbones.
        WeightsError: unknown word, missing run or file.
    """
    if len(sources) < 2:
        raise ConfigError(
            "A comparison needs at least two initialisations, e.g. --inits random,runs/depth; "
            f"{len(sources)} given."
        )
    names = _names(sources)
    found = [_read(source, name) for source, name in zip(sources, names, strict=True)]
    backbones = {one.backbone: one.name for one in found if one.backbone is not None}
    if len(backbones) > 1:
        different = ", ".join(f"{name}: {backbone}" for backbone, name in backbones.items())
        raise ConfigError(f"All initialisations must share one backbone, but these differ: {different}.")
    return found


def _names(sources: Sequence[str]) -> list[str]:
    keys = [source if source in WORDS else str(Path(source).resolve()) for source in sources]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"The same initialisation is given twice: {', '.join(sources)}.")
    short = [source if source in WORDS else Path(source).resolve().name for source in sources]
    if len(set(short)) == len(short):
        return short
    return [s if s in WORDS else "-".join(Path(s).resolve().parts[-2:]) for s in sources]


def _read(source: str, name: str) -> NamedInit:
    from geopretrain.weights import parse_init, read_lineage

    init = parse_init(source)
    if init.kind in WORDS:
        return NamedInit(name, source, init.kind, WORDS[init.kind], None, None, [], "", {})
    path = str(Path(source).resolve())
    if init.kind == "file":
        return NamedInit(
            name, path, "file", f"weights file {source}", None, None, [], _fingerprint(Path(path)), {}
        )
    from geopretrain.runs.folder import RunFolder

    run, lineage = RunFolder.open(path), read_lineage(path)
    description = f"{lineage.get('method') or 'run'} pre-trained on {_short(lineage.get('data', ''))}"
    weights = _fingerprint(run.path / "model.safetensors")
    results = {**run.results, "config": run.config}
    backbone, chain = lineage["backbone"], list(lineage.get("chain", []))
    return NamedInit(name, path, "run", description, backbone, lineage.get("method"), chain, weights, results)


def _short(data: Any) -> str:
    texts = data if isinstance(data, list) else [data]
    return ", ".join(str(text) if ":" in str(text) else Path(str(text)).name for text in texts)


def _fingerprint(path: Path) -> str:
    """Return a hash of the weights, so that a comparison notices when an initialisation was trained again."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
