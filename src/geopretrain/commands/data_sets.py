"""``data list`` and ``data check``: which data sets are known, and whether a copy of one is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.config.command import takes
from geopretrain.config.data_options import DataCheckOptions, DataListOptions
from geopretrain.data.catalogue.finding import VARIABLE
from geopretrain.errors import OptionError

if TYPE_CHECKING:
    from geopretrain.data.catalogue.checking import DataCheck, DataListing


@takes(DataListOptions)
def data_list(options: DataListOptions) -> DataListing:
    """List the data sets that are known by name: what each gives and needs, and where it is had.

    Returns:
        The listing: ``text()``, and ``places``, the folder of each below the data root, if that was given.

    Raises:
        DataError: the data root is no folder.
    """
    from geopretrain.data.catalogue.checking import listing

    return listing(_root(options.data_root))


@takes(DataCheckOptions)
def data_check(options: DataCheckOptions) -> DataCheck:
    """Verify a copy of a data set: its parts, the number and size of its pictures, a few of them decoded.

    Returns:
        The report: ``text()``, ``whole``, and in sentences what is ``found`` and what is ``missing``.

    Raises:
        ConfigError: there is no data set of this name, or a library that reads it is not installed.
        OptionError: nobody says where data sets lie.
    """
    from geopretrain.data.catalogue.checking import check

    root = _root(options.data_root)
    if root is None:
        raise OptionError("data_root", f"is missing, and {VARIABLE} is not set: say where data sets lie.")
    return check(options.name, root)


def _root(given: str | os.PathLike[str] | None) -> Path | None:
    root = given if given is not None else os.environ.get(VARIABLE)
    return None if root is None else Path(root).expanduser()
