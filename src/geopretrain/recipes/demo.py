"""The main job on the built-in synthetic street: video, depth pre-training, 16 labels, comparison, report.

Sizes are chosen by measurement so that the whole job ends within 12 minutes on two CPU cores. Everything in
it is a call of the public Python API; nothing here is special to the demo but the numbers.
"""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path

import geopretrain as gp
from geopretrain.console import say


@dataclass(frozen=True)
class DemoSize:
    """How much work the demo does; the defaults are measured, smaller ones serve the tests."""

    video: str = "synthetic:street?worlds=12&frames=60&seed=100"
    """Unlabelled video the depth network is pre-trained on; other worlds than the labelled ones."""
    labelled: str = "synthetic:street"
    """Labelled images; train, val and test come from different worlds."""
    height: int = 96
    """Rows of the working size, px."""
    width: int = 160
    """Columns of the working size, px."""
    steps: int = 300
    """Optimisation steps of pre-training."""
    labels: int = 16
    """Labelled images the segmenter may learn from."""
    iterations: int = 50
    """Optimisation steps of each fine-tuning."""
    seeds: int = 5
    """Trainings per initialisation; 5 is the least that supports an interval worth printing."""
    modes: str = "full,frozen"
    """Fine-tune everything, and the decoder on frozen features."""


def run(
    out: str | Path = "demo",
    *,
    overwrite: bool = False,
    open_report: bool = True,
    size: DemoSize | None = None,
) -> Path:
    """Run the demo into ``out`` and return the path of its report.

    Repeating the command continues where it stopped: finished parts are kept.

    Args:
        out: folder that receives ``store/``, ``depth/`` and ``comparison/``.
        overwrite: start again from nothing.
        open_report: show the report in a browser where there is a display.
        size: how much work to do.
    """
    size, out = size or DemoSize(), Path(out)
    shape = (size.height, size.width)
    depth = out / "depth"
    say("1 of 3: prepare the video, the synthetic street")
    video = f"{size.video}&height={size.height}&width={size.width}&stereo=0"
    store = gp.prepare([video], out / "store", size=shape, overwrite=overwrite)
    say("\n2 of 3: learn depth from it, without labels")
    begun = depth.exists() and not overwrite
    gp.pretrain("monodepth", data=store.path, out=depth, steps=size.steps, resume=begun, overwrite=overwrite)
    say(f"\n3 of 3: learn to segment from {size.labels} labelled images, from scratch and from depth")
    comparison = gp.compare(
        inits=f"random,{depth}",
        data=size.labelled,
        out=out / "comparison",
        labels=size.labels,
        seeds=size.seeds,
        modes=size.modes,
        iterations=size.iterations,
        size=shape,
        overwrite=overwrite,
    )
    if open_report:
        webbrowser.open(comparison.report.resolve().as_uri())
    return comparison.report
