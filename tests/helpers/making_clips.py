"""Small videos and image folders with known motion, for the tests of the data room."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CALIBRATION = "fx: 100\nfy: 100\ncx: 63.5\ncy: 47.5\nbaseline: 0.2\n"
FOCAL, CENTRE = 100.0, (63.5, 47.5)


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


def write_kitti(root, count=3, depth="png"):
    day = root / "2011_09_26"
    drive = day / "2011_09_26_drive_0001_sync"
    write_images(drive / "image_02" / "data", sliding_frames(count), "{:010d}.png")
    numbers = f"{FOCAL} 0 {CENTRE[0]} 0 0 {FOCAL} {CENTRE[1]} 0 0 0 1 0"
    eye = "1 0 0 0 1 0 0 0 1"
    (day / "calib_cam_to_cam.txt").write_text(
        f"calib_time: 09-Jan-2012 13:57:47\nR_rect_00: {eye}\nP_rect_02: {numbers}\n"
    )
    if depth == "png":
        folder = drive / "proj_depth" / "velodyne_raw" / "image_02"
        folder.mkdir(parents=True)
        values = np.zeros((96, 128), np.uint16)
        values[10, 20] = 5 * 256 + 128
        cv2.imwrite(str(folder / f"{1:010d}.png"), values)
    if depth == "bin":
        # LiDAR axes x forward, y left, z up -> camera x right, y down, z forward
        (day / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
        folder = drive / "velodyne_points" / "data"
        folder.mkdir(parents=True)
        points = np.array([[10, 0, 0, 0.5], [10, -1, 0, 0.5], [20, 0, 0, 0.5], [-5, 0, 0, 0.5]], np.float32)
        points.tofile(folder / f"{1:010d}.bin")
    return root


def write_stereo(root, calibration=CALIBRATION, count=3):
    write_images(root / "left", sliding_frames(count, seed=1))
    write_images(root / "right", sliding_frames(count, seed=2))
    if calibration:
        (root / "calib.txt").write_text(calibration)
    return root
