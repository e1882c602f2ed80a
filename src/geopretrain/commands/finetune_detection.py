"""``finetune detection``: few labelled images and a pre-trained run in, a detector with scores out."""

from __future__ import annotations

from shlex import quote

from geopretrain.config.command import CALLBACKS, takes
from geopretrain.config.options import FinetuneDetectionOptions
from geopretrain.console import console
from geopretrain.runs.folder import RunFolder
from geopretrain.training.detection import train_detection


@takes(FinetuneDetectionOptions, CALLBACKS)
def finetune_detection(options: FinetuneDetectionOptions) -> RunFolder:
    """Fine-tune a backbone to find objects (boxes, and masks where the labels have them) and score it.

    Returns:
        The run folder.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    run = train_detection(options)
    console.suggest(f"Next: geopretrain predict {quote(str(run.path))} IMAGE_OR_VIDEO --out pictures")
    return run
