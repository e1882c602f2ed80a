"""From a clip to the estimate of its camera: frames out, COLMAP on each window, the windows together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from geopretrain.console import ProgressLine
from geopretrain.data.prepare.calibrate.estimate import Estimate, combined
from geopretrain.data.prepare.calibrate.frames import LOOKED_AT, WINDOWS, choose_windows
from geopretrain.data.prepare.calibrate.window import FRAMES, RESULT, WindowResult
from geopretrain.data.readers import SourceClip
from geopretrain.data.store.folders import save_json
from geopretrain.errors import DataError
from geopretrain.records import read_json

LONG_SIDE = 1000
"""Longest side of the frames that COLMAP looks at, px."""
LOG = "log.txt"
_SECONDS = 1200
"""After which a window is given up."""


def estimate_camera(clips: Sequence[SourceClip], folder: Path, line: ProgressLine) -> Estimate:
    """Return what the frames of clips of one camera say of it; the same call continues an interrupted one.

    Args:
        clips: frames in the order of time; of more than three, three are looked at.
        folder: where frames and results are kept meanwhile.
        line: shows the progress.
    """
    looked_at = [clips[i] for i in sorted({*np.linspace(0, len(clips) - 1, WINDOWS).astype(int).tolist()})]
    results = []
    for number, clip in enumerate(looked_at):
        place = folder / f"clip_{number}"
        windows = _windows(clip, place, line)[: max(1, WINDOWS // len(looked_at))]
        line.begin(f"{clip.name}: estimating the camera", len(windows))
        for at, indices in enumerate(windows):
            results.append(_result(clip, indices, place / f"window_{at}"))
            line.advance(1)
    return combined(results)


def _result(clip: SourceClip, indices: list[int], place: Path) -> WindowResult:
    """Return the result of a window; one that is there already is not made again."""
    if not (place / RESULT).is_file():
        _write_frames(clip, indices, place / FRAMES)
        _run(place)
    result = _read(place, len(indices))
    for path in place.iterdir():
        if path.name not in (RESULT, LOG):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return result


def _windows(clip: SourceClip, folder: Path, line: ProgressLine) -> list[list[int]]:
    """Return the windows, chosen once."""
    file = folder / "windows.json"
    if file.is_file():
        advice = f"Remove the folder {folder.parent} and repeat the command."
        kept = read_json(file, dict[str, list[list[int]]], error=DataError, advice=advice)
        return list(kept["windows"])
    line.begin(f"{clip.name}: choosing frames for the camera", min(clip.length or LOOKED_AT, LOOKED_AT))
    windows = choose_windows(clip, line.advance)
    folder.mkdir(parents=True, exist_ok=True)
    save_json(file, {"windows": windows})
    return windows


def _write_frames(clip: SourceClip, indices: Sequence[int], folder: Path) -> None:
    """Write some frames as PNG, their long side at most 1000 px."""
    import cv2

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = set(indices)
    for frame in clip.frames(min(wanted)):
        if frame.index in wanted and frame.image is not None:
            image = _limited(frame.image)[..., ::-1]
            cv2.imwrite(str(folder / f"{frame.index:06d}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if frame.index >= max(wanted):
            return


def shrinking(size: tuple[int, ...]) -> float:
    """Return by how much frames of (height, width) are made smaller."""
    return max(1.0, max(size) / LONG_SIDE)


def _limited(image: np.ndarray) -> np.ndarray:
    import cv2

    scale = shrinking(image.shape[:2])
    if scale == 1:
        return image
    size = (round(image.shape[1] / scale), round(image.shape[0] / scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _run(place: Path) -> None:
    """Reconstruct a window in a process of its own, which an interruption and a time limit end."""
    command = [sys.executable, "-m", "geopretrain.data.prepare.calibrate.window", str(place)]
    with (place / LOG).open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _read(place: Path, count: int) -> WindowResult:
    """Return the result of a window; one that COLMAP has given up says nothing."""
    if not (place / RESULT).is_file():
        save_json(place / RESULT, asdict(WindowResult(count)))
    result: WindowResult = read_json(
        place / RESULT, WindowResult, error=DataError, advice=f"Remove the folder {place} and repeat."
    )
    return result
