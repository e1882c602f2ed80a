"""`data prepare` beside decoding and scaling alone: python benchmarks/prepare.py VIDEO [--as KIND] [...]

Both read the same video N times, taking turns in one process; the contact sheet and all files are part of
`prepare`. The ratio is what counts: 1 would mean that motion, choice of samples and writing cost nothing.
`--as 4k` makes the video's frames 3840x2160 before (H.264, as a phone writes it), `--as clips` cuts it into
some hundreds of files of 24 frames. `--torchcodec` also decodes with torchcodec, which has to be installed.
`--profile` prints what takes the time.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import pstats
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.data.resize import central_crop, resize
from geopretrain.data.sizes import working_size

CLIP_FRAMES = 24


def decode_and_scale(videos: Sequence[str]) -> int:
    frames = 0
    for video in videos:
        for clip in open_source(video):
            size = working_size(clip.size)
            crop = central_crop(clip.size, size)
            for frame in clip.frames():
                if frame.image is not None:
                    resize(frame.image, crop, size)
                    frames += 1
    return frames


def with_torchcodec(videos: Sequence[str]) -> int:
    VideoDecoder = importlib.import_module("torchcodec.decoders").VideoDecoder  # whoever measures installs it

    frames = 0
    for video in videos:
        decoder = VideoDecoder(video, dimension_order="NHWC", num_ffmpeg_threads=0)
        for image in decoder:
            size = working_size(tuple(image.shape[:2]))
            resize(image.numpy(), central_crop(tuple(image.shape[:2]), size), size)
            frames += 1
    return frames


def images_of(video: str) -> Iterator[np.ndarray]:
    for clip in open_source(video):
        yield from (frame.image for frame in clip.frames() if frame.image is not None)


def write(path: Path, images: Iterable[np.ndarray], size: tuple[int, int] | None = None) -> Path:
    """Write images as H.264 at (height, width)."""
    import av
    import cv2

    with av.open(str(path), "w") as container:
        stream = None
        for image in images:
            shown = image if size is None else cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)
            if stream is None:
                stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
                stream.height, stream.width, stream.pix_fmt = *shown.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
    return path


def inputs(video: str, kind: str, count: int, folder: Path) -> list[str]:
    """Return the files that are measured."""
    if kind == "4k":
        return [str(write(folder / "4k.mp4", islice(images_of(video), count), (2160, 3840)))]
    if kind == "clips":
        images = list(islice(images_of(video), 200))
        starts = islice(cycle(range(0, len(images) - CLIP_FRAMES, 7)), count)
        parts = ((n, images[start : start + CLIP_FRAMES]) for n, start in enumerate(starts))
        return [str(write(folder / f"clip_{n:04d}.mp4", part)) for n, part in parts]
    return [video] * count


def timed(call: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds by the clock and of the processor."""
    began, processor = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - began, time.process_time() - processor, result


def said(name: str, seconds: Sequence[float], alone: Sequence[float]) -> None:
    ratios = "; ".join(
        f"{a:.2f} times {what}"
        for a, what in ((seconds[0] / alone[0], "the clock"), (seconds[1] / alone[1], "the processor time"))
    )
    print(
        f"{name:28}{seconds[0]:7.2f} s by the clock, {seconds[1]:7.2f} s of the processor ({ratios})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("video")
    parser.add_argument("--as", dest="kind", choices=("video", "4k", "clips"), default="video")
    parser.add_argument(
        "--repeat", type=int, default=10, help="times the video, frames in 4k, number of clips"
    )
    parser.add_argument("--threads", type=int, default=0, help="of OpenCV; 0: all")
    parser.add_argument("--torchcodec", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.threads:
        import cv2

        cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        videos = inputs(options.video, options.kind, options.repeat, Path(folder))
        prepare(options.video, Path(folder) / "first", progress=False)  # imports and page cache
        alone = timed(lambda: decode_and_scale(videos))
        print(f"{alone[2]} frames of {len(videos)} files")
        said("decoding and scaling alone", alone[:2], alone[:2])
        if options.torchcodec:
            said("the same with torchcodec", timed(lambda: with_torchcodec(videos))[:2], alone[:2])
        profile = cProfile.Profile()
        if options.profile:
            profile.enable()
        whole = timed(lambda: prepare(videos, Path(folder) / "store", progress=False))
        profile.disable()
        said("prepare", whole[:2], alone[:2])
        if options.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
