"""Processes of ours that another one starts: what they need of its environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from geopretrain.data.labelled import detect as labelled
from geopretrain.data.readers import detect as clips
from geopretrain.plugins import VARIABLE, with_plugins
from geopretrain.tasks.registry import PRETEXTS, TRANSFERS


def environment(threads: int | None = None, gpu: str | None = None) -> dict[str, str]:
    """Return the environment for a process of ours: it finds the same modules, and the same plugins.

    Args:
        threads: of its thread pools, so that processes side by side do not fight for the same cores.
        gpu: the only one that it sees, see `geopretrain.compute.visible_gpus`; None: all that this one does.
    """
    count = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path for path in sys.path if path)),
        VARIABLE: with_plugins(_foreign_modules()),
        **count,
        **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}),
        "PYTHONUNBUFFERED": "1",
    }


def _foreign_modules() -> list[str]:
    """Return the modules, not ours, that methods and readers of this process come from."""
    homes = [place.partition(":")[0] for place in (*PRETEXTS.values(), *TRANSFERS.values())]
    homes += [row.open.__module__ for row in labelled.LAYOUTS]
    homes += [row.open.__module__ for row in clips.LAYOUTS]
    homes = [_script() if home == "__main__" else home for home in homes]
    return [home for home in dict.fromkeys(homes) if home and home.split(".")[0] != "geopretrain"]


def _script() -> str:
    """Return the name that the script that was started can be imported by, from its folder."""
    started = Path(sys.argv[0]) if sys.argv else Path()
    return started.stem if started.suffix == ".py" else ""
