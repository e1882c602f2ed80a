"""``last.ckpt``: written atomically, read without unpickling code."""

from __future__ import annotations

import errno
import pickle
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from pydantic import Field, InstanceOf
from torch import Tensor, nn

from geopretrain.errors import RunFolderError
from geopretrain.files import atomic_path
from geopretrain.records import Length, as_type, reason


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's checkpoint file, either the old one or the new one at any moment."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint``; raises RunFolderError where the disk is full or read-only."""
        with atomic_path(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # torch's archive writer hides the operating system's reason
                raise OSError(*_reason(error, temporary)) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint of ours onto the CPU; raises RunFolderError where it is damaged."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read ``path`` without unpickling anything but tensors and plain values.

    Raises:
        RunFolderError: it is damaged or not a checkpoint of ours.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise unusable(path, "reading it could run code stored in it, or it is cut off") from error
    except Exception as error:  # whatever torch makes of a file that is none of its own
        raise unusable(path, "it is empty" if _is_empty(path) else reason(error)) from error
    advice = "Remove it to begin the run again with --resume, or start anew with --overwrite."
    as_type(Checkpoint, content, path, error=RunFolderError, advice=advice)
    return _migrated(content)


def write_weights(path: Path, task: nn.Module, step: int) -> None:
    """Write the weights of a task as they are after ``step``, for `read_checkpoint`."""
    state = {f"task.{name}": value for name, value in task.state_dict().items()}
    AtomicCheckpointIO().save_checkpoint({"global_step": step, "state_dict": state}, path)


def unusable(path: Path, why: str) -> RunFolderError:
    """Return the error about a checkpoint that a run cannot go on from."""
    return RunFolderError(
        f"'{path}' is damaged or not a checkpoint of ours: {why}. Remove it to start the run from its "
        "beginning with --resume, or start again with --overwrite."
    )


def check_weights(path: Path, state: Mapping[str, Tensor], own: Mapping[str, Any]) -> None:
    """Make sure that the weights of a checkpoint are those of the network.

    Args:
        path: of the checkpoint.
        state: its weights.
        own: those of the network, under the same names.

    Raises:
        RunFolderError: a tensor is missing, surplus, of another shape, or holds what is no number.
    """
    if missing := [name for name in own if name not in state]:
        raise unusable(path, f"it lacks {len(missing)} tensors of the network, e.g. {missing[0]}")
    if surplus := [name for name in state if name not in own]:
        raise unusable(path, f"it has {len(surplus)} tensors that the network has not, e.g. {surplus[0]}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(own[name].shape)}"
            raise unusable(path, f"its tensor {name} has the shape {shapes}")
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise unusable(path, f"its tensor {name} holds what is no number")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, as far as we read it; the rest is Lightning's."""

    global_step: Length
    state_dict: Annotated[dict[str, InstanceOf[Tensor]], Field(min_length=1)]
    callbacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    task_state: dict[str, Any] = field(default_factory=dict)


def _is_empty(path: Path) -> bool:
    return path.is_file() and not path.stat().st_size


def _migrated(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of version 0.1 under the names of today."""
    if gradients := checkpoint.pop("accumulated_gradients", None):
        checkpoint["task_state"] = {"gradients": gradients}
    averages = checkpoint.get("callbacks", {}).get("Recorder", {}).get("averages", {})
    if isinstance(averages, dict) and isinstance(averages.get("sums"), dict):
        averages["sums"] = {_log_name(name): value for name, value in averages["sums"].items()}
    return checkpoint


def _log_name(name: str) -> str:
    """Return what version 0.1 logged under ``name`` in the words of today."""
    return {"identity_share": "masked_fraction"}.get(name, re.sub("_share$", "_fraction", name))


def _reason(error: RuntimeError, path: Path) -> tuple[int, str]:
    if shutil.disk_usage(path.parent).free < 2**20:
        return errno.ENOSPC, "no space left"
    return errno.EIO, str(error).splitlines()[0]
