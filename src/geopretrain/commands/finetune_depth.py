"""``finetune depth``: transfer to depth, from video or stereo without labels or from measured depth, and its
score.

Wang et al.: a pre-trained encoder starts an unmodified Monodepth2, which is trained with M, S or MS on 5, 10
or 100 % of the samples. It is a training of ``monodepth`` on a subset, scored under a named protocol.

Xie et al. and MeSa: a pre-trained encoder learns metres from measured depth maps (``supervision=labels``),
see `geopretrain.tasks.transfer.depth`.
"""

from __future__ import annotations

import os

from geopretrain.config.command import CALLBACKS, takes
from geopretrain.config.options import SUPERVISION, FinetuneDepthOptions
from geopretrain.config.saved import FILE
from geopretrain.console import console
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import DataError
from geopretrain.evaluation.depth import fitting_protocol
from geopretrain.ranks import follows
from geopretrain.runs.folder import EVALUATION, RunFolder
from geopretrain.training.depth import continued_depth, depth_training, run_training
from geopretrain.training.train import Training, finished_run


@takes(FinetuneDepthOptions, CALLBACKS)
def finetune_depth(options: FinetuneDepthOptions) -> RunFolder:
    """Train a depth network from any initialisation, without labels or with measured depth, and score it.

    Returns:
        The run folder, whose score is in ``evaluation/``.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    options = continued_depth(options)
    mono = SUPERVISION.get(options.supervision, options.supervision) == "mono"
    if options.protocol is not None:  # before time is spent
        fitting_protocol("scale" if mono else "metric", options.protocol)
    if options.evaluate_data is not None:
        _check_measured(os.fspath(options.evaluate_data))
    done = finished_run(options)
    if done is not None and _is_scored(done):
        return done  # else it was interrupted before that
    training = depth_training(options)
    run = run_training(training, options)
    if not follows(options.devices, options.num_nodes):
        _score(run, training, options)
    return run


def _is_scored(run: RunFolder) -> bool:
    """Return whether a score is there with its configuration, which is written last."""
    scores = run.path / EVALUATION
    return any(scores.glob("*.json")) and (scores / FILE).is_file()


def _check_measured(data: str) -> None:
    """Make sure that there is depth to score on before time is spent on training.

    Raises:
        DataError: nothing readable is there, or no measured depth.
    """
    from geopretrain.data.prepare.resolve import is_store
    from geopretrain.data.readers.detect import open_source

    found = bool(FrameStore.open(data).depth_frames()) if is_store(data) else None
    if not (any(clip.has_depth for clip in open_source(data, unusable=[])) if found is None else found):
        raise DataError(
            f"'{data}' holds no measured depth to score on. Give other data with --evaluate-data."
        )


def _score(run: RunFolder, training: Training, options: FinetuneDepthOptions) -> None:
    from geopretrain.commands.evaluate import evaluate

    scored = options.evaluate_data if options.evaluate_data is not None else _own_depth(training)
    if scored is None:
        console.say(
            "These data hold no measured depth, so nothing is scored. Later: "
            f"geopretrain evaluate {run.path} DATA_WITH_DEPTH --protocol NAME"
        )
        return
    evaluate(
        run.path,
        os.fspath(scored),
        protocol=options.protocol,
        flip=options.flip,
        device=run.config["device"],  # as resolved: the same whether it was continued or not
        threads=options.threads,
    )


def _own_depth(training: Training) -> str | None:
    """Return the store that was trained on where it holds depth."""
    store = training.data
    return store.place if isinstance(store, FrameStore) and store.depth_frames() else None
