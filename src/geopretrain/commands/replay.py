"""``replay``: the step in which a training stopped being numbers is computed again, watching every module."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from geopretrain.compute import use_threads
from geopretrain.config.command import takes
from geopretrain.config.run_options import ReplayOptions
from geopretrain.runs.folder import RunFolder

if TYPE_CHECKING:
    from geopretrain.training.replay import Replay


@takes(ReplayOptions)
def replay(options: ReplayOptions) -> Replay:
    """Compute the step again that a run kept because loss or gradients stopped being numbers.

    Returns:
        What each module gave, and where the first number that is none appeared: ``text()``, ``rows``,
        ``first_forward``, ``first_backward``, ``operation``.

    Raises:
        RunFolderError: the run kept no step, or it is damaged.
    """
    from geopretrain.training.replay import replay_step

    use_threads(options.threads)
    return replay_step(RunFolder.open(os.fspath(options.run)), options.device)
