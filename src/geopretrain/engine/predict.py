"""``predict``: a trained run and pictures or videos in, pictures of what it sees out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.engine.common import as_float, parse_size
from geopretrain.engine.options import resolve_device
from geopretrain.engine.run_folder import RunFolder
from geopretrain.engine.screen import say
from geopretrain.errors import ConfigError, DataError, RunFolderError
from geopretrain.files import remove_leftovers, write_picture

if TYPE_CHECKING:
    import numpy as np

    from geopretrain.task import Task

MOST_VIDEO_PICTURES = 50
OVERLAY = 0.55
"""Share of the class colour in an overlay."""


def predict(
    run: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    every: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Show what a run sees in images or videos: classes over the picture, or depth (near = bright).

    Args:
        run: run folder of pretrain or finetune.
        inputs: images, folders of images or videos.
        out: folder to write pictures into.
        every: take every n-th frame of a video; left away: so that about 50 are written.
        device: cpu, cuda, mps or auto.
        overwrite: replace pictures of the same name.
        progress: show progress.

    Returns:
        The pictures written, ``NAME.png`` for an image, ``NAME_000042.png`` for frame 42 of a video.

    Raises:
        UserError: run, inputs or folder cannot be used; the message says what to do.
    """
    if out is None:
        raise ConfigError("--out is missing: the folder to write pictures into.")
    if every is not None and every < 1:
        raise ConfigError(f"every must be at least 1, not {every}.")
    folder, target = RunFolder.open(run), Path(out)
    sources = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    if not sources:
        raise ConfigError("No input is given: name images, folders of images or videos.")
    if target.exists() and not target.is_dir():
        raise RunFolderError(f"'{target}' is a file; --out needs the name of a folder.")
    task = load_task(folder).to(resolve_device(device)).eval()
    size = parse_size(folder.config["size"])
    remove_leftovers(target)
    written: list[Path] = []
    for source in sources:
        for name, image in _images(Path(source), every, progress):
            path = _free_name(target / f"{name}.png", written, overwrite)
            write_picture(path, picture(task, image, size))
            written.append(path)
    say(f"{len(written)} pictures are in {target}.", progress=progress)
    return written


def load_task(run: RunFolder) -> Task:
    """Rebuild the network of a run with its weights.

    Raises:
        RunFolderError: the run has no weights yet.
        WeightsError: its weights are damaged.
    """
    from geopretrain.engine.finetune import create_segmentation
    from geopretrain.engine.pretrain import create_pretext
    from geopretrain.weights import Init, load_weights

    if not (run.path / "model.safetensors").is_file():
        raise RunFolderError(
            f"The run in '{run.path}' is not finished: it has no model.safetensors. "
            "Continue it by repeating its command with --resume."
        )
    config, init = run.config, Init("random", "random")
    if run.kind == "finetune":
        task, _ = create_segmentation(config, run.lineage["classes"]["colours"], init)
    else:
        task, _ = create_pretext(config, init)
    load_weights(task, run.path)
    return task


def picture(task: Task, image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Return what ``task`` makes of an ``H W 3`` uint8 image, at its size; computed at ``size`` (h, w)."""
    import numpy as np
    import torch
    from torch.nn import functional

    from geopretrain import pictures

    device = next(task.parameters()).device
    pixels = as_float(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device))
    height, width = image.shape[:2]
    if size is not None and size != (height, width):
        pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True).clamp(0, 1)
    with torch.no_grad():
        predicted = task.predict(pixels)  # type: ignore[operator]
    if predicted.dim() == 4:  # disparity B 1 H W
        whole = functional.interpolate(
            predicted.float(), (height, width), mode="bilinear", align_corners=False
        )
        return pictures.colour_depth(whole[0, 0].cpu().numpy())
    whole = functional.interpolate(predicted[:, None].float(), (height, width), mode="nearest")
    colours = np.asarray(task.config.class_colours, np.uint8)  # type: ignore[union-attr]
    classes = pictures.colour_labels(whole[0, 0].cpu().numpy().astype(np.int64), colours)
    return (OVERLAY * classes + (1 - OVERLAY) * image).round().astype(np.uint8)


def _images(source: Path, every: int | None, progress: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, ``H W 3`` uint8) of an image file, a folder of images or a video."""
    from geopretrain.data.images import read_image

    if source.is_file() and source.suffix.lower() in image_suffixes():
        yield source.stem, read_image(source)
    elif source.is_dir() and (files := _image_files(source)):
        for file in files:
            yield file.stem, read_image(file)
    else:
        yield from _frames(source, every, progress)


def image_suffixes() -> set[str]:
    """Return the endings of file names that Pillow opens."""
    from PIL import Image

    return {suffix for suffix, name in Image.registered_extensions().items() if name not in ("MPEG", "MPO")}


def _image_files(folder: Path) -> list[Path]:
    suffixes = image_suffixes()
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.is_file())


def _frames(source: Path, every: int | None, progress: bool) -> Iterator[tuple[str, np.ndarray]]:
    from geopretrain.data import open_source

    shown = 0
    for clip in open_source(str(source)):
        step = every or max(1, round((clip.length or 0) / MOST_VIDEO_PICTURES))
        if step > 1:
            say(f"{clip.name}: every {step}. frame is taken (--every 1 takes all).", progress=progress)
        for frame in clip.frames():
            if frame.index % step == 0 and frame.image is not None:
                shown += 1
                yield f"{Path(clip.name).stem}_{frame.index:06d}", frame.image
            elif frame.image is None:
                say(f"{clip.name}: {frame.error}", progress=progress)
    if not shown:
        raise DataError(f"'{source}' holds no readable picture.")


def _free_name(path: Path, written: list[Path], overwrite: bool) -> Path:
    """Return ``path``, numbered where this call has used it; refuse to replace what was there before."""
    wanted, count = path, 1
    while wanted in written:
        count += 1
        wanted = path.with_name(f"{path.stem}-{count}.png")
    if wanted.exists() and not overwrite:
        raise RunFolderError(f"'{wanted}' exists. Choose another --out, or replace it with --overwrite.")
    return wanted
