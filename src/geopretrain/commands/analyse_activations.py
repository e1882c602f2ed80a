"""``analyse activations``: where a layer holds what a network predicts, by Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.analysis_options import ACTIVATIONS, ActivationsOptions
from geopretrain.config.command import takes
from geopretrain.config.groups import listed
from geopretrain.config.saved import as_saved, check_replaces, write_saved
from geopretrain.console import console
from geopretrain.files import atomic_path, write_json, write_picture
from geopretrain.folders import renewed
from geopretrain.wording import in_px

if TYPE_CHECKING:
    from torch import Tensor

    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.pictures import Picture
    from geopretrain.tasks.base import Task

TABLE, MAPS, PICTURE = "activations.json", "activations.npz", "activations.png"
OPACITY = 0.55
WIDTH = 256
"""px that each picture is wide, about."""


@dataclass(frozen=True)
class Activations:
    """What was found.

    Attributes:
        maps: ``H W`` of each image in [0, 1], ``N H W``, by run.
        layers: the layer looked at, by run.
        names: of the images.
        protocol: how it was computed, a sentence.
    """

    maps: dict[str, NDArray[np.float32]]
    layers: dict[str, str]
    names: tuple[str, ...]
    protocol: str


@takes(ActivationsOptions)
def analyse_activations(options: ActivationsOptions) -> Activations:
    """Show where a layer holds what each run predicts, beside the prediction.

    Returns:
        The maps, which are also written to ``out`` with a picture of them.

    Raises:
        UserError: a run, the data, the layer or the folder cannot be used; the message says what to do.
    """
    from geopretrain.analysis.images import open_images, pixels, spread_images
    from geopretrain.runs.folder import RunFolder
    from geopretrain.runs.loading import load_task

    out, runs = Path(options.out), list(dict.fromkeys(listed(options.runs)))
    check_replaces(out, TABLE, "activations of an earlier command", overwrite=options.overwrite)
    use_threads(options.threads)
    folders = [RunFolder.open(run) for run in runs]
    size = options.size or folders[0].size
    data = open_images(options.data, size)
    positions = spread_images(data, options.split, options.images)
    device = resolve_device(options.device)
    tasks = {run: load_task(folder).to(device).eval() for run, folder in zip(runs, folders, strict=True)}
    images = pixels(data, positions, tasks[runs[0]].device)
    layers = {run: options.layer or _shallow(task) for run, task in tasks.items()}
    seen = {run: _seen(task, images, layers[run]) for run, task in tasks.items()}
    found = Activations(
        {run: maps for run, (maps, _) in seen.items()},
        layers,
        tuple(_names(data, positions)),
        "Grad-CAM of the sum over pixels of the score of the predicted class (of depth: of disparity), a "
        f"maximum of 1 an image; images of {data.path} ({options.split}) at {in_px(images.shape[-2:])}",
    )
    _write(out, found, _rows(images, seen), options)
    console.say(f"{found.protocol}.")
    console.say(f"The picture is {out / PICTURE}, the maps are in {out / MAPS}.")
    return found


def _shallow(task: Task) -> str:
    from geopretrain.analysis.grad_cam import shallow_layer

    return shallow_layer(task)


def _names(data: FrameStore | LabelledSet, positions: NDArray[np.int64]) -> list[str]:
    return [str(name) for name in data.names(positions)]


def _seen(task: Task, images: Tensor, layer: str) -> tuple[NDArray[np.float32], list[Picture]]:
    """Return the maps of all images, ``N H W``, and what is predicted of each, image by image."""
    from geopretrain import pictures
    from geopretrain.analysis.grad_cam import grad_cam
    from geopretrain.pictures.overlays import overlay_labels
    from geopretrain.tasks.base import SegmentationTask

    maps, drawn = [], []
    for image in images.split(1):
        cam, predicted = grad_cam(task, image, layer)
        maps.append(cam[0].cpu().numpy().astype(np.float32))
        picture, shown = pictures.image(image[0].cpu().numpy()), predicted[0].cpu().numpy()
        if isinstance(task, SegmentationTask):
            drawn.append(overlay_labels(picture, shown, colours=task.class_colours))
        else:
            drawn.append(pictures.colour_depth(shown))
    return np.stack(maps), drawn


def _rows(images: Tensor, seen: dict[str, tuple[NDArray[np.float32], list[Picture]]]) -> Picture:
    """Return one picture: a row an image, of each run where it looks and what it predicts."""
    from geopretrain import pictures
    from geopretrain.pictures.colouring import colour_map

    shown = [pictures.image(image) for image in images.cpu().numpy()]
    columns: dict[str, list[Picture]] = {"image": shown}
    distinct = len({Path(run).name for run in seen}) == len(seen)
    for run, (maps, predicted) in seen.items():
        heat = [colour_map("inferno")[(one * 255).round().astype(np.uint8)] for one in maps]
        name = Path(run).name if distinct else run
        columns[f"{name}: activation"] = [_over(a, b) for a, b in zip(shown, heat, strict=True)]
        columns[f"{name}: prediction"] = predicted
    times = max(1, round(WIDTH / shown[0].shape[1]))
    return pictures.beside({name: [_larger(one, times) for one in parts] for name, parts in columns.items()})


def _larger(picture: Picture, times: int) -> Picture:
    """Return a picture so many times as large, so that small ones can be looked at and named."""
    return picture.repeat(times, 0).repeat(times, 1)


def _over(image: Picture, heat: Picture) -> Picture:
    """Return a map over the picture in grey."""
    grey = image.mean(-1, keepdims=True).repeat(3, -1)
    return ((1 - OPACITY) * grey + OPACITY * heat).round().astype(np.uint8)


def _write(out: Path, found: Activations, picture: Picture, options: ActivationsOptions) -> None:
    with renewed(out) as aside:
        write_picture(aside / PICTURE, picture)
        arrays: dict[str, Any] = {f"run_{number}": maps for number, maps in enumerate(found.maps.values())}
        with atomic_path(aside / MAPS) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        rows = [
            {"run": run, "layer": found.layers[run], "maps": f"run_{number}"}
            for number, run in enumerate(found.maps)
        ]
        write_json(aside / TABLE, {"protocol": found.protocol, "images": found.names, "runs": rows})
        write_saved(aside, as_saved(ACTIVATIONS, options), own=True)
