"""What the demo shows at its end: a picture of the depth it has learned, and what came out in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from geopretrain import pictures
from geopretrain.files import write_picture
from geopretrain.recipes.depth_pictures import colour_against, inverse
from geopretrain.schema import Size
from geopretrain.study.comparison import Comparison

SHOWN = 4
"""Test images in the picture, evenly spaced and not chosen by how they look."""


def draw_depth(path: Path, runs: Mapping[str, Path], labelled: str, size: Size) -> Path:
    """Write test images that no training has seen, the depth that each run finds in them, and the true depth.

    Colours are logarithmic in depth, bright is near; the unit of a prediction, which is free, is made that of
    the truth by the median.

    Args:
        path: of the PNG.
        runs: name and folder of each.
        labelled: labelled images; without measured depth the column of the truth is left out.
        size: (height, width) px.
    """
    from geopretrain.data.dataset import Fields
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.evaluation.depth import predict_disparity
    from geopretrain.runs.folder import RunFolder
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.base import DepthTask

    data = LabelledSet.open(labelled, size=size)
    test = data.splits()["test"]
    shown = test[np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(int)]
    batch = data.read(shown, Fields(names=("depth",) if "depth" in data.describe().fields else ()))
    frames = [image.permute(1, 2, 0).numpy() for image in batch.images]
    depths = None if batch.depth is None else [depth[0].numpy() for depth in batch.depth]
    columns = {"never seen": frames}
    truths = [None] * len(frames) if depths is None else depths
    for name, run in runs.items():
        task = load_task(RunFolder.open(run)).eval()
        assert isinstance(task, DepthTask)  # the demo has made it
        found = [predict_disparity(task, frame, size) for frame in frames]
        columns[name] = [
            colour_against(one, truth, "scale") for one, truth in zip(found, truths, strict=True)
        ]
    if depths is not None:
        columns["true depth"] = [colour_against(inverse(depth), depth, "scale") for depth in depths]
    write_picture(path, pictures.beside(columns))
    return path


def conclusion(comparison: Comparison, metres: Comparison, picture: Path) -> str:
    """Return what was done, what was found and what to do next, for somebody who has never seen the tool."""
    from geopretrain.study.sentences import sentences
    from geopretrain.study.summary import summarise

    results = comparison.results
    names = [init["name"] for init in results["inits"]]
    pair = ["imagenet", "imagenet-depth"]
    beside = (
        sentences(summarise(results["trials"], pair, results["modes"])) if set(pair) <= set(names) else []
    )
    labels, maps = results["protocol"]["labels"], metres.results["protocol"]["labels"]
    return "\n".join(
        [
            "\nWhat was done: networks learned depth from video alone, and then to segment from "
            f"{labels} labelled images. They started from {_listed(names)}; all else was the same. Then "
            f"metres from {maps} measured depth maps, with the decoder of depth.",
            f"What was found: {comparison.sentence}",
            *(f"Depth on top of ImageNet: {sentence}" for sentence in beside),
            f"Metres from few depth maps: {metres.sentence} The report of it is {metres.report}.",
            f"What their depth looks like, in streets that nobody trained on: {picture}.",
            "What to do next, with a video of your own: geopretrain data inspect VIDEO.mp4; then "
            "geopretrain pretrain monodepth --data VIDEO.mp4 --out runs/depth; then, with labelled images, "
            "geopretrain compare --inits random,runs/depth --data LABELLED --labels 16 --out runs/cmp.",
        ]
    )


def _listed(names: list[str]) -> str:
    words = {
        "random": "random numbers",
        "imagenet": "ImageNet weights",
        "depth": "depth",
        "imagenet-depth": "ImageNet weights that then learned depth",
    }
    said = [words.get(name, name) for name in names]
    return ", ".join(said[:-1]) + " and " + said[-1]
