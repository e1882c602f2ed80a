"""``finetune segmentation``: few labelled images and a pre-trained run in, a segmenter with scores out."""

from __future__ import annotations

from shlex import quote

from geopretrain.config.command import CALLBACKS, takes
from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.console import console
from geopretrain.runs.folder import RunFolder
from geopretrain.training.segmentation import train_segmentation


@takes(FinetuneSegmentationOptions, CALLBACKS)
def finetune_segmentation(options: FinetuneSegmentationOptions) -> RunFolder:
    """Fine-tune a backbone with few labelled images and return its run folder.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    run = train_segmentation(options)
    console.suggest(f"Next: geopretrain predict {quote(str(run.path))} IMAGE_OR_VIDEO --out pictures")
    return run
