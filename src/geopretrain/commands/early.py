"""What can be told of a command before anything heavy is imported: whether what it names is there.

A mistake in a path is answered within a second in this way, not after the libraries for training are read.
Nothing is opened but the few lines by which a run is known; the commands themselves look closer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geopretrain.commands.early_names import check_names
from geopretrain.errors import DataError, nearest_name, unknown_init
from geopretrain.ranks import follows
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import given

INPUTS = {
    "data": "a store, a video, a folder of frames or images, or a data set",
    "auxiliary_data": "a store, a video, a folder of frames, or a data set",
    "inputs": "a picture, a video, or a folder of them",
    "path": "a video, a folder of images, a data set or a store",
    "store": "the folder of a prepared store",
    "probe": "a set of labelled images",
    "video": "a store, a video, a folder of frames, or a data set",
    "labelled": "a set of labelled images",
    "measured": "a YAML file of measurements",
    "evaluate_data": "a store or data set with measured depth",
    "split_file": "the list of frames",
}
"""Options that name what is read, and what is expected there."""
EIGEN_TEST = "eigen-test"
"""A list of frames that is known by its name, see `geopretrain.data.readers.kitti_splits`."""
_INITS = ("init", "inits")
_IMAGES = "images:"
_WORD = re.compile(r"[A-Za-z][\w+.-]+:")
"""What data begin with that are no path, such as ``synthetic:street``; a drive has one letter."""


def check_early(options: Any) -> None:
    """Refuse what is not there, a run that is none, and a folder that cannot receive a run.

    Args:
        options: of any command, checked.

    Raises:
        UserError: the very sentence that the command itself would say later, or a plainer one.
    """
    if isinstance(run := getattr(options, "run", None), (str, os.PathLike)) and not os.path.isfile(run):
        RunFolder.open(os.fspath(run))
    for name, expected in INPUTS.items():
        for spec in _several(getattr(options, name, None)):
            if (name, spec) != ("split_file", EIGEN_TEST):
                _check_there(spec, expected)
    if getattr(options, "resume", False):
        return  # what a run began with is not needed any more
    check_names(options)
    for name in _INITS:
        for source in _several(getattr(options, name, None)):
            if source not in ("random", "imagenet") and not os.path.lexists(source):
                raise unknown_init(source)
    _check_out(options)


def _several(value: Any) -> Iterable[str]:
    """Return what an option names, one thing or several, as texts."""
    values = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    return [os.fspath(one) for one in values if isinstance(one, (str, os.PathLike))]


def _check_there(spec: str, expected: str) -> None:
    path = spec.removeprefix(_IMAGES).strip()
    pattern = any(char in path for char in "*?[")
    if not path or pattern or os.path.lexists(os.path.expanduser(path)) or _WORD.match(path):
        return
    parent = Path(path).expanduser().parent
    beside = [entry.name for entry in os.scandir(parent)] if parent.is_dir() else []
    hint = nearest_name(Path(path).name, [name for name in beside if not name.startswith(".")])
    raise DataError(f"'{path}' does not exist.{hint} Give {expected}.")


def _check_out(options: Any) -> None:
    """Refuse a folder that cannot receive a run; what a run is may be told from its options."""
    training = {"out", "resume", "overwrite", "init", "devices", "num_nodes"} <= vars(options).keys()
    if not training or "out" not in given(options) or options.out is None:
        return
    if not follows(options.devices, options.num_nodes):
        RunFolder(options.out).check_free(overwrite=options.overwrite, resume=False, init=options.init)
