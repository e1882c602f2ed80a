"""Small videos and image folders with known motion, for the tests of the data room."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A colourful picture with structure at several scales, uint8."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cell, weight in ((4, 0.3), (12, 0.4), (40, 0.5)):
        grid = rng.random((height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        picture += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    picture -= picture.min()
    return np.uint8(np.clip(picture / picture.max() * 255, 0, 255))


def sliding_frames(
    count: int, step: float = 3.0, size: tuple[int, int] = (96, 128), seed: int = 0, start: float = 0.0
) -> list[np.ndarray]:
    """A window sliding over a texture: each frame moves by ``step`` px."""
    height, width = size
    wide = texture(height, width + int(abs(step) * count + start) + 2, seed)
    frames = []
    for i in range(count):
        shift = np.float32([[1, 0, -(start + i * step)], [0, 1, 0]])
        frames.append(cv2.warpAffine(wide, shift, (width, height), flags=cv2.INTER_LINEAR))
    return frames


def write_images(folder: Path, frames: list[np.ndarray], pattern: str = "{:06d}.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / pattern.format(i))
    return folder


def write_video(
    path: Path,
    frames: list[np.ndarray],
    *,
    fps: int = 25,
    rotation: int = 0,
    times: list[int] | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write an H.264 video; ``times`` are presentation times in 1/fps (variable frame rate)."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = i if times is None else times[i]
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_pfm(path: Path, values: np.ndarray, order: str = "<") -> None:
    """Write a PFM file of one channel in either byte order."""
    height, width = values.shape
    header = f"Pf\n{width} {height}\n{-1.0 if order == '<' else 1.0}\n".encode()
    path.write_bytes(header + values[::-1].astype(f"{order}f4").tobytes())


def write_depth(path: Path, values: np.ndarray) -> None:
    """Write a 16-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(values, np.uint16))
