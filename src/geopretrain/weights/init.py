"""What a network starts from: random numbers, ImageNet, a run of ours, or somebody else's file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from geopretrain.errors import WeightsError, unknown_init
from geopretrain.lineage_shape import LineageShape
from geopretrain.networks import DEFAULT_MEAN, DEFAULT_STD, Backbone
from geopretrain.networks.packaged import Origin
from geopretrain.records import as_type, read_json_text
from geopretrain.schema import as_path, parse_size
from geopretrain.weights.checkpoint import checkpoint_files, read_checkpoint
from geopretrain.weights.files import read_tensors
from geopretrain.weights.formats import BACKBONE, Normalisation
from geopretrain.weights.loading import fits_whole, load_backbone, load_matching, rename
from geopretrain.weights.proposals import propose_backbones
from geopretrain.weights.report import NOTHING, LoadReport, examples
from geopretrain.weights.runs import Saved, no_network


@dataclass(frozen=True)
class Init:
    """Where the first weights come from.

    Attributes:
        kind: ``random``, ``imagenet``, ``run`` (a run folder of ours) or ``file`` (a foreign file or
            folder).
        source: the path, or the word itself.
        backbone_only: whether everything else that is there (a decoder, a pose network) is left.
        shape_only: whether all weights are put in afterwards, so that none need be fetched.
    """

    kind: str
    source: str
    backbone_only: bool = False
    shape_only: bool = False

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
    if path.is_file() or (path.is_dir() and checkpoint_files(path)):
        return Init("file", text)
    if path.is_dir():
        raise WeightsError(
            f"The folder {text} is no finished run: it has no lineage.json, and no weights of a model hub "
            "(model.safetensors) or of Monodepth2 (encoder.pth). Give a run folder, a weights file, 'random' "
            "or 'imagenet'."
        )
    raise unknown_init(text)


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
    return checkpoint_files(path)


def _weights_of_run(run: Path) -> Path:
    file = run / "model.safetensors"
    if not file.is_file():
        raise WeightsError(no_network(run))
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
        backbone: tensors of the backbone, in timm's names.
        others: the remaining tensors, in our names (``decoder.*``, ``pose.*``).
        normalisation: what is stored with the weights or belongs to them, if anything.
        format: in which a foreign file was found.
        skipped: tensors of a foreign file that have no name of ours, each with the reason.
        ordered: see `fit_to`.
        warnings: what spoke against the weights of a run when its training ended.
    """

    backbone: dict[str, Tensor]
    others: dict[str, Tensor]
    normalisation: Normalisation | None
    format: str = ""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ordered: bool = False
    warnings: list[str] = field(default_factory=list)


def read_init(init: Init, backbone_name: str) -> InitTensors:
    """Read everything of ``init`` that is taken; nothing for ``random`` and ``imagenet``.

    Raises:
        WeightsError: unreadable, or made with another backbone than ``backbone_name``.
    """
    if init.kind not in ("run", "file"):
        return InitTensors({}, {}, None)
    found = _read(init, backbone_name)
    if not init.backbone_only:
        return found
    left = [(name, "only the backbone is taken over") for name in found.others]
    return replace(found, others={}, skipped=[*found.skipped, *left])


def _read(init: Init, backbone_name: str) -> InitTensors:
    path = Path(init.source)
    if init.kind == "file":
        return _read_foreign(path)
    lineage = read_lineage(path)
    if lineage["backbone"] != backbone_name:
        raise WeightsError(
            f"The run {path} has the backbone {lineage['backbone']}, not {backbone_name}. "
            f"Use --backbone {lineage['backbone']}, or another run."
        )
    tensors = read_tensors(_weights_of_run(path), strip=False)
    return InitTensors(*_parts(tensors), lineage.get("normalisation"), warnings=_ended_with(path))


def _ended_with(run: Path) -> list[str]:
    path = run / "results.json"
    if not path.is_file():
        return []
    advice = "Make it anew with `geopretrain evaluate`, or start from the run's backbone.safetensors."
    content = read_json_text(path, error=WeightsError, advice=advice)
    said = content.get("warnings", []) if isinstance(content, Mapping) else []
    return [f"its training ended with a warning: {sentence}" for sentence in said]


def _read_foreign(path: Path) -> InitTensors:
    found = read_checkpoint(path)
    return InitTensors(
        *_parts(found.converted.tensors),
        found.normalisation,
        found.format.name,
        found.converted.skipped,
        found.format.ordered,
    )


def _parts(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of the backbone, and all others."""
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(BACKBONE)}
    return rename(tensors, {BACKBONE: ""}), others


def backbone_of(init: Init) -> str | None:
    """Return the timm model that the weights of ``init`` belong to; None where nothing tells.

    Runs and files of ours, and folders of timm, say it. Other files are recognised by names and shapes, if
    they belong to one of the usual models.

    Raises:
        WeightsError: the weights cannot be read, or belong to several models that have the same tensors.
    """
    if init.kind == "run":
        if (name := read_lineage(init.source)["backbone"]) is None:
            raise WeightsError(f"The run {init.source} has no backbone.")
        return str(name)
    if init.kind != "file":
        return None
    found = read_checkpoint(Path(init.source))
    if found.backbone is not None:
        return found.backbone
    tensors, _ = _parts(found.converted.tensors)
    names = propose_backbones(tensors, ordered=found.format.ordered, window=found.window)
    if len(names) > 1:
        raise WeightsError(
            f"The weights in {init} fit {' and '.join(names)} alike, whose features differ. Say which "
            f"of them it is, e.g. --backbone {names[0]}."
        )
    return names[0] if names else None


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
        return backbone, LoadReport(NOTHING, reinitialised=_saved_names(backbone))
    if init.kind == "imagenet":
        backbone = Backbone(backbone_name, pretrained=True)
        normalise_like_timm(backbone)
        source = f"ImageNet ({backbone.origin.name})" if backbone.origin else "ImageNet"
        return backbone, LoadReport(source, loaded=_saved_names(backbone))
    return _backbone_from(backbone_name, read or read_init(init, backbone_name), init.source)


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

    Raises:
        WeightsError: the source has no backbone, and nothing for the other parts either.
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
    if others and not report.loaded:
        raise WeightsError(
            f"Nothing in {report.source} fits this task: it holds {examples(others)}, and no backbone."
        )


def _backbone_from(name: str, read: InitTensors, source: str) -> tuple[Backbone, LoadReport]:
    """Build a backbone from tensors; without a stored normalisation timm's is assumed and reported."""
    backbone = Backbone(name)
    report = LoadReport(source, format=read.format, skipped=[*read.skipped], warnings=[*read.warnings])
    if read.backbone or not read.others:
        loaded = load_backbone(backbone, read.backbone, source=source, ordered=read.ordered)
        report.add(loaded, BACKBONE)
    else:
        report.reinitialised = _saved_names(backbone)
        parts = dict.fromkeys(other.split(".")[0] for other in read.others)
        report.incomplete = (
            f"{source} holds no backbone, only {examples(parts)}: {name} begins with random numbers."
        )
    if read.normalisation is not None:
        backbone.set_normalisation(read.normalisation["mean"], read.normalisation["std"])
    elif read.backbone:
        normalise_like_timm(backbone)
        report.warnings.append(
            f"no normalisation is stored with these weights: timm's for {name} is assumed "
            f"(mean {backbone.normalisation['mean']}, std {backbone.normalisation['std']})"
        )
    report.normalisation = backbone.normalisation
    return backbone, report


def _saved_names(backbone: Backbone) -> list[str]:
    return [f"backbone.{name}" for name in backbone.model.state_dict()]


def normalise_like_timm(backbone: Backbone) -> None:
    """Use the mean and standard deviation that timm's own weights of this model were trained with."""
    config = backbone.model.pretrained_cfg
    backbone.set_normalisation(config.get("mean", DEFAULT_MEAN), config.get("std", DEFAULT_STD))
