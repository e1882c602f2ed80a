"""Errors of camera motion: of pairs of frames, of snippets of five, and of whole trajectories.

Motions are ``4 4`` matrices that map points of one frame's camera into the next one's. What a network knows
only up to scale gets one factor for each snippet (Zhou et al., *Unsupervised Learning of Depth and Ego-Motion
from Video*, CVPR 2017) or one similarity for each trajectory (Umeyama, PAMI 1991; Sturm et al., *A Benchmark
for the Evaluation of RGB-D SLAM Systems*, IROS 2012). Angles need none.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

SNIPPET = 5
"""Frames of a snippet."""
_STANDS = 1e-6
"""Of the longest step: a shorter one has no direction."""

Array = NDArray[np.float64]


def positions(motions: ArrayLike) -> Array:
    """Return where the cameras of ``N + 1`` frames are, ``N + 1 3`` in the first one's axes.

    Args:
        motions: ``N 4 4`` from each camera to the next.
    """
    pose, places = np.eye(4), [np.zeros(3)]
    for motion in np.asarray(motions, np.float64):
        pose = pose @ np.linalg.inv(motion)
        places.append(pose[:3, 3])
    return np.array(places)


def rotation_errors(predicted: ArrayLike, true: ArrayLike) -> Array:
    """Return the angle (degrees) between predicted and true rotations of motions ``N 4 4``, ``N``."""
    first, second = (np.asarray(values, np.float64)[..., :3, :3] for values in (predicted, true))
    apart = first @ np.swapaxes(second, -1, -2)
    skew = apart - np.swapaxes(apart, -1, -2)
    sine = np.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1) / 2
    cosine = (np.trace(apart, axis1=-2, axis2=-1) - 1) / 2
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(sine, axis=-1), cosine)))


def direction_errors(predicted: ArrayLike, true: ArrayLike) -> Array:
    """Return the angle (degrees) between the ways that motions ``N 4 4`` go; NaN where the camera stands."""
    first, second = (_steps(np.asarray(values, np.float64)) for values in (predicted, true))
    lengths = np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)
    goes = np.all([length > _STANDS * length.max(initial=0) for length in lengths], axis=0)
    cosine = (first * second).sum(-1)[goes] / (lengths[0] * lengths[1])[goes]
    angles = np.full(len(goes), np.nan)
    angles[goes] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angles


def snippet_errors(predicted: ArrayLike, true: ArrayLike, frames: int = SNIPPET) -> Array:
    """Return the absolute trajectory error of each snippet of some frames, in the unit of the true motions.

    As the released scripts of Zhou et al. and Godard et al. have it: positions in the axes of the first
    frame, one factor by least squares, and the root of the summed squares over the number of frames (which is
    the root mean square divided by the root of that number).

    Args:
        predicted: ``N 4 4`` from each frame to the next.
        true: likewise.
        frames: of a snippet.
    """
    first, second = (np.asarray(values, np.float64) for values in (predicted, true))
    errors = []
    for start in range(len(second) - frames + 2):
        found, wanted = (positions(values[start : start + frames - 1]) for values in (first, second))
        norm = (found**2).sum()
        factor = (found * wanted).sum() / norm if norm > 0 else 0.0
        errors.append(math.sqrt(((factor * found - wanted) ** 2).sum()) / frames)
    return np.array(errors)


def trajectory_error(predicted: ArrayLike, true: ArrayLike) -> tuple[float, float]:
    """Return the root mean square error of the positions, and the same over the length of the true way.

    Positions are aligned by the similarity that makes it least; NaN below five frames, which almost any
    similarity fits.

    Args:
        predicted: ``N 4 4`` from each frame to the next.
        true: likewise.
    """
    found, wanted = positions(predicted), positions(true)
    way = float(np.linalg.norm(np.diff(wanted, axis=0), axis=1).sum())
    if len(wanted) < SNIPPET or way == 0:
        return math.nan, math.nan
    error = math.sqrt(((aligned(found, wanted) - wanted) ** 2).sum(1).mean())
    return error, error / way


def aligned(points: ArrayLike, target: ArrayLike) -> Array:
    """Return points ``N 3`` moved, turned and scaled to lie nearest to ``target`` (Umeyama, eq. 40 to 43)."""
    x, y = np.asarray(points, np.float64), np.asarray(target, np.float64)
    centred, wanted = x - x.mean(0), y - y.mean(0)
    left, values, right = np.linalg.svd(wanted.T @ centred / len(x))
    signs = np.array([1, 1, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    variance = (centred**2).sum(1).mean()
    scale = (values * signs).sum() / variance if variance > 0 else 0.0
    turned: Array = scale * centred @ (left * signs @ right).T + y.mean(0)
    return turned


def _steps(motions: Array) -> Array:
    """Return where the next camera is, ``N 3`` in the axes of each one."""
    return np.asarray(np.linalg.inv(motions)[..., :3, 3])
