"""``pretrain``: unlabelled video in, a run folder with a pre-trained backbone out."""

from __future__ import annotations

from shlex import quote

from geopretrain.config.command import CALLBACKS, takes
from geopretrain.config.options import PretrainOptions
from geopretrain.config.resume import continued
from geopretrain.console import console
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import FlowTask, Task
from geopretrain.tasks.building import setting_defaults
from geopretrain.training.pretext import finish, pretext_training
from geopretrain.training.train import finished_run, train


@takes(PretrainOptions, CALLBACKS)
def pretrain(options: PretrainOptions) -> RunFolder:
    """Pre-train a backbone on unlabelled video and return its run folder.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    options = continued("pretrain", options, setting_defaults=lambda run: setting_defaults(run.method))
    if (done := finished_run(options)) is not None:
        return done
    training = pretext_training("pretrain", options.method, options, options.settings)

    def finish_and_say(run: RunFolder, task: Task) -> None:
        finish(training, run)
        next_run = (
            f"depth --data {quote(str(training.data.describe().path))} --init {quote(str(run.path))} "
            f"--out {quote(str(run.path.parent / 'depth'))}"
            if isinstance(task, FlowTask)
            else f"segmentation --data LABELLED_FOLDER --init {quote(str(run.path))} --labels 16 "
            f"--out {quote(str(run.path.parent / 'seg'))}"
        )
        console.suggest(f"Next: geopretrain finetune {next_run}")

    return train(training, finish_and_say, resume=bool(options.resume), overwrite=options.overwrite)
