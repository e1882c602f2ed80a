"""The formats by name: where what is written goes, and the function that writes it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.errors import ConfigError, OptionError

if TYPE_CHECKING:
    from geopretrain.exporting.subject import Subject

Size = tuple[int, int]
PATH = "{path}"
"""What stands for the file or folder in the lines that load it."""


@dataclass(frozen=True)
class Request:
    """What is wanted, beside the format.

    Attributes:
        target: file or folder to write.
        part: ``task`` (the whole network) or ``backbone``.
        size: (height, width) px of networks that take one size only, and of the first try; None: that of
            the run.
    """

    target: Path
    part: str
    size: Size | None = None


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: all of them, the main one first.
        loads: lines of Python that load it, with ``PATH`` for the target, see `loaded_from`.
        checked: a sentence on what was compared before it was called done.
        notes: more sentences, for screen and model card.
    """

    files: tuple[Path, ...]
    loads: str
    checked: str
    notes: tuple[str, ...] = ()

    def loaded_from(self, path: str) -> str:
        """Return the lines that load it from a path, or from ``hf-hub:OWNER/NAME``."""
        loads = self.loads.replace(f"local-dir:{PATH}", path) if path.startswith("hf-hub:") else self.loads
        return loads.replace(PATH, path)


TORCH = (".pth", ".pt", ".bin")
"""Endings of the files that ``torch.save`` writes."""
OF_FILES = (
    *(".safetensors", ".onnx", ".pt2", *TORCH, ".ckpt", ".tar", ".pkl", ".npz", ".npy", ".h5", ".pb"),
    *(".tflite", ".engine", ".mlmodel", ".zip", ".json", ".yaml", ".yml", ".md", ".txt"),
)
"""Endings that nobody gives to a folder."""


@dataclass(frozen=True)
class Format:
    """A format of others.

    Attributes:
        writer: ``module:function`` that takes a `Subject` and a `Request` and returns what was `Written`.
        file: name of the file where ``--out`` is a folder; empty: the format is a folder of files.
        parts: what of a run it can hold, the usual one first.
        sized: whether it has a size of images.
        endings: other endings of a file that it can write.
    """

    writer: str
    file: str = ""
    parts: tuple[str, ...] = ("backbone",)
    sized: bool = False
    endings: tuple[str, ...] = ()

    def target(self, out: Path, name: str) -> Path:
        """Return the file or folder that ``--out`` means: a name with an ending of the format is the file.

        Args:
            out: as the user gave it.
            name: of the format.

        Raises:
            OptionError: it has the ending of another kind of file.
        """
        own, ending = Path(self.file).suffix, out.suffix.lower()
        if self.file and not out.is_dir() and ending in (own, *self.endings):
            return out
        if ending in OF_FILES and not out.is_dir():
            one = (
                f"a file that ends in {' or '.join((own, *self.endings))}, or a folder" if own else "a folder"
            )
            raise OptionError(
                "out",
                f"must be {one} for the format {name}, not the file '{out}'. Use {out.with_suffix(own)}.",
            )
        return out / self.file if self.file else out

    def write(self, subject: Subject, request: Request) -> Written:
        """Write a run in this format."""
        module, name = self.writer.split(":")
        function: Callable[[Subject, Request], Written] = getattr(importlib.import_module(module), name)
        return function(subject, request)


_HOME = "geopretrain.exporting"
FORMATS = {
    "timm": Format(f"{_HOME}.timm_file:write", "backbone.safetensors", endings=TORCH),
    "torchvision": Format(f"{_HOME}.torchvision_file:write", "torchvision.safetensors", endings=TORCH),
    "monodepth2": Format(f"{_HOME}.monodepth2_folder:write", parts=("task",)),
    "safetensors": Format(f"{_HOME}.whole_file:write", "model.safetensors", parts=("task",)),
    "onnx": Format(f"{_HOME}.onnx_file:write", "model.onnx", parts=("task", "backbone"), sized=True),
    "torch-export": Format(f"{_HOME}.program_file:write", "model.pt2", ("task", "backbone"), sized=True),
    "hub-folder": Format(f"{_HOME}.hub_folder:write"),
}
"""The formats of ``export``."""


def part_of(name: str, part: str | None) -> str:
    """Return the part of a run that a format is to hold.

    Raises:
        ConfigError: it cannot hold what is asked for.
    """
    parts = FORMATS[name].parts
    if part is None or part in parts:
        return part or parts[0]
    able = [known for known, form in FORMATS.items() if part in form.parts]
    raise ConfigError(
        f"The format {name} holds the {parts[0]} of a run, not its {part}. Leave --part away, or use one of "
        f"{', '.join(able)}."
    )
