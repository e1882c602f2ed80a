"""Fine-tuning for depth, from options to a trained run: for commands and studies; scoring is theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geopretrain.compute import resolve_device
from geopretrain.config.labels import check_label_list
from geopretrain.config.options import SUPERVISION, FinetuneDepthOptions
from geopretrain.config.resume import continued
from geopretrain.errors import ConfigError, OptionError
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.building import setting_defaults
from geopretrain.tasks.registry import TRANSFERS
from geopretrain.training.pretext import finish, pretext_training
from geopretrain.training.resolve import choose_preset
from geopretrain.training.train import Training, finished_run, train


def continued_depth(options: FinetuneDepthOptions) -> FinetuneDepthOptions:
    """Return the options of a training, as given or those of the run that it continues, checked.

    Raises:
        UserError: they contradict each other, or the run cannot be continued with them.
    """
    options = continued("finetune depth", options, setting_defaults=_setting_defaults)
    supervision = SUPERVISION.get(options.supervision, options.supervision)
    if options.labels is not None and supervision != "labels":
        raise OptionError("labels", "counts pictures with measured depth: add --supervision labels.")
    if options.label_list is not None and (supervision != "labels" or options.subset is not None):
        raise OptionError(
            "label_list",
            "names pictures with measured depth: it goes with --supervision labels, without --subset.",
        )
    check_label_list(options)
    if options.labels is not None and options.subset is not None:
        raise OptionError("labels", "and --subset both say how much is learned from. Give one of them.")
    if options.mode != "full" and supervision != "labels":
        raise OptionError("mode", f"{options.mode} goes with --supervision labels only.")
    if "supervision" in options.settings:
        raise ConfigError("supervision is an option of its own: give --supervision instead of a setting.")
    return options


def depth_training(options: FinetuneDepthOptions) -> Training:
    """Return the training that the options ask for, ready to start; nothing is written yet."""
    supervision = SUPERVISION.get(options.supervision, options.supervision)
    if supervision != "labels":
        settings = {**options.settings, "supervision": supervision}
        return pretext_training("finetune depth", "monodepth", options, settings)
    from geopretrain.tasks.transfer.depth import PRESETS

    preset = choose_preset(options.preset, resolve_device(options.device), PRESETS)
    settings = {**PRESETS[preset].settings, **options.settings}
    options = replace(options, preset=preset)
    return pretext_training("finetune depth", "depth", options, settings, TRANSFERS, mode=options.mode)


def train_depth(options: FinetuneDepthOptions) -> RunFolder:
    """Train a depth network and return its run folder; it is not scored under a protocol yet."""
    options = continued_depth(options)
    if (done := finished_run(options)) is not None:
        return done
    return run_training(depth_training(options), options)


def run_training(training: Training, options: FinetuneDepthOptions) -> RunFolder:
    """Train what is ready to start."""
    return train(
        training,
        lambda run, task: finish(training, run),
        resume=bool(options.resume),
        overwrite=options.overwrite,
    )


def _setting_defaults(options: FinetuneDepthOptions) -> dict[str, Any]:
    """Return those of the method that the options choose."""
    by_labels = options.supervision == "labels"
    return setting_defaults("depth", TRANSFERS) if by_labels else setting_defaults("monodepth")
