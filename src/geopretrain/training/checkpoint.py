"""``last.ckpt``: written atomically, read without unpickling code."""

from __future__ import annotations

import errno
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from geopretrain.errors import RunFolderError
from geopretrain.files import atomic_path


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
    """Read ``path`` with ``weights_only=True``.

    Raises:
        RunFolderError: it is damaged or not a checkpoint of ours.
    """
    try:
        return _migrated(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise RunFolderError(
            f"'{path}' is damaged or not a checkpoint of ours ({str(error).splitlines()[0]}). "
            "Remove it to start the run from its beginning with --resume, or start again with --overwrite."
        ) from error


def _migrated(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of version 0.1 under the names of today."""
    if gradients := checkpoint.pop("accumulated_gradients", None):
        checkpoint["task_state"] = {"gradients": gradients}
    averages = checkpoint.get("callbacks", {}).get("Recorder", {}).get("averages", {})
    if "sums" in averages:
        averages["sums"] = {_log_name(name): value for name, value in averages["sums"].items()}
    return checkpoint


def _log_name(name: str) -> str:
    """Return what version 0.1 logged under ``name`` in the words of today."""
    return {"identity_share": "masked_fraction"}.get(name, re.sub("_share$", "_fraction", name))


def _reason(error: RuntimeError, path: Path) -> tuple[int, str]:
    if shutil.disk_usage(path.parent).free < 2**20:
        return errno.ENOSPC, "no space left"
    return errno.EIO, str(error).splitlines()[0]
