"""Reading and writing files of tensors, safely: nothing is ever unpickled that could run code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from geopretrain.errors import WeightsError
from geopretrain.files import atomic_path
from geopretrain.lineage_shape import StoredNormalisation
from geopretrain.records import as_type, reason
from geopretrain.schema import as_path
from geopretrain.weights.sniffing import damaged, kind_of
from geopretrain.weights.states import State, choose_state, without_tensors
from geopretrain.weights.unpickling import read_pickled

#: What others put in front of every parameter name.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "network.", "net.")

#: What is put in front of names by training on several devices, compiling and wrapping with Lightning.
_WRAPPING = ("module.", "_orig_mod.", "model.", "network.")

MAX_CLAIMED = 8
"""Times the size of its file that tensors may claim; more is no memory of anybody's."""


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
    tensors = _read(as_path(path)).tensors
    return strip_prefixes(tensors) if strip else tensors


def read_state(path: str | Path) -> State:
    """Return the tensors of a file of others under the names of their network (raises as `read_tensors`).

    What data-parallel training, compiling and Lightning put before all names is removed, and nothing else:
    ``encoder.`` may tell what the network is.
    """
    state = _read(as_path(path))
    return State(strip_prefixes(state.tensors, _WRAPPING), state.left_out)


def _read(path: Path) -> State:
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist.")
    if kind_of(path) == "safetensors":
        return State(_read_safetensors(path))
    state = choose_state(read_pickled(path), path)
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.tensors.values())
    if claimed > MAX_CLAIMED * path.stat().st_size:
        raise damaged(path, f"its tensors claim {claimed:,} bytes, the file has {path.stat().st_size:,}")
    return state


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, empty for other files."""
    from safetensors import safe_open

    if kind_of(Path(path)) != "safetensors":
        return {}
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:
        raise damaged(Path(path), reason(error)) from error


def read_normalisation(path: str | Path) -> dict[str, list[float]] | None:
    """Return ``{"mean": [...], "std": [...]}`` stored with the weights, or None where nothing is stored."""
    text = read_metadata(path).get("normalisation")
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"The normalisation stored in {path} cannot be understood: {text[:80]}") from error
    advice = f"It is the normalisation stored in the file, {text[:80]}. Copy or download it again."
    stored = as_type(StoredNormalisation, found, Path(path), error=WeightsError, advice=advice)
    return {"mean": [*stored.mean], "std": [*stored.std]}


def strip_prefixes(tensors: dict[str, Tensor], prefixes: tuple[str, ...] = PREFIXES) -> dict[str, Tensor]:
    """Remove each of ``prefixes`` that all names share, such as ``module.`` of data-parallel training."""
    while tensors:
        shared = [p for p in prefixes if all(name.startswith(p) and len(name) > len(p) for name in tensors)]
        if not shared:
            break
        tensors = {name[len(shared[0]) :]: tensor for name, tensor in tensors.items()}
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        tensors = dict(load_file(str(path)))
    except Exception as error:
        raise damaged(path, reason(error)) from error
    if not tensors:
        raise without_tensors(path)
    return tensors
