"""Pictures of depth on frames that nobody trained on: the truth, what networks see, and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class FramePictures:
    """What there is to see of one frame: pictures of one size, at most `WIDEST` px beside each other."""

    name: str
    image: pictures.Picture
    truth: pictures.Picture
    """Depth; bright is near, the logarithm is coloured."""
    networks: Mapping[str, Mapping[str, pictures.Picture]]
    """Of each network by name its ``depth`` in the colours of the truth, its ``error`` relative to the truth
    (blue is none) and, where it is known where depth jumps, its ``edges`` beside the true ones."""


def frame_pictures(
    tasks: Mapping[str, DepthTask], frames: Sequence[MeasuredFrame], size: tuple[int, int] | None
) -> list[FramePictures]:
    """Return what there is to see of each frame; damaged ones are named and left out.

    Args:
        tasks: networks by name.
        frames: pictures with measured depth.
        size: (height, width) px that they work at; None: that of the picture.
    """
    by_name = {frame.name: frame for frame in frames}
    read = readable(((frame.name, frame.read) for frame in frames), [])
    return [
        _of_frame(name, tasks, depth, image, by_name[name].structure(), size) for name, (depth, image) in read
    ]


def draw_errors(path: Path, shown: Sequence[FramePictures]) -> Path:
    """Write all of them as one PNG, two rows a frame: picture and depth, and below them truth and errors.

    Where edges are known, there is a third row with those of each network.
    """
    write_picture(path, pictures.grid([row for frame in shown for row in _rows(frame)]))
    return path


def _rows(frame: FramePictures) -> list[pictures.Picture]:
    found, parts = list(frame.networks), list(frame.networks.values())
    width = frame.image.shape[1]
    bar = pictures.colour_bar((0.0, LARGE_ERROR), "relative error", width)
    wrong = [pictures.grid([part["error"], bar]) for part in parts]
    rows = [
        pictures.side_by_side([frame.image, *(part["depth"] for part in parts)], ["picture", *found]),
        pictures.side_by_side([frame.truth, *wrong], ["true depth", *(["error"] * len(wrong))]),
    ]
    if any("edges" not in part for part in parts):
        return rows
    edges = [pictures.grid([part["edges"], pictures.edge_key(width)]) for part in parts]
    return [*rows, pictures.side_by_side([frame.image, *edges], ["picture", *(["edges"] * len(edges))])]


def _of_frame(
    name: str,
    tasks: Mapping[str, DepthTask],
    depth: NDArray[np.floating],
    image: NDArray[np.uint8],
    structure: Structure | None,
    size: tuple[int, int] | None,
) -> FramePictures:
    from geopretrain.evaluation.depth import predict_disparity

    found = {row: predict_disparity(task, image, size) for row, task in tasks.items()}
    height, width = next(iter(found.values())).shape  # nearest for depth: a mean over an edge is none
    truth = np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)
    shown = pictures.shrunk(_resized(image, (height, width)), WIDEST)
    networks = {}
    for row, disparity in found.items():
        meaning = tasks[row].depth_meaning
        seen, wrong = colour_against(disparity, truth, meaning), _errors(disparity, truth, meaning)
        parts = {"depth": pictures.shrunk(seen, WIDEST), "error": pictures.shrunk(wrong, WIDEST)}
        if structure is not None and structure.edges is not None:
            parts["edges"] = _resized(_edges(image, disparity, depth, structure.edges), shown.shape[:2])
        networks[row] = parts
    true_depth = pictures.shrunk(colour_against(inverse(truth), truth, "metric"), WIDEST)
    return FramePictures(name, shown, true_depth, networks)


def _resized(picture: pictures.Picture, size: tuple[int, ...]) -> pictures.Picture:
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def _edges(
    image: NDArray[np.uint8],
    disparity: NDArray[np.floating],
    depth: NDArray[np.floating],
    true: NDArray[np.generic],
) -> pictures.Picture:
    """Draw the edges of a prediction beside the true ones, at the size of the truth but for `WIDEST`."""
    at_size = cv2.resize(disparity, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    found = depth_edges(np.where(depth > 0, 1 / np.maximum(at_size, 1e-6), 0))
    return pictures.shrunk(pictures.edge_map(_resized(image, depth.shape), true, found, key=False), WIDEST)


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
    return pictures.error_map(np.where(known, error, np.nan), LARGE_ERROR)
