"""Reading and writing files of tensors, safely: nothing is ever unpickled that could run code."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geopretrain.errors import WeightsError
from geopretrain.files import atomic_path
from geopretrain.records import reason
from geopretrain.schema import as_path

#: Keys under which others put their state dict, in the order in which they are tried.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "teacher",
    "network",
    "net",
    "module",
    "params",
    "weights",
)

#: What others put in front of every parameter name.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "network.", "net.")


def save_tensors(path: str | Path, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that is either complete or absent (temporary file, fsync, rename).

    Raises:
        RunFolderError: the file cannot be written (disk full, read-only folder).
    """
    from safetensors.torch import save

    # copies, because safetensors refuses tensors that share memory
    tensors = {n: t.detach().clone(memory_format=torch.contiguous_format).cpu() for n, t in state.items()}
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(_with_sorted_metadata(save(tensors, metadata)))


def _with_sorted_metadata(content: bytes) -> bytes:
    """Return a safetensors file with sorted metadata: the library's order is random, equal runs are not."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def read_tensors(path: str | Path, *, strip: bool = True) -> dict[str, Tensor]:
    """Return the tensors of a safetensors or PyTorch file on the CPU, wrappers removed.

    Args:
        path: the file.
        strip: also remove prefixes that all names share, such as ``module.``.

    Raises:
        WeightsError: the file is absent, damaged, holds no tensors, or would have to run code to be read.
    """
    path = as_path(path)
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist.")
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _unwrap(_read_torch(path), path)
    return strip_prefixes(tensors) if strip else tensors


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, empty for other files."""
    from safetensors import safe_open

    if Path(path).suffix != ".safetensors":
        return {}
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:
        raise _damaged(Path(path), error) from error


def read_normalisation(path: str | Path) -> dict[str, list[float]] | None:
    """Return ``{"mean": [...], "std": [...]}`` stored with the weights, or None where nothing is stored."""
    text = read_metadata(path).get("normalisation")
    if text is None:
        return None
    try:
        found = json.loads(text)
        return {key: [float(value) for value in found[key]] for key in ("mean", "std")}
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The normalisation stored in {path} cannot be understood: {text[:80]}") from error


def strip_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove every known prefix that all names share, such as ``module.`` of data-parallel training."""
    while tensors:
        shared = [p for p in PREFIXES if all(name.startswith(p) and len(name) > len(p) for name in tensors)]
        if not shared:
            break
        tensors = {name[len(shared[0]) :]: tensor for name, tensor in tensors.items()}
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return dict(load_file(str(path)))
    except Exception as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols; nothing a user can act on
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is not a plain file of tensors: reading it could run code stored in it, or it is "
            "damaged. Nothing was run. Ask its author for a safetensors file, or convert it yourself."
        ) from error
    except Exception as error:
        raise _damaged(path, error) from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the first dictionary of tensors found in ``content`` or under one of the usual keys."""
    for _ in range(4):
        if not isinstance(content, dict):
            break
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), dict)]
        if not inner:
            break
        content = inner[0]
    raise WeightsError(
        f"{path} holds no dictionary of tensors. Expected a state dict as PyTorch or safetensors save it."
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"Weights file {path} is damaged or incomplete ({reason(error)}). Copy or download it again."
    )
