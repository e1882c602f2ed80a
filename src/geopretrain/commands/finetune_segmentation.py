"""``finetune``: a few labelled images and a pre-trained run in, a segmenter with honest scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.commands.common import (
    already_finished,
    as_float,
    as_text,
    choose_backbone,
    choose_preset,
    lineage,
    method_settings,
    parse_size,
    plain,
    required,
    seed_start,
    spread_positions,
    train_options,
)
from geopretrain.console import say
from geopretrain.errors import ConfigError, DataError, nearest_name
from geopretrain.files import write_json
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.presets import Recipe
from geopretrain.training.options import one_of, resolve_device, resolve_precision

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.tasks.base import Task

TASKS = ("segmentation",)
PRESETS = {
    "short": Recipe(steps=300, batch_size=8, lr=1e-3, schedule="cosine", warmup_steps=20),
    "paper": Recipe(steps=20_000, batch_size=16, lr=1e-5, schedule="cosine"),
}
PICTURES = 4


def finetune(
    task: str = "segmentation",
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    init: str | Path = "random",
    backbone: str | None = None,
    labels: int | None = None,
    mode: str = "full",
    preset: str = "auto",
    size: str | Sequence[int] | None = None,
    iterations: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    schedule: str | None = None,
    warmup_steps: int | None = None,
    seed: int = 0,
    subset_seed: int = 0,
    curve_points: int | Sequence[int] = 6,
    evaluate_on: str = "test",
    as_released: bool = False,
    settings: Mapping[str, Any] | Sequence[str] | None = None,
    precision: str = "auto",
    channels_last: bool = True,
    checkpoint_every: int = 100,
    log_every: int = 10,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> RunFolder:
    """Fine-tune a backbone with few labelled images and return its run folder.

    Args:
        task: what to fine-tune for: segmentation.
        data: labelled data: a folder with images/, labels/ and classes.txt, CamVid, or synthetic:street.
        out: folder to write the run into.
        init: weights to start from: random, imagenet, a run folder or a weights file; starts a NEW run.
        backbone: any timm model; left away: that of init, resnet18 for random and imagenet.
        labels: number of labelled images to learn from; left away: all.
        mode: full (encoder and decoder from init), encoder (fresh decoder), frozen (encoder unchanged).
        preset: short, paper, or auto: paper on a GPU, short elsewhere.
        size: HEIGHTxWIDTH in px to work at, multiples of 32, e.g. 96x128 (height first).
        iterations: optimisation steps.
        batch_size: images per step.
        lr: highest learning rate of Adam.
        schedule: constant, step, halve, cosine or warm_cosine.
        warmup_steps: steps over which the rate rises.
        seed: fixes the new layers, the order of the images and the flips.
        subset_seed: fixes which images are the labelled ones; smaller subsets lie inside larger ones.
        curve_points: number of evaluations (each at twice the iterations of the last) or the iterations.
        evaluate_on: split that is scored: test, or val for choosing settings.
        as_released: behave like the released script of Lao et al., defects included.
        settings: further settings of the task as name=value.
        precision: fp32, bf16, or auto: bf16 where the machine computes in it.
        channels_last: keep images and filters in the memory order that makes convolutions faster.
        checkpoint_every: steps between writings of the checkpoint that --resume needs.
        log_every: steps averaged into one line of the log.
        device: cpu, cuda, mps or auto.
        threads: threads of the processor to compute with.
        resume: continue the interrupted run in out; the outcome is the same as without interruption.
        overwrite: start again from nothing where out holds a run.
        progress: show progress.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
    """
    if task == "depth":
        raise ConfigError("Depth has options of its own: call finetune_depth (`geopretrain finetune depth`).")
    if task not in TASKS:
        raise ConfigError(f"Unknown task '{task}'.{nearest_name(task, TASKS)} Known: {', '.join(TASKS)}.")
    one_of("mode", mode, ("full", "encoder", "frozen"))
    one_of("evaluate_on", evaluate_on, ("test", "val"))
    out = Path(required(out, "out", "the folder to write the run into"))
    data = required(
        data, "data", "a folder with images/, labels/ and classes.txt, CamVid, or synthetic:street"
    )
    RunFolder(out).check_free(overwrite=overwrite, resume=resume, init=init)
    device = resolve_device(device)
    preset = choose_preset(preset, device, progress=progress)
    labelled = _open(data, parse_size(size), evaluate_on)
    chosen = PRESETS[preset]
    steps = iterations or chosen.total_steps()
    config: dict[str, Any] = {
        "command": "finetune",
        "task": task,
        "data": plain(data),
        "out": str(out.absolute()),
        "init": plain(init),
        "backbone": choose_backbone(backbone, init),
        "labels": labels or labelled.counts["train"],
        "mode": mode,
        "preset": preset,
        "size": as_text(labelled.size),
        "iterations": steps,
        "batch_size": batch_size or chosen.batch_size,
        "lr": chosen.lr if lr is None else lr,
        "schedule": schedule or chosen.schedule,
        "warmup_steps": min(chosen.warmup_steps, steps // 5) if warmup_steps is None else warmup_steps,
        "seed": seed,
        "subset_seed": subset_seed,
        "curve_points": curve(curve_points, steps),
        "evaluate_on": evaluate_on,
        "as_released": as_released,
        "settings": _settings(settings),
        "precision": resolve_precision(precision, device),
        "channels_last": channels_last,
        "checkpoint_every": checkpoint_every,
        "log_every": log_every,
        "device": device,
        "threads": threads,
    }
    return _run(labelled, config, resume=resume, overwrite=overwrite, progress=progress)


def _run(
    labelled: LabelledSet, config: dict[str, Any], *, resume: bool, overwrite: bool, progress: bool
) -> RunFolder:
    from geopretrain.evaluation.segmentation import score_segmentation
    from geopretrain.weights import parse_init, save_weights

    options = train_options(
        config, config["iterations"], validate_at=tuple(config["curve_points"]), progress=progress
    )
    subset = _subset(labelled, config)
    labelled.check(labelled.splits()["train"][subset])  # bad labels are told before anything is written
    init = parse_init(config["init"])
    task = _build(labelled, config, init, progress)
    if config["mode"] == "frozen" and init.kind == "random" and not config["as_released"]:
        task.settle_statistics(as_float(labelled.load("train", subset).images))  # type: ignore[operator]
    run = RunFolder.create(config["out"], config=config, overwrite=overwrite, resume=resume)
    if already_finished(run, resume, progress=progress):
        return run
    classes = {"names": list(labelled.class_names), "colours": _colours(labelled)}
    run.write_lineage(
        {"command": "finetune", **lineage(config["task"], task, init, config), "classes": classes}
    )
    names = labelled.names("train")
    write_json(run.path / "subset.json", {"seed": config["subset_seed"], "names": [names[i] for i in subset]})
    from geopretrain.training.fit import fit

    split = config["evaluate_on"]
    fit(
        task,
        lambda positions: labelled.load("train", [subset[p] for p in positions]),
        len(subset),
        options,
        run,
        validate=lambda step: score_segmentation(task, labelled, split),
        picture_batch=labelled.load(split, spread_positions(labelled.counts[split], PICTURES)),
        resume=resume,
    )
    save_weights(task, run.path)
    _finish(run, labelled, progress)
    return run


def _open(data: Any, size: tuple[int, int] | None, split: str) -> LabelledSet:
    from geopretrain.data.labelled.labelled_set import LabelledSet

    labelled = LabelledSet.open(data, size=size)
    for needed in ("train", split):
        if not labelled.counts.get(needed):
            raise DataError(
                f"'{data}' has no images in its {needed} split ({labelled.description()}). "
                "Add some, or choose the split that is scored with --evaluate-on."
            )
    return labelled


def curve(points: int | str | Sequence[int | str], iterations: int) -> list[int]:
    """Return the iterations after which to evaluate; the last one always is among them.

    ``6`` of 300 iterations means 9, 18, 37, 75, 150, 300; several numbers are taken as given.

    Raises:
        ConfigError: not numbers between 1 and ``iterations``.
    """
    if isinstance(points, str):
        points = points.split(",") if "," in points else [points] if not points.isdigit() else int(points)
    if isinstance(points, int):
        if points < 1:
            raise ConfigError(f"curve_points must be at least 1, not {points}.")
        return sorted({max(1, iterations >> halvings) for halvings in range(points)})
    try:
        chosen = {int(point) for point in points}
    except ValueError as error:
        raise ConfigError(f"curve_points must be whole numbers, not {points!r}.") from error
    if chosen and not (min(chosen) >= 1 and max(chosen) <= iterations):
        raise ConfigError(
            f"curve_points must lie between 1 and {iterations} iterations, not {sorted(chosen)}."
        )
    return sorted(chosen | {iterations})


_OWN_OPTIONS = ("backbone", "num_classes", "class_colours", "mode", "as_released")


def _settings(settings: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    from geopretrain.tasks.transfer.segmentation import SegmentationConfig

    return method_settings(SegmentationConfig, settings, _OWN_OPTIONS)


def _build(labelled: LabelledSet, config: Mapping[str, Any], init: Any, progress: bool) -> Task:
    seed_start(config["seed"])
    task, report = create_segmentation(config, _colours(labelled), init)
    say(report.summary(), progress=progress)
    return task


def create_segmentation(config: Mapping[str, Any], class_colours: Sequence[Sequence[int]], init: Any) -> Any:
    """Return the segmentation task of a run's configuration and the report of what was loaded."""
    from geopretrain.tasks.transfer.segmentation import Segmentation, SegmentationConfig

    segmentation_config = SegmentationConfig(
        num_classes=len(class_colours),
        class_colours=tuple((r, g, b) for r, g, b in class_colours),
        **{name: config[name] for name in ("backbone", "mode", "as_released")},
        **config["settings"],
    )
    return Segmentation.create(segmentation_config, init)


def _colours(labelled: LabelledSet) -> list[list[int]]:
    return [[int(part) for part in colour] for colour in labelled.class_colours]


def _subset(labelled: LabelledSet, config: Mapping[str, Any]) -> list[int]:
    """Return the positions of the labelled images in the train split; as released: the first ones."""
    from geopretrain.data.labelled.labelled_set import nested_subset

    subset = nested_subset(labelled.counts["train"], config["labels"], config["subset_seed"])
    return list(range(len(subset))) if config["as_released"] else subset


def _finish(run: RunFolder, labelled: LabelledSet, progress: bool) -> None:
    """Write results.json, say what came out and what to do next."""
    from geopretrain.evaluation.segmentation import PER_IMAGE_PROTOCOL, PROTOCOL

    config, scores = run.config, run.metrics("validation")
    split, last = config["evaluate_on"], scores[-1]
    results = {
        "command": "finetune",
        "task": config["task"],
        "iterations": config["iterations"],
        "labels": config["labels"],
        "protocol": PROTOCOL.format(images=labelled.counts[split], split=split, size=config["size"]),
        **{name: last[name] for name in ("miou", "pixel_accuracy", "iou", "per_image_miou")},
        "per_image_protocol": PER_IMAGE_PROTOCOL,
        "curve": [
            {"iteration": s["step"], "miou": s["miou"], "pixel_accuracy": s["pixel_accuracy"]} for s in scores
        ],
    }
    run.write_results(results)
    say(
        f"{results['protocol']}: "
        f"mIoU {_percent(last['miou'])}, pixel accuracy {_percent(last['pixel_accuracy'])}.",
        progress=progress,
    )
    say(f"Pictures are in {run.figures}.", progress=progress)
    say(f"Next: geopretrain predict {run.path} IMAGE_OR_VIDEO --out pictures", progress=progress)


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"
