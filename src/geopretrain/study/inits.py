"""The initialisations of a comparison: names, what they are, and the depth errors their pre-training left."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geopretrain.console import console
from geopretrain.data.fingerprint import digest
from geopretrain.errors import ConfigError

VARIED = "+"
"""Between weights and options in what a variant is recognised by."""
WORDS = {"random": "random numbers, no pre-training", "imagenet": "ImageNet classification, with labels"}
MAX_NAME = 80
"""Longest name in tables and folders; longer ones are cut, and told apart by a few digits."""


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
        weights: digest of the weights, empty for words.
        results: ``results.json`` of a run, else empty.
        options: of its fine-tuning that differ from those of all, by name; of variants only.
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
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What tells whether it is the same as before: the digest of its weights, or its word; of variants
        also of their options."""
        start = self.weights or self.kind
        return f"{start}{VARIED}{digest(self.options)}" if self.options else start


def read_inits(
    sources: Sequence[str], variants: Mapping[str, Mapping[str, Any]] | None = None
) -> list[NamedInit]:
    """Understand a list such as ``('random', 'runs/depth')``; the others are compared with the first.

    Args:
        sources: as typed.
        variants: further rows by name, each with its ``init`` and options of the fine-tuning, checked.

    Raises:
        ConfigError: fewer than two, the same twice, or runs with different backbones.
        WeightsError: unknown word, missing run or file.
    """
    variants = variants or {}
    if len(sources) + len(variants) < 2:
        raise ConfigError(
            "A comparison needs at least two initialisations, e.g. --inits random,runs/depth; "
            f"{len(sources) + len(variants)} given."
        )
    names = names_of(sources)
    found = [_read(source, name) for source, name in zip(sources, names, strict=True)]
    found += [_read_variant(name, dict(options), names) for name, options in variants.items()]
    backbones = {one.backbone: one.name for one in found if one.backbone is not None}
    if len(backbones) > 1:
        different = ", ".join(f"{name}: {backbone}" for backbone, name in backbones.items())
        raise ConfigError(f"All initialisations must share one backbone, but these differ: {different}.")
    return found


def same_content(inits: Sequence[NamedInit]) -> list[str]:
    """Return a sentence for initialisations that are called differently and hold the same weights."""
    groups: dict[str, list[str]] = {}
    for one in inits:
        if one.weights:
            groups.setdefault(one.identity, []).append(f"'{one.name}'")
    return [
        f"{' and '.join(names)} hold the same weights, to the byte: what differs between them is chance."
        for names in groups.values()
        if len(names) > 1
    ]


def names_of(sources: Sequence[str]) -> list[str]:
    """Return a name for each source, no two the same: the ends of the paths, as long as it takes.

    Raises:
        ConfigError: the same source is given twice.
    """
    keys = _keys(sources)
    if len(set(keys)) < len(keys):
        raise ConfigError(f"The same initialisation is given twice: {', '.join(sources)}.")
    return _short_names(keys)


def common_backbone(backbone: str | None, inits: Sequence[NamedInit]) -> str:
    """Return the backbone of all runs, or that was asked for, or that weights of others look like.

    Raises:
        ConfigError: runs or weights have another one than what was asked for, or than each other.
    """
    there = next((one for one in inits if one.backbone is not None), None)
    if there is None:
        return backbone or _backbone_of_files(inits) or "resnet18"
    if backbone is not None and backbone != there.backbone:
        raise ConfigError(
            f"'{there.name}' has the backbone {there.backbone}, not {backbone}. Leave --backbone away."
        )
    return str(there.backbone)


def _backbone_of_files(inits: Sequence[NamedInit]) -> str | None:
    """Return the backbone that the weights of others belong to, None where nothing tells."""
    from geopretrain.weights import backbone_of, parse_init

    found = {one.name: backbone_of(parse_init(one.source)) for one in inits if one.kind == "file"}
    known = {name: backbone for name, backbone in found.items() if backbone is not None}
    if len(set(known.values())) > 1:
        different = ", ".join(f"{name}: {backbone}" for name, backbone in known.items())
        raise ConfigError(f"All initialisations must share one backbone, but these look like: {different}.")
    for name, backbone in list(known.items())[:1]:
        console.say(f"The weights '{name}' look like {backbone}: --backbone {backbone}.")
    return next(iter(known.values()), None)


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """Return a name for each source as comparisons have them, also where places are the same or gone."""
    keys = _keys(sources)
    different = list(dict.fromkeys(keys))
    names = dict(zip(different, _short_names(different), strict=True))
    return {source: names[key] for source, key in zip(sources, keys, strict=True)}


def _keys(sources: Sequence[str]) -> list[str]:
    return [source if source in WORDS else str(Path(source).resolve()) for source in sources]


def _short_names(keys: Sequence[str]) -> list[str]:
    """Return the ends of paths, as long as it takes for no two to be the same."""
    longest = max((len(Path(key).parts) for key in keys), default=1)
    for count in range(1, longest + 1):
        names = [key if key in WORDS else _calm("-".join(Path(key).parts[-count:])) for key in keys]
        if len({name.casefold() for name in names}) == len(names):  # some disks do not tell A from a
            return names
    return [f"{name}-{number}" for number, name in enumerate(names, 1)]


def _read_variant(name: str, options: dict[str, Any], names: Sequence[str]) -> NamedInit:
    if _calm(name) != name or not name or name.casefold() in {one.casefold() for one in names}:
        raise ConfigError(
            f"--variants has the name {name!r}, which is that of an initialisation or no name of a folder. "
            "Choose another one."
        )
    start = _read(str(options.pop("init")), name)
    differs = ", ".join(f"{one} {_in_words(value)}" for one, value in options.items())
    return replace(start, description=f"{start.description}; {differs or 'nothing differs'}", options=options)


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={part}" for name, part in value.items())
    return _short(value) if isinstance(value, (str, list)) else str(value)


def _calm(name: str) -> str:
    """Return a name that any disk and any line of text takes."""
    plain = re.sub(r"[^\w.+=@ ()\[\]-]", "_", name.encode("utf-8", "replace").decode("utf-8")).strip(" .")
    if plain == name and len(name.encode()) <= MAX_NAME:
        return name
    digits = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{plain.encode()[: MAX_NAME - 7].decode('utf-8', 'ignore')}-{digits}"


def _read(source: str, name: str) -> NamedInit:
    from geopretrain.weights import parse_init, read_lineage

    init = parse_init(source)
    if init.kind in WORDS:
        return NamedInit(name, source, init.kind, WORDS[init.kind], None, None, [], "", {})
    path = str(Path(source).resolve())
    weights = weights_digest(path)
    if init.kind == "file":
        return NamedInit(name, path, "file", f"weights file {source}", None, None, [], weights, {})
    from geopretrain.runs.folder import RunFolder

    run, lineage = RunFolder.open(path), read_lineage(path)
    description = f"{lineage.get('method') or 'run'} pre-trained on {_short(lineage.get('data', ''))}"
    results = {**run.results, "config": run.config}
    backbone, chain = lineage["backbone"], list(lineage.get("chain", []))
    return NamedInit(name, path, "run", description, backbone, lineage.get("method"), chain, weights, results)


def _short(data: Any) -> str:
    texts = data if isinstance(data, list) else [data]
    return ", ".join(str(text) if ":" in str(text) else Path(str(text)).name for text in texts)


def weights_digest(source: str) -> str:
    """Return 16 hexadecimal digits for the content of the weights at a source, empty for words.

    Raises:
        WeightsError: the run has no weights yet, or a file cannot be read.
    """
    from geopretrain.errors import WeightsError
    from geopretrain.weights import weight_files

    if source in WORDS:
        return ""
    files, found = weight_files(source), hashlib.sha256()
    try:
        for number, file in enumerate(files):
            found.update(f"\n{file.name}\n".encode() if number else b"")
            with file.open("rb") as content:
                while block := content.read(2**20):
                    found.update(block)
    except OSError as error:
        raise WeightsError(f"{error.filename} cannot be read ({error.strerror}).") from error
    return found.hexdigest()[:16]
