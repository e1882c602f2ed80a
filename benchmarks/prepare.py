"""`data prepare` beside decoding and scaling alone: python benchmarks/prepare.py VIDEO [--repeat N]

Both read the same video N times, taking turns in one process; the contact sheet and all files are part of
`prepare`. The ratio is what counts: 1 would mean that motion, choice of samples and writing cost nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.data.resize import central_crop, resize
from geopretrain.data.sizes import working_size


def decode_and_scale(video: str, repeat: int) -> int:
    frames = 0
    for _ in range(repeat):
        for clip in open_source(video):
            size = working_size(clip.size)
            crop = central_crop(clip.size, size)
            for frame in clip.frames():
                if frame.image is not None:
                    resize(frame.image, crop, size)
                    frames += 1
    return frames


def timed(call) -> tuple[float, float, object]:
    """Seconds by the clock and of the processor."""
    began, processor = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - began, time.process_time() - processor, result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("video")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0, help="of OpenCV; 0: all")
    options = parser.parse_args()
    if options.threads:
        import cv2

        cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        prepare(options.video, Path(folder) / "first", progress=False)  # imports and page cache
        alone = timed(lambda: decode_and_scale(options.video, options.repeat))
        whole = timed(
            lambda: prepare([options.video] * options.repeat, Path(folder) / "store", progress=False)
        )
    print(f"{alone[2]} frames")
    print(f"decoding and scaling alone  {alone[0]:6.2f} s by the clock, {alone[1]:6.2f} s of the processor")
    print(f"prepare                     {whole[0]:6.2f} s by the clock, {whole[1]:6.2f} s of the processor")
    print(
        f"ratio                       {whole[0] / alone[0]:6.2f}                  {whole[1] / alone[1]:6.2f}"
    )


if __name__ == "__main__":
    main()
