"""Checkpoints of others: one file, several, or a folder with a description beside them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from geopretrain.errors import WeightsError
from geopretrain.records import Finite, Length, Positive, Text, read_json
from geopretrain.weights import monodepth2
from geopretrain.weights.files import read_metadata, read_normalisation, read_state
from geopretrain.weights.formats import HALF, Converted, Format, Normalisation, recognise

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in folders of model hubs, the first that is there is read."""
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_ADVICE = "Copy or download the folder again."
_CHECKPOINTS, _TASK = "checkpoints", "task."
"""Where a run keeps what it is continued from, and what stands before the names of tensors there."""

Three = tuple[Finite, Finite, Finite]


@dataclass(frozen=True)
class _Index:
    weight_map: dict[Text, Text]


@dataclass(frozen=True)
class _TimmConfig:
    mean: Three | None = None
    std: tuple[Positive, Positive, Positive] | None = None


@dataclass(frozen=True)
class _Config:
    """``config.json``: timm's says what the model is, transformers' how it is made."""

    architecture: Text | None = None
    window_size: Length | None = None
    pretrained_cfg: _TimmConfig = field(default_factory=_TimmConfig)


@dataclass(frozen=True)
class _Preprocessor:
    image_mean: Three | None = None
    image_std: tuple[Positive, Positive, Positive] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Weights of others, as they were found.

    Attributes:
        format: in which they are.
        converted: their tensors in our names, and what is left out.
        normalisation: that they were trained with, None where nothing tells.
        backbone: name of the timm model, where the file says it itself.
        window: of Swin, where it is said.
    """

    format: Format
    converted: Converted
    normalisation: Normalisation | None
    backbone: str | None = None
    window: int | None = None


def checkpoint_files(path: Path) -> list[Path]:
    """Return the files of weights at ``path``; none where it is a folder without any that we know.

    Raises:
        WeightsError: the list of parts in the folder is damaged, or a part is missing.
    """
    if path.is_file():
        return [path]
    if monodepth2.is_official_folder(path):
        return [path / name for name in monodepth2.FILES if (path / name).is_file()]
    single = [path / name for name in SINGLE_FILES if (path / name).is_file()]
    if single:
        return single[:1]
    index = next((path / name for name in INDEXES if (path / name).is_file()), None)
    return [] if index is None else _parts(index)


def refuse_own(path: Path, names: Collection[str]) -> None:
    """Refuse the file that a training of ours is continued from: its run folder says what is in it.

    Args:
        path: of the file.
        names: of the tensors in it.

    Raises:
        WeightsError: it is one.
    """
    run = path.parent.parent
    if (run / "lineage.json").is_file() and path.parent.name == _CHECKPOINTS:
        finished = (run / SINGLE_FILES[0]).is_file()
        how = f"Give the run itself: {run}"
        if not finished:
            how = f"The run is not finished: continue it with --resume {run}, then give {run}"
    elif names and all(name.startswith(_TASK) for name in names):
        how = "Give the folder of the run it was made in"
    else:
        return
    raise WeightsError(
        f"'{path}' is what a run of geopretrain is continued from, and no weights file. {how}."
    )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read weights of others and recognise how they are named.

    Raises:
        WeightsError: unreadable, damaged, or without tensors.
    """
    files = checkpoint_files(path)
    if path.is_dir() and monodepth2.is_official_folder(path):
        whole = monodepth2.read_folder(path)
        return Checkpoint(
            Format("Monodepth2, all files of a folder (Godard et al. 2019)"), Converted(whole), HALF
        )
    states = [read_state(file) for file in files]
    tensors: dict[str, Tensor] = {}
    for state in states:
        tensors |= state.tensors
    if path.is_file():
        refuse_own(path, tensors)
    found = recognise(tensors)
    about = _description(path) if path.is_dir() else None
    backbone = about.architecture if about else read_metadata(files[0]).get("backbone")
    normalisation = _stored_normalisation(path, files[0], about) or found.normalisation
    window = about.window_size if about else None
    converted = found.convert(tensors)
    left_out = [one for state in states for one in state.left_out]
    converted = Converted(converted.tensors, converted.skipped + left_out)
    return Checkpoint(found, converted, normalisation, backbone, window)


def _parts(index: Path) -> list[Path]:
    names = read_json(index, _Index, error=WeightsError, advice=_ADVICE).weight_map.values()
    parts = [index.parent / name for name in dict.fromkeys(names)]
    outside = [part for part in parts if part.parent != index.parent or part.name in ("", "..")]
    missing = [part for part in parts if not part.is_file()]
    if outside or missing:
        name = (outside or missing)[0].name
        raise WeightsError(f"{index} lists the file '{name}', which is not in that folder. {_ADVICE}")
    return parts


def _description(folder: Path) -> _Config:
    path = folder / CONFIG
    return read_json(path, _Config, error=WeightsError, advice=_ADVICE) if path.is_file() else _Config()


def _stored_normalisation(path: Path, file: Path, about: _Config | None) -> Normalisation | None:
    """Return the normalisation that is written down with the weights: by us, by timm or by transformers."""
    if about is None:
        return read_normalisation(file)
    mean, std = about.pretrained_cfg.mean, about.pretrained_cfg.std
    if (path / PREPROCESSOR).is_file():
        found = read_json(path / PREPROCESSOR, _Preprocessor, error=WeightsError, advice=_ADVICE)
        mean, std = found.image_mean, found.image_std
    return {"mean": [*mean], "std": [*std]} if mean and std else read_normalisation(file)
