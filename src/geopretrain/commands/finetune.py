"""``finetune``: the transfers under one name."""

from __future__ import annotations

from typing import Any

from geopretrain.errors import one_of
from geopretrain.runs.folder import RunFolder

TASKS = ("segmentation", "depth", "detection")


def finetune(task: str = "segmentation", **options: Any) -> RunFolder:
    """Fine-tune for ``segmentation``, ``depth`` or ``detection``; options as `finetune_segmentation` etc.

    Raises:
        UserError: unknown task, or what the transfer raises.
    """
    one_of("task", task, TASKS)
    if task == "depth":
        from geopretrain.commands.finetune_depth import finetune_depth

        return finetune_depth(**options)
    if task == "detection":
        from geopretrain.commands.finetune_detection import finetune_detection

        return finetune_detection(**options)
    from geopretrain.commands.finetune_segmentation import finetune_segmentation

    return finetune_segmentation(**options)
