"""Steps that load and augment their own batch; used by train_step.py --end-to-end."""

from __future__ import annotations

import random
from pathlib import Path

from steps import STEP, Job, OurStep, Variant


def build_end_to_end(name: str, job: Job, data: Path, suffix: str | None, folder: Path) -> STEP:
    """Return one step of a variant, or of the released code, with the loading of its batch.

    Args:
        name: variant, or ``official``.
        job: what is timed.
        data: KITTI folder.
        suffix: give the released code a copy of the images in this format, None = the images as they are.
        folder: for the store and the copy; what is there already is used.
    """
    random.seed(0)
    if name != "official":
        return _ours(job, Variant.parse(name), data, folder / "store")
    return _official(job, reencoded(data, suffix, folder) if suffix else data)


def _ours(job: Job, variant: Variant, data: Path, folder: Path) -> STEP:
    from geopretrain.data.prepare.preparation import prepare

    # prepared by the first variant, found there by the others
    store = prepare(data, folder, size=job.setting.size, min_motion=0.0, progress=False)
    ours = OurStep(job, variant)
    fields = ours.task.required
    samples = store.splits(fields)["train"].tolist()

    def step() -> None:
        numbers = [random.choice(samples) for _ in range(job.setting.batch)]
        ours.step(ours.task.train_transform(store.read(numbers, fields)))

    return step


def _official(job: Job, data: Path) -> STEP:
    from loader import official_batch, official_dataset
    from official_monodepth2 import OfficialStep

    if job.method != "monodepth" or job.monodepth2 is None:
        raise SystemExit("End to end only Monodepth2 is compared: give --method monodepth and --official.")
    setting, checkout = job.setting, job.monodepth2
    lines, suffix = kitti_samples(data)
    dataset = official_dataset(checkout, data, lines, setting.size, suffix)
    theirs = OfficialStep(checkout, setting.size, setting.batch)

    def step() -> None:
        theirs.step(official_batch(dataset, random.choices(range(len(lines)), k=setting.batch)))

    return step


def kitti_samples(data: Path) -> tuple[list[str], str]:
    """Return the frames of a KITTI folder that have both neighbours, as the released code names them, and
    the suffix of the images.
    """
    found = data.glob("*/*_sync/image_02/data/*.*")
    files = {file.relative_to(data): file for file in found if file.stem.isdigit()}
    suffixes = sorted({file.suffix for file in files})
    if len(suffixes) != 1:
        raise SystemExit(f"{data} must hold DATE/DRIVE_sync/image_02/data of one image format: {suffixes}.")
    lines = []
    for file in sorted(files):
        number = int(file.stem)
        if all(file.with_stem(f"{number + offset:010d}") in files for offset in (-1, 1)):
            lines.append(f"{file.parents[2].as_posix()} {number} l")
    return lines, suffixes[0].lstrip(".")


def reencoded(data: Path, suffix: str, folder: Path) -> Path:
    """Write a KITTI folder's images as ``suffix`` below ``folder``."""
    from PIL import Image

    for file in data.glob("*/*_sync/image_02/data/*.*"):
        copy = (folder / suffix / file.relative_to(data)).with_suffix(f".{suffix}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            image.save(copy, quality=92)
    return folder / suffix
