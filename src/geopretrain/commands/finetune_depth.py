"""``finetune depth``: transfer to depth from video or stereo without labels, and its score.

Wang et al.: a pre-trained encoder starts an unmodified Monodepth2, which is trained with M, S or MS on 5, 10
or 100 % of the samples. It is a pre-training run of ``monodepth`` on a subset, scored under a named protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geopretrain.console import say
from geopretrain.errors import one_of
from geopretrain.runs.folder import RunFolder

SUPERVISION = {"M": "mono", "S": "stereo", "MS": "both"}
"""The paper's names of what a depth network learns from."""


def finetune_depth(
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    out: str | Path | None = None,
    init: str | Path = "random",
    supervision: str = "mono",
    subset: str | float | None = None,
    subset_seed: int = 0,
    evaluate_data: str | Path | None = None,
    protocol: str | None = None,
    flip: bool = False,
    backbone: str | None = None,
    preset: str = "auto",
    size: str | Sequence[int] | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    schedule: str | None = None,
    warmup_steps: int | None = None,
    settings: Mapping[str, Any] | Sequence[str] | None = None,
    precision: str = "auto",
    seed: int = 0,
    checkpoint_every: int = 100,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> RunFolder:
    """Train a depth network from any initialisation on part of the data without labels, and score it.

    Args:
        data: prepared store, or a video, folder of images or data set, which is prepared first.
        out: folder to write the run into.
        init: weights to start from: random, imagenet, a run folder or a weights file; starts a NEW run.
        supervision: mono (M: neighbours in time), stereo (S) or both (MS).
        subset: share of the training samples to learn from, e.g. 5%; left away: all. Kept in subset.json.
        subset_seed: fixes which samples these are; smaller subsets lie inside larger ones.
        evaluate_data: what to score on, see evaluate; left away: data, where it is a store with depth.
        protocol: name of the protocol; left away: the one that suits the data and what the run knows.
        flip: average predictions with those of the mirrored pictures when scoring.
        backbone: any timm model; left away: that of init, resnet18 for random and imagenet.
        preset: short, paper, or auto: paper on a GPU, short elsewhere.
        size: HEIGHTxWIDTH in px to prepare raw data at, e.g. 96x320 (height first).
        steps: optimisation steps.
        batch_size: samples per step.
        lr: highest learning rate of Adam.
        schedule: constant, step, halve, cosine or warm_cosine.
        warmup_steps: steps over which the rate rises.
        settings: further settings of monodepth as name=value.
        precision: fp32, bf16, or auto: bf16 where the machine computes in it.
        seed: fixes everything random in the run.
        checkpoint_every: steps between writings of the checkpoint that --resume needs.
        device: cpu, cuda, mps or auto.
        threads: threads of the processor to compute with.
        resume: continue the interrupted run in out; the outcome is the same as without interruption.
        overwrite: start again from nothing where out holds a run.
        progress: show progress.

    Returns:
        The run folder, a pre-training run of monodepth; its score is in ``evaluation/``.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    from geopretrain.commands.common import method_settings
    from geopretrain.commands.evaluate import evaluate
    from geopretrain.commands.pretrain import pretrain
    from geopretrain.tasks.pretext.monodepth_config import MonodepthConfig

    supervision = SUPERVISION.get(supervision, supervision)
    one_of("supervision", supervision, SUPERVISION.values())
    given = method_settings(MonodepthConfig, settings, ("backbone", "compile_loss", "supervision"))
    _check_protocol(protocol, supervision)
    run = pretrain(
        "monodepth",
        data=data,
        out=out,
        init=init,
        backbone=backbone,
        preset=preset,
        size=size,
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        schedule=schedule,
        warmup_steps=warmup_steps,
        subset=subset,
        subset_seed=subset_seed,
        settings={**given, "supervision": supervision},
        precision=precision,
        seed=seed,
        checkpoint_every=checkpoint_every,
        device=device,
        threads=threads,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    scored = evaluate_data if evaluate_data is not None else _own_depth(run, progress)
    if scored is not None:
        evaluate(
            run.path, scored, protocol=protocol, flip=flip, device=device, threads=threads, progress=progress
        )
    return run


def _check_protocol(protocol: str | None, supervision: str) -> None:
    """Raise ConfigError, before time is spent, where the protocol is unknown or cannot fit."""
    from geopretrain.evaluation.depth import fitting_protocol

    if protocol is not None:
        fitting_protocol("scale" if supervision == "mono" else "metric", protocol)


def _own_depth(run: RunFolder, progress: bool) -> str | None:
    """Return the store the run was trained on where it holds depth, else say that nothing is scored."""
    from geopretrain.data.store.frame_store import FrameStore

    store = FrameStore.open(run.lineage["store"])
    if store.depth_frames():
        return str(store.path)
    say(
        "These data hold no measured depth, so nothing is scored. Later: "
        f"geopretrain evaluate {run.path} DATA_WITH_DEPTH --protocol NAME",
        progress=progress,
    )
    return None
