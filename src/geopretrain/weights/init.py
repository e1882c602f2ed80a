"""What a network starts from: random numbers, ImageNet, a run of ours, or somebody else's file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from geopretrain.errors import WeightsError, nearest_name
from geopretrain.networks import DEFAULT_MEAN, DEFAULT_STD, Backbone
from geopretrain.networks.packaged import Origin
from geopretrain.records import Colour, Finite, Object, Positive, Text, as_type, read_json_text
from geopretrain.schema import AnySize, as_path, parse_size
from geopretrain.weights import monodepth2, sc_depth
from geopretrain.weights.files import read_normalisation, read_tensors
from geopretrain.weights.loading import LoadReport, fits_whole, load_backbone, load_matching, rename
from geopretrain.weights.runs import Saved

Normalisation = Mapping[str, list[float]]


@dataclass(frozen=True)
class Init:
    """Where the first weights come from.

    Attributes:
        kind: ``random``, ``imagenet``, ``run`` (a run folder of ours) or ``file`` (a foreign file or
            folder).
        source: the path, or the word itself.
    """

    kind: str
    source: str

    def __str__(self) -> str:
        return self.source

    def trained_size(self) -> tuple[int, int] | None:
        """Return the (height, width) px that a run was trained at, None where that is not known."""
        return parse_size(read_lineage(self.source).get("size")) if self.kind == "run" else None


def parse_init(text: str | os.PathLike[str]) -> Init:
    """Understand ``--init``.

    Raises:
        WeightsError: neither a known word nor an existing run folder or file.
    """
    text = os.fspath(as_path(text, "init"))
    if text in ("random", "imagenet"):
        return Init(text, text)
    path = Path(text)
    if (path / "lineage.json").is_file():
        return Init("run", text)
    if path.is_file() or monodepth2.is_official_folder(path):
        return Init("file", text)
    if path.is_dir():
        raise WeightsError(
            f"The folder {text} is no finished run: it has no lineage.json. Give a run folder, a weights "
            "file, 'random' or 'imagenet'."
        )
    raise WeightsError(
        f"Unknown initialisation '{text}'.{nearest_name(text, ['random', 'imagenet'])} It is neither "
        "'random' nor 'imagenet', and there is no such run folder or weights file."
    )


Three = tuple[Finite, Finite, Finite]


@dataclass(frozen=True)
class _Normalisation:
    mean: Three
    std: tuple[Positive, Positive, Positive]


@dataclass(frozen=True)
class _Step:
    init: Text
    kind: Text
    method: Text | None = None


@dataclass(frozen=True)
class _Classes:
    names: list[Text]
    colours: list[tuple[Colour, Colour, Colour]]


@dataclass(frozen=True)
class LineageShape:
    """What others read from ``lineage.json``; there is more in it."""

    backbone: Text | None = None
    method: Text | None = None
    normalisation: _Normalisation | None = None
    chain: list[_Step] = field(default_factory=list)
    size: AnySize = None
    data_fingerprint: Text | None = None
    classes: _Classes | None = None
    task: Object = field(default_factory=dict)


def read_lineage(run: str | Path) -> dict[str, Any]:
    """Return a run's ``lineage.json`` (``backbone``, ``method``, ``normalisation``, ``init``, ``chain``).

    Raises:
        WeightsError: absent, unreadable or damaged.
    """
    path = as_path(run, "run") / "lineage.json"
    advice = (
        f"Is {run} a finished run? Copy the run again, or start from its backbone.safetensors with --init."
    )
    content = read_json_text(path, error=WeightsError, advice=advice)
    as_type(LineageShape, content, path, error=WeightsError, advice=advice)
    if "backbone" not in content:
        raise WeightsError(f"'{path}' is damaged: backbone is missing. {advice}")
    return dict(content)


def weight_files(source: str | os.PathLike[str]) -> list[Path]:
    """Return the files that the weights of ``--init`` are read from, none for ``random`` and ``imagenet``.

    Raises:
        WeightsError: unknown, or a run that has no weights yet.
    """
    init = parse_init(source)
    path = Path(init.source)
    if init.kind not in ("run", "file"):
        return []
    if init.kind == "run":
        return [_weights_of_run(path)]
    return [path] if path.is_file() else [path / n for n in monodepth2.FILES if (path / n).is_file()]


def _weights_of_run(run: Path) -> Path:
    file = run / "model.safetensors"
    if not file.is_file():
        raise WeightsError(
            f"The run {run} has no weights yet: finish it by repeating its command with --resume."
        )
    return file


def ancestors(init: Init, origin: Origin | None = None) -> list[dict[str, Any]]:
    """Return the chain of initialisations behind ``init``, oldest first, for the lineage of a new run.

    Args:
        init: what the run starts from.
        origin: of ImageNet weights; said beside the word, with their licence.
    """
    if init.kind != "run":
        step: dict[str, Any] = {"init": init.source, "kind": init.kind}
        if init.kind == "imagenet" and origin is not None:
            step |= {"weights": origin.name, "licence": origin.licence or "not stated"}
        return [step]
    lineage = read_lineage(init.source)
    step = {
        "init": init.source,
        "kind": "run",
        "method": lineage.get("method"),
        "backbone": lineage["backbone"],
    }
    return [*lineage.get("chain", []), step]


@dataclass(frozen=True)
class InitTensors:
    """Tensors of a run or foreign file.

    Attributes:
        backbone: tensors of the backbone, for foreign files everything there is.
        others: the remaining tensors of a run, an official Monodepth2 folder or SC-Depth checkpoint
            (``decoder.*``, ``pose.*``).
        normalisation: what is stored with the weights, if anything.
    """

    backbone: dict[str, Tensor]
    others: dict[str, Tensor]
    normalisation: Normalisation | None


def read_init(init: Init, backbone_name: str) -> InitTensors:
    """Read everything ``init`` has; nothing for ``random`` and ``imagenet``.

    Raises:
        WeightsError: unreadable, or made with another backbone than ``backbone_name``.
    """
    path = Path(init.source)
    if init.kind not in ("run", "file"):
        return InitTensors({}, {}, None)
    normalisation: Normalisation | None = {"mean": [*DEFAULT_MEAN], "std": [*DEFAULT_STD]}
    if path.is_file():
        tensors = read_tensors(path)
        if not sc_depth.is_official(tensors):
            return InitTensors(tensors, {}, read_normalisation(path))
        tensors = sc_depth.from_official(tensors)
    elif init.kind == "run":
        lineage = read_lineage(path)
        if lineage["backbone"] != backbone_name:
            raise WeightsError(
                f"The run {path} has the backbone {lineage['backbone']}, not {backbone_name}. "
                f"Use --backbone {lineage['backbone']}, or another run."
            )
        tensors = read_tensors(_weights_of_run(path), strip=False)
        normalisation = lineage.get("normalisation")
    else:
        tensors = monodepth2.read_folder(path)
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith("backbone.")}
    return InitTensors(rename(tensors, {"backbone.": ""}), others, normalisation)


def init_backbone(
    backbone_name: str, init: Init, read: InitTensors | None = None
) -> tuple[Backbone, LoadReport]:
    """Build a backbone with the weights of ``init`` and the normalisation that belongs to them.

    Args:
        backbone_name: any timm model.
        init: where the weights come from.
        read: what ``read_init`` returned, where it was read before.

    Raises:
        ConfigError: unknown backbone.
        WeightsError: weights are unreadable, not to be had, or made for another backbone.
    """
    if init.kind == "random":
        backbone = Backbone(backbone_name)
        return backbone, LoadReport("random numbers", reinitialised=_saved_names(backbone))
    if init.kind == "imagenet":
        backbone = Backbone(backbone_name, pretrained=True)
        normalise_like_timm(backbone)
        source = f"ImageNet ({backbone.origin.name})" if backbone.origin else "ImageNet"
        return backbone, LoadReport(source, loaded=_saved_names(backbone))
    read = read or read_init(init, backbone_name)
    return backbone_from_tensors(backbone_name, read.backbone, read.normalisation, source=init.source)


def init_other_parts(
    task: Saved,
    others: Mapping[str, Tensor],
    report: LoadReport,
    *,
    fresh: Mapping[str, str] | None = None,
) -> None:
    """Load what ``others`` has for the saved parts of ``task`` beside its backbone, and report it.

    Decoders take every tensor that fits; further backbones (``pose.backbone.``) are taken whole or not
    at all.

    Args:
        task: receives the tensors.
        others: see ``InitTensors``.
        report: extended in place.
        fresh: saved prefixes that stay as initialised, with the reason.
    """
    fresh = fresh or {}
    parts = {saved: inside for saved, inside in task.weight_parts.items() if saved != "backbone."}
    for saved, inside in parts.items():
        module = task.get_submodule(inside.removesuffix("."))
        tensors = rename(others, {saved: ""})
        reason = fresh.get(saved, "")
        if not reason and saved.endswith("backbone.") and tensors and not fits_whole(module, tensors):
            reason = "made for another backbone"
        report.add(
            load_matching(module, {} if reason else tensors, source=report.source, required=False), saved
        )
        if reason:
            report.skipped += [(saved + name, reason) for name in tensors]
    report.skipped += [(n, "no part of this task") for n in others if not n.startswith(tuple(parts))]


def backbone_from_tensors(
    backbone_name: str, tensors: Mapping[str, Tensor], normalisation: Normalisation | None, *, source: str
) -> tuple[Backbone, LoadReport]:
    """Build a backbone from tensors; without a stored normalisation timm's is assumed and reported."""
    backbone = Backbone(backbone_name)
    report = LoadReport(source).add(load_backbone(backbone, tensors, source=source), "backbone.")
    if normalisation is not None:
        backbone.set_normalisation(normalisation["mean"], normalisation["std"])
    else:
        normalise_like_timm(backbone)
        report.warnings.append(
            f"no normalisation is stored with these weights: timm's for {backbone_name} is assumed "
            f"(mean {backbone.normalisation['mean']}, std {backbone.normalisation['std']})"
        )
    return backbone, report


def _saved_names(backbone: Backbone) -> list[str]:
    return [f"backbone.{name}" for name in backbone.model.state_dict()]


def normalise_like_timm(backbone: Backbone) -> None:
    """Use the mean and standard deviation that timm's own weights of this model were trained with."""
    config = backbone.model.pretrained_cfg
    backbone.set_normalisation(config.get("mean", DEFAULT_MEAN), config.get("std", DEFAULT_STD))
