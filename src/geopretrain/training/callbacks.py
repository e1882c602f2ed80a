"""Callbacks that a program gives to a training: ``geopretrain.pretrain(..., callbacks=[...])``."""

from __future__ import annotations

from collections.abc import Sequence

from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping

from geopretrain.config.command import objects
from geopretrain.errors import OptionError
from geopretrain.ranks import place_among
from geopretrain.training.settings import LoopSettings


def callbacks_of_program(settings: LoopSettings) -> Sequence[Callback]:
    """Return the callbacks that the call under way was given.

    Raises:
        OptionError: they are none of Lightning's, or other processes cannot have them.
    """
    given = objects("callbacks") or ()
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    for callback in found:
        if not isinstance(callback, Callback):
            raise OptionError("callbacks", f"must be Lightning callbacks, not {type(callback).__name__}.")
        if isinstance(callback, (Checkpoint, EarlyStopping)):
            raise OptionError(
                "callbacks",
                f"cannot hold a {type(callback).__name__}: checkpoints and an early end are options of ours "
                "(checkpoint_every, monitor, keep, patience).",
            )
    if found and settings.processes > 1 and place_among(settings.devices, settings.num_nodes) is None:
        raise OptionError(
            "callbacks",
            f"are objects of this process, which the other {settings.processes - 1} cannot have. Start the "
            "program itself in all of them with torchrun.",
        )
    return found


def name_of(callback: Callback) -> str:
    """Return the module and class of a callback."""
    return f"{type(callback).__module__}.{type(callback).__qualname__}"
