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
from geopretrain.data.prepare.calibrate.window import FRAMES, KEPT, RESULT, WindowResult
from geopretrain.data.readers import SourceClip
from geopretrain.data.store.folders import save_json
from geopretrain.errors import DataError
from geopretrain.records import read_json

LONG_SIDE = 1000
"""Longest side of the frames that COLMAP looks at, px."""
LOG, _WINDOWS = "log.txt", "windows.json"
_SECONDS = 1200
"""After which a window is given up."""


def estimate_camera(clips: Sequence[SourceClip], folder: Path, line: ProgressLine) -> Estimate:
    """Return what the frames of clips of one camera say of it; the same call continues an interrupted one.

    Args:
        clips: frames in the order of time; of more than three, three are looked at.
        folder: where frames and results are kept meanwhile.
        line: shows the progress.
    """
    results: list[WindowResult] = []
    frames: list[set[object]] = []
    for number, clip in _looked_at(clips):
        place = folder / f"clip_{number}"
        windows = _windows(clip, place, line)[: _windows_each(clips)]
        line.begin(f"{clip.name}: estimating the camera", len(windows))
        for at, indices in enumerate(windows):
            results.append(_result(clip, indices, place / f"window_{at}"))
            frames.append({(number, index) for index in indices})
            line.advance(1)
    return combined(results, frames)


def window_folders(clips: Sequence[SourceClip], folder: Path) -> list[tuple[int, Path]]:
    """Return of each window that `estimate_camera` has reconstructed the clip's position and its folder."""
    found = []
    for number, _ in _looked_at(clips):
        place = folder / f"clip_{number}"
        count = len(_kept_windows(place) or [])
        found += [(number, place / f"window_{at}") for at in range(min(count, _windows_each(clips)))]
    return found


def _looked_at(clips: Sequence[SourceClip]) -> list[tuple[int, SourceClip]]:
    """Return the clips that are looked at, with their positions."""
    chosen = sorted({*np.linspace(0, len(clips) - 1, WINDOWS).astype(int).tolist()})
    return [(at, clips[at]) for at in chosen]


def _windows_each(clips: Sequence[SourceClip]) -> int:
    return max(1, WINDOWS // min(len(clips), WINDOWS))


def _result(clip: SourceClip, indices: list[int], place: Path) -> WindowResult:
    """Return the result of a window; one that is there already is not made again."""
    if not (place / RESULT).is_file():
        _write_frames(clip, indices, place / FRAMES)
        _run(place)
    result = _read(place, len(indices))
    for path in place.iterdir():
        if path.name not in (RESULT, LOG, KEPT):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return result


def _windows(clip: SourceClip, folder: Path, line: ProgressLine) -> list[list[int]]:
    """Return the windows, chosen once."""
    kept = _kept_windows(folder)
    if kept is not None:
        return kept
    line.begin(f"{clip.name}: choosing frames for the camera", min(clip.length or LOOKED_AT, LOOKED_AT))
    windows = choose_windows(clip, line.advance)
    folder.mkdir(parents=True, exist_ok=True)
    save_json(folder / _WINDOWS, {"windows": windows})
    return windows


def _kept_windows(folder: Path) -> list[list[int]] | None:
    """Return the windows that were chosen already, None before."""
    if not (folder / _WINDOWS).is_file():
        return None
    advice = f"Remove the folder {folder.parent} and repeat the command."
    kept = read_json(folder / _WINDOWS, dict[str, list[list[int]]], error=DataError, advice=advice)
    return list(kept["windows"])


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
    """Reconstruct a window."""
    run_apart("window", place)


def run_apart(module: str, place: Path, *words: str) -> None:
    """Run a module of this package on a window in a process of its own, with its own time limit."""
    command = [sys.executable, "-m", f"geopretrain.data.prepare.calibrate.{module}", str(place), *words]
    with (place / LOG).open("ab") as log:
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
