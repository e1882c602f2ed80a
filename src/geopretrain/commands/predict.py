"""``predict``: a trained run and pictures or videos in, what it sees out: pictures, depth, points, video."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.compute import resolve_device
from geopretrain.console import say
from geopretrain.errors import ConfigError, RunFolderError, one_of
from geopretrain.files import remove_leftovers, write_picture
from geopretrain.prediction.inputs import Shot, shots
from geopretrain.runs.folder import RunFolder

if TYPE_CHECKING:
    from geopretrain.prediction.outputs import VideoWriter
    from geopretrain.tasks.base import Task

SAVES = ("picture", "depth", "cloud", "video")


def predict(
    run: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    save: str | Sequence[str] = "picture",
    every: int | None = None,
    intrinsics: str | None = None,
    fov: float | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Show what a run sees in images or videos: classes over the picture, depth (near = bright), or flow.

    Args:
        run: run folder of pretrain or finetune.
        inputs: images, folders of images or videos.
        out: folder to write into.
        save: what to write, one or several of picture (PNG in colour), depth (16-bit PNG with a JSON file
            that says what a value means), cloud (PLY, coloured points) and video (MP4, for videos).
        every: take every n-th frame of a video; left away: about 50 of them, or all with --save video.
        intrinsics: fx,fy,cx,cy of the camera in px of the pictures, for cloud.
        fov: horizontal field of view of the camera in degrees, for cloud.
        device: cpu, cuda, mps or auto.
        overwrite: replace files of the same name.
        progress: show progress.

    Returns:
        The files written: ``NAME.png``, ``NAME_depth.png``, ``NAME.ply`` for an image, ``NAME_000042.png``
        for frame 42 of a video, ``NAME.mp4``. Flow is that from each picture or frame to the next one.

    Raises:
        UserError: run, inputs or folder cannot be used; the message says what to do.
    """
    if out is None:
        raise ConfigError("--out is missing: the folder to write pictures into.")
    if every is not None and every < 1:
        raise ConfigError(f"every must be at least 1, not {every}.")
    wanted = _wanted(save)
    folder, target = RunFolder.open(run), Path(out)
    sources = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    if not sources:
        raise ConfigError("No input is given: name images, folders of images or videos.")
    if target.exists() and not target.is_dir():
        raise RunFolderError(f"'{target}' is a file; --out needs the name of a folder.")
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.base import FlowTask

    task = load_task(folder).to(resolve_device(device)).eval()
    _check_wanted(wanted, task, folder)
    remove_leftovers(target)
    writer = _Writer(task, folder, target, wanted, intrinsics, fov, overwrite)
    pairs = isinstance(task, FlowTask)
    step = 1 if every is None and "video" in wanted else every
    with writer:
        for source in sources:
            for shot in shots(Path(source), step, with_next=pairs, progress=progress):
                writer.write(shot)
    say(f"{len(writer.written)} files are in {target}.", progress=progress)
    return writer.written


def _wanted(save: str | Sequence[str]) -> list[str]:
    words = save.split(",") if isinstance(save, str) else [w for part in save for w in part.split(",")]
    for word in words:
        one_of("save", word, SAVES)
    return words


def _check_wanted(wanted: Sequence[str], task: Task, run: RunFolder) -> None:
    """Raise ConfigError where the run cannot give what is to be saved."""
    from geopretrain.tasks.base import DepthTask

    for name in ("depth", "cloud"):
        if name in wanted and not isinstance(task, DepthTask):
            raise ConfigError(f"The run in '{run.path}' predicts no depth, so there is no {name} to save.")
    if "cloud" in wanted and isinstance(task, DepthTask) and task.depth_meaning == "scale_shift":
        raise ConfigError(
            "This run knows disparity only up to a factor and a shift, so a cloud of points would be bent. "
            "Save 'depth' (its disparity) instead."
        )


class _Writer:
    """Writes what is wanted of each picture; refuses to replace what was there before."""

    def __init__(
        self,
        task: Task,
        run: RunFolder,
        target: Path,
        wanted: Sequence[str],
        intrinsics: str | None,
        fov: float | None,
        overwrite: bool,
    ) -> None:
        self.task, self.run, self.target, self.wanted = task, run, target, wanted
        self.intrinsics, self.fov, self.overwrite = intrinsics, fov, overwrite
        self.size = run.size
        self.written: list[Path] = []
        self._videos: dict[str, VideoWriter] = {}
        self._open = ExitStack()

    def __enter__(self) -> _Writer:
        self._open.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def write(self, shot: Shot) -> None:
        from geopretrain.prediction.outputs import write_cloud, write_depth
        from geopretrain.prediction.rendering import render
        from geopretrain.tasks.base import DepthTask

        seen = render(self.task, shot, self.size)
        if "picture" in self.wanted:
            write_picture(self._path(shot.name, ".png"), seen.picture)
        if "depth" in self.wanted and seen.disparity is not None and isinstance(self.task, DepthTask):
            write_depth(self._path(shot.name, "_depth.png"), seen.disparity, self.task, self.run)
        if "cloud" in self.wanted and seen.disparity is not None and isinstance(self.task, DepthTask):
            path = self._path(shot.name, ".ply")
            write_cloud(path, seen.disparity, shot, self.task, intrinsics=self.intrinsics, fov=self.fov)
        if "video" in self.wanted:
            self._video(shot).add(shot.image, seen)

    def _video(self, shot: Shot) -> VideoWriter:
        from geopretrain.prediction.outputs import VideoWriter

        if shot.video is None:
            raise ConfigError(f"'{shot.name}' is a picture and no video. Leave 'video' out of --save.")
        if shot.video not in self._videos:
            path = self._path(shot.video, ".mp4")
            self._videos[shot.video] = self._open.enter_context(VideoWriter(path, shot.fps))
        return self._videos[shot.video]

    def _path(self, name: str, ending: str) -> Path:
        """Return a free path, numbered where this call has used it."""
        wanted, count = self.target / f"{name}{ending}", 1
        while wanted in self.written:
            count += 1
            wanted = self.target / f"{name}-{count}{ending}"
        if wanted.exists() and not self.overwrite:
            raise RunFolderError(f"'{wanted}' exists. Choose another --out, or replace it with --overwrite.")
        self.written.append(wanted)
        return wanted
