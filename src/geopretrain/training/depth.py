"""Fine-tuning for depth, from options to a trained run: for commands and studies; scoring is theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geopretrain.compute import resolve_device
from geopretrain.config.labels import check_label_list
from geopretrain.config.options import SUPERVISION, CompareOptions, FinetuneDepthOptions
from geopretrain.config.resume import continued
from geopretrain.data.augment.crops import fits
from geopretrain.data.opening import prepared_size
from geopretrain.errors import ConfigError, OptionError
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import Device
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
    if options.mode == "frozen" and supervision != "labels":
        raise OptionError("mode", "frozen goes with --supervision labels only.")
    if "supervision" in options.settings:
        raise ConfigError("supervision is an option of its own: give --supervision instead of a setting.")
    return options


def depth_training(options: FinetuneDepthOptions) -> Training:
    """Return the training that the options ask for, ready to start; nothing is written yet."""
    supervision = SUPERVISION.get(options.supervision, options.supervision)
    if supervision != "labels":
        settings = {**options.settings, "supervision": supervision}
        alone = options.mode == "encoder"
        return pretext_training("finetune depth", "monodepth", options, settings, backbone_only=alone)
    from geopretrain.tasks.transfer.depth import PRESETS

    preset = preset_of_labels(options, resolve_device(options.device))
    settings = {**PRESETS[preset].settings, **options.settings}
    options = replace(options, preset=preset)
    return pretext_training("finetune depth", "depth", options, settings, TRANSFERS, mode=options.mode)


def preset_of_labels(options: FinetuneDepthOptions | CompareOptions, device: Device) -> str:
    """Return the preset of learning from measured depth.

    ``auto`` is ``paper`` only where its windows fit into the frames.
    """
    from geopretrain.tasks.transfer.depth import PRESETS

    frames, window = options.size or prepared_size(options.data), PRESETS["paper"].settings["crop"]
    too_large = None
    if frames is not None and "crop" not in options.settings and not fits(window, frames):
        too_large = (
            f"the {window[0]}x{window[1]} px (height x width) that 'paper' cuts out of each picture are more "
            f"than the {frames[0]}x{frames[1]} there are. "
            "--preset paper --settings crop=HEIGHTxWIDTH cuts less."
        )
    return choose_preset(options.preset, device, PRESETS, too_large=too_large)


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
