"""Pictures of depth on frames that nobody trained on: the truth, what networks see, and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geopretrain import pictures
from geopretrain.data.structure import Structure
from geopretrain.evaluation.measured import MeasuredFrame, readable
from geopretrain.files import write_picture
from geopretrain.metrics.boundaries import depth_edges
from geopretrain.tasks.base import DepthTask

LARGE_ERROR = 0.5
"""Relative error that gets the last red."""
WIDEST = 320
"""Px of one picture: a page has dozens of them."""


def draw_errors(
    path: Path, tasks: Mapping[str, DepthTask], frames: Sequence[MeasuredFrame], size: tuple[int, int] | None
) -> Path | None:
    """Write two rows for each frame: the picture and the depth of each network, the truth and its errors.

    Where it is known where depth jumps, a third one has the edges of each network beside the true ones.
    Colours of depth are logarithmic, bright is near; errors are relative to the truth, blue is right.

    Args:
        path: of the PNG.
        tasks: networks by name.
        frames: pictures with measured depth; damaged ones are named and left out.
        size: (height, width) px that they work at; None: that of the picture.

    Returns:
        The path; None where no frame can be read.
    """
    read = readable(((frame.name, frame.read) for frame in frames), [])
    by_name = {frame.name: frame for frame in frames}
    rows = [
        row
        for name, (depth, image) in read
        for row in _rows(tasks, depth, image, by_name[name].structure(), size)
    ]
    if not rows:
        return None
    write_picture(path, pictures.grid(rows))
    return path


def _rows(
    tasks: Mapping[str, DepthTask],
    depth: NDArray[np.floating],
    image: NDArray[np.uint8],
    structure: Structure | None,
    size: tuple[int, int] | None,
) -> list[pictures.Picture]:
    from geopretrain.evaluation.depth import predict_disparity

    found = {name: predict_disparity(task, image, size) for name, task in tasks.items()}
    height, width = next(iter(found.values())).shape
    size_of = (width, height)  # nearest for depth: a mean over an edge is none
    truth = np.asarray(cv2.resize(depth, size_of, interpolation=cv2.INTER_NEAREST), np.float32)
    shown = np.asarray(cv2.resize(image, size_of, interpolation=cv2.INTER_AREA), np.uint8)
    seen = [colour_against(one, truth, tasks[name].depth_meaning) for name, one in found.items()]
    wrong = [_errors(one, truth, tasks[name].depth_meaning) for name, one in found.items()]
    true_depth = colour_against(inverse(truth), truth, "metric")
    above = _beside([shown, *seen], ["picture", *found])
    below = _beside([true_depth, *wrong], ["true depth", *(["error"] * len(wrong))])
    if structure is None or structure.edges is None:
        return [above, below]
    shown = np.asarray(cv2.resize(image, depth.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    edges = [_edges(shown, one, depth, structure.edges) for one in found.values()]
    return [above, below, _beside([shown, *edges], ["picture", *(["edges"] * len(edges))])]


def _beside(parts: Sequence[pictures.Picture], captions: Sequence[str]) -> pictures.Picture:
    return pictures.side_by_side([pictures.shrunk(part, WIDEST) for part in parts], captions)


def _edges(
    image: NDArray[np.uint8],
    disparity: NDArray[np.floating],
    depth: NDArray[np.floating],
    true: NDArray[np.generic],
) -> pictures.Picture:
    """Draw the edges of a prediction beside the true ones, at the size of the truth."""
    at_size = cv2.resize(disparity, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return pictures.edge_map(image, true, depth_edges(np.where(depth > 0, 1 / np.maximum(at_size, 1e-6), 0)))


def inverse(depth: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return 1 / depth; not a number where there is none."""
    return np.where(depth > 0, 1 / np.maximum(depth, 1e-3), np.nan)


def colour_against(
    disparity: NDArray[np.floating], depth: NDArray[np.floating] | None, meaning: str
) -> pictures.Picture:
    """Colour the logarithm of a disparity between the truth's fifth and 99th percentile, or its own.

    Args:
        disparity: ``H W``.
        depth: the truth, m, 0 = none; None where nobody knows it.
        meaning: of the prediction; unless it is ``metric``, its unit is made that of the truth by the median.
    """
    logarithm = np.log(np.maximum(disparity, 1e-6))
    if depth is None or not (depth > 0).any():
        return pictures.colour_depth(logarithm, (np.percentile(logarithm, 5), np.percentile(logarithm, 99)))
    truth = -np.log(depth[depth > 0])
    shifted = logarithm if meaning == "metric" else logarithm + _shift(logarithm, depth)
    return pictures.colour_depth(shifted, (np.percentile(truth, 5), np.percentile(truth, 99)))


def _shift(logarithm: NDArray[np.floating], depth: NDArray[np.floating]) -> float:
    known = depth > 0
    return float(np.median(-np.log(depth[known])) - np.median(logarithm[known]))


def _errors(disparity: NDArray[np.floating], depth: NDArray[np.floating], meaning: str) -> pictures.Picture:
    known, logarithm = depth > 0, np.log(np.maximum(disparity, 1e-6))
    if meaning != "metric" and known.any():
        logarithm = logarithm + _shift(logarithm, depth)
    error = np.abs(np.exp(-logarithm) - depth) / np.where(known, depth, 1)
    what = "relative error"
    return pictures.error_map(np.where(known, error, np.nan), LARGE_ERROR, what=what)
