"""``predict``: a trained run and pictures or videos in, what it sees out: pictures, depth, points, video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain import manifest
from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.command import takes
from geopretrain.config.groups import listed
from geopretrain.config.run_options import PredictOptions
from geopretrain.config.saved import FILE, as_saved, load, reserve_saved, write_saved
from geopretrain.console import console
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.files import write_picture
from geopretrain.folders import check_replaceable, owned
from geopretrain.prediction.inputs import Shot, previews, shots_of_all
from geopretrain.runs.folder import RunFolder
from geopretrain.wording import those

if TYPE_CHECKING:
    from geopretrain.prediction.outputs import VideoWriter
    from geopretrain.prediction.viewer import ViewerFile
    from geopretrain.tasks.base import Task

ENDINGS = {"picture": ".png", "depth": "_depth.png", "cloud": ".ply"}
"""What is written of each picture, and how its files end."""


@takes(PredictOptions)
def predict(options: PredictOptions) -> list[Path]:
    """Show what a run sees in images or videos: classes over the image, depth (near = bright), or flow.

    Returns:
        The files written: ``NAME.png``, ``NAME_depth.png``, ``NAME.ply`` for an image, ``NAME_000042.png``
        for frame 42 of a video, ``NAME.mp4``, ``predictions.rrd``. Flow is that from each image or frame to
        the next one.

    Raises:
        UserError: run, inputs or folder cannot be used; the message says what to do.
    """
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.base import FlowTask

    run, target = RunFolder.open(os.fspath(options.run)), Path(options.out)
    if target.exists() and not target.is_dir():
        raise RunFolderError(f"'{target}' is a file; --out needs the name of a folder.")
    task = load_task(run).to(resolve_device(options.device)).eval()
    use_threads(options.threads)
    _check_wanted(options.save, task, run)
    sources = [Path(source) for source in listed(options.inputs)]
    every = 1 if options.every is None and "video" in options.save else options.every
    pairs = isinstance(task, FlowTask)
    with console.showing(False), _Writer(task, run, target, options) as rehearsal:
        for shot in previews(sources, every, with_next=pairs, value_range=options.range):
            rehearsal.check(shot)  # so that nothing is written where a later picture would be refused
    with owned(target):
        with _Writer(task, run, target, options) as writer:
            reserve_saved(target, "predict")
            for shot in shots_of_all(sources, every, with_next=pairs, value_range=options.range):
                writer.write(shot)
        write_saved(target, as_saved("predict", options))
    console.say(f"{those(len(writer.written), 'file')} in {target}.")
    return writer.written


def _check_wanted(wanted: Sequence[str], task: Task, run: RunFolder) -> None:
    """Raise ConfigError where the run cannot give what is to be saved."""
    from geopretrain.tasks.base import DepthTask

    if "rerun" in wanted:
        from geopretrain.prediction.viewer import require_viewer

        require_viewer()
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

    def __init__(self, task: Task, run: RunFolder, target: Path, options: PredictOptions) -> None:
        self.task, self.run, self.target, self.options = task, run, target, options
        self.wanted, self.size = options.save, run.size
        self.written: list[Path] = []
        self._taken: set[str] = set()
        self._strict = manifest.has_list(target) or not _is_of_an_earlier_version(target, options)
        self._doubted: set[tuple[str, int, int]] = set()
        self._video_files: dict[str, Path] = {}
        self._videos: dict[Path, VideoWriter] = {}
        self._viewer_file: Path | None = None
        self._viewer: ViewerFile | None = None
        self._open = ExitStack()

    def __enter__(self) -> _Writer:
        self._open.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def check(self, shot: Shot) -> dict[str, Path]:
        """Return the files of a picture by what is wanted, all of them allowed, and its camera usable."""
        from geopretrain.prediction.outputs import camera_of

        if "video" in self.wanted and shot.video is None:
            raise ConfigError(f"'{shot.name}' is a picture and no video. Leave 'video' out of --save.")
        if "cloud" in self.wanted:
            camera_of(shot, self.options.intrinsics, self.options.fov)
        found: dict[str, Path] = {}
        for name, ending in ENDINGS.items():
            if name in self.wanted:
                found[name] = self._path(shot.name, ending)
        if "depth" in found:
            self._check(found["depth"].with_suffix(".json"))
        if "rerun" in self.wanted:
            self._viewer_file = self._viewer_file or self._path("predictions", ".rrd")
            found["rerun"] = self._viewer_file
        if "video" in self.wanted and shot.video is not None:
            if shot.video not in self._video_files:
                self._video_files[shot.video] = self._path(shot.video, ".mp4")
            found["video"] = self._video_files[shot.video]
        return found

    def write(self, shot: Shot) -> None:
        """Look at a picture and write what is wanted of it."""
        from geopretrain.prediction.outputs import write_cloud, write_depth
        from geopretrain.prediction.rendering import render
        from geopretrain.tasks.base import DepthTask

        files = self.check(shot)
        seen = render(self.task, shot, self.size)
        if "picture" in files:
            write_picture(files["picture"], seen.explained)
        if seen.disparity is not None and isinstance(self.task, DepthTask):
            if "depth" in files:
                write_depth(files["depth"], seen.disparity, self.task, self.run)
            if "cloud" in files:
                self._doubt_camera(shot)
                camera = self.options
                write_cloud(
                    files["cloud"],
                    seen.disparity,
                    shot,
                    self.task,
                    intrinsics=camera.intrinsics,
                    fov=camera.fov,
                )
        if "video" in files:
            self._video(files["video"], shot.fps).add(shot.image, seen)
        if "rerun" in files:
            self._viewer_of(files["rerun"]).add(shot, seen)

    def _doubt_camera(self, shot: Shot) -> None:
        """Warn of a camera that hardly fits the pictures, once for each video and size."""
        from geopretrain.prediction.outputs import camera_doubt

        seen = (shot.source, shot.image.shape[0], shot.image.shape[1])
        if seen not in self._doubted:
            self._doubted.add(seen)
            if doubt := camera_doubt(shot, self.options.intrinsics, self.options.fov):
                console.warn(f"{shot.video}: {doubt}" if shot.video else doubt)

    def _video(self, path: Path, fps: float) -> VideoWriter:
        from geopretrain.prediction.outputs import VideoWriter

        if path not in self._videos:
            self._videos[path] = self._open.enter_context(VideoWriter(path, fps))
        return self._videos[path]

    def _viewer_of(self, path: Path) -> ViewerFile:
        from geopretrain.prediction.viewer import ViewerFile

        if self._viewer is None:
            viewer = ViewerFile(path, self.task, self.options.intrinsics, self.options.fov)
            self._viewer = self._open.enter_context(viewer)
        return self._viewer

    def _path(self, name: str, ending: str) -> Path:
        """Return a free path, numbered where this call has used it, whatever the case of its letters."""
        wanted, count = self.target / f"{name}{ending}", 1
        while wanted.name.casefold() in self._taken:
            count += 1
            wanted = self.target / f"{name}-{count}{ending}"
        self._check(wanted)
        self.written.append(wanted)
        self._taken.add(wanted.name.casefold())
        return wanted

    def _check(self, path: Path) -> None:
        """Refuse to replace a file that is there; with --overwrite, one that is not ours."""
        if os.path.lexists(path) and not self.options.overwrite:
            raise RunFolderError(f"'{path}' exists. Choose another --out, or replace it with --overwrite.")
        if self._strict:
            check_replaceable(path)


def _is_of_an_earlier_version(target: Path, options: PredictOptions) -> bool:
    """Return whether a folder holds pictures that we did not list yet, and no input of this call."""
    of = [load(target / name).get("command") for name in (FILE, "predict.yaml") if (target / name).is_file()]
    inputs = [Path(source).absolute() for source in listed(options.inputs)]
    return "predict" in of and not any(target.absolute() in (path, *path.parents) for path in inputs)
