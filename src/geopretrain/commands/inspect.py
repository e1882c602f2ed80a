"""``data inspect``: what is this, and can depth be learned from it?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from geopretrain.config.command import takes
from geopretrain.config.data_options import InspectOptions
from geopretrain.console import console

if TYPE_CHECKING:
    from geopretrain.data.prepare.inspection import Inspection


@takes(InspectOptions)
def inspect(options: InspectOptions) -> Inspection:
    """Look at a video, folder, data set or store; the first 300 frames of each clip are read.

    Returns:
        The report: ``text()``, ``fit``, ``problems`` and one entry for each clip.

    Raises:
        DataError: nothing there, unreadable, or of no known layout.
        ConfigError: a synthetic spec with an unknown kind or option.
    """
    from geopretrain.data.prepare import inspection

    found = inspection.inspect(
        os.fspath(options.path),
        baseline=options.baseline,
        depth_unit=options.depth_unit,
        value_range=options.range,
        camera_file=options.camera_file,
    )
    if found.unusable:
        console.warn_left_out(f"{len(found.unusable)} of the files and folders cannot be used; see below.")
    return found
