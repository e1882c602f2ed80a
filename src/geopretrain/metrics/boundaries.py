"""Edges of depth maps, and how well predicted ones lie on true ones.

Koch, Liebel, Fraundorfer, Körner, *Evaluation of CNN-based Single-Image Depth Estimation Methods*, ECCV
Workshops 2018 (iBims-1), as the script that comes with the data set computes it. Its Canny is that of
scikit-image and not the authors' own in Matlab, so that their printed numbers differ: compare only numbers of
one code.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.errors import DataError

SIGMA = math.sqrt(2)
"""Smoothing of a depth map in [0, 1] before its edges are looked for, px."""
LOW, HIGH = 0.15, 0.3
"""Thresholds of the gradient (Sobel, not normalised): of pixels beside an edge, and of one that starts it."""
FARTHEST = 10.0
"""Px at which an edge counts as not found."""


def depth_edges(depth: ArrayLike) -> NDArray[np.bool_]:
    """Return the edges ``H W`` of a depth map scaled to [0, 1]; 0 and what is not finite is not known."""
    known = np.asarray(depth, np.float64)
    known = np.where((known != 0) & np.isfinite(known), known, np.nan)
    if not np.isfinite(known).any():
        return np.zeros(known.shape, bool)
    scaled = known - np.nanmin(known)
    largest = np.nanmax(scaled)
    return canny(scaled / largest, SIGMA, LOW, HIGH) if largest > 0 else np.zeros(known.shape, bool)


def canny(image: NDArray[np.floating], sigma: float, low: float, high: float) -> NDArray[np.bool_]:
    """Return the edges ``H W`` of a grey image (Canny, PAMI 1986), as scikit-image 0.26 finds them.

    The pixels at the rim are none, and what is not a number has no edge near it.

    Args:
        image: ``H W``.
        sigma: of the Gaussian, px.
        low: least magnitude of the gradient of Sobel's filter along an edge.
        high: least magnitude of one pixel of each edge.
    """
    from scipy import ndimage

    def blur(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant"))

    smooth = blur(image) / (blur(np.ones(image.shape)) + np.finfo(float).eps)  # nothing comes from outside
    down, right = ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1)
    with np.errstate(invalid="ignore"):
        strength = np.hypot(down, right)
        thin = _crests(strength, down, right) & (strength >= low)
        sure = thin & (strength >= high)
    labels, count = ndimage.label(thin, np.ones((3, 3)))
    kept = np.zeros(count + 1, bool)
    kept[labels[sure]] = True
    kept[0] = False
    return kept[labels]


def _crests(
    strength: NDArray[np.float64], down: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return where the gradient is no smaller than one pixel further along it and against it."""
    inner = (slice(1, -1), slice(1, -1))
    centre, y, x = strength[inner], down[inner], right[inner]
    along_y = np.abs(y) >= np.abs(x)
    larger = np.where(along_y, np.abs(y), np.abs(x))
    weight = np.where(along_y, np.abs(x), np.abs(y)) / np.where(larger > 0, larger, 1)
    same = (y >= 0) == (x >= 0)
    result = np.zeros(strength.shape, bool)
    result[inner] = True
    for sign in (1, -1):
        straight = np.where(along_y, _moved(strength, sign, 0), _moved(strength, 0, sign))
        # the diagonal neighbour on this side of the gradient
        diagonal = np.where(
            along_y,
            np.where(same, _moved(strength, sign, sign), _moved(strength, sign, -sign)),
            np.where(same, _moved(strength, sign, sign), _moved(strength, -sign, sign)),
        )
        result[inner] &= weight * diagonal + (1 - weight) * straight <= centre
    return result


def _moved(values: NDArray[np.float64], down: int, right: int) -> NDArray[np.float64]:
    """Return the neighbour of each inner pixel."""
    height, width = values.shape
    return values[1 + down : height - 1 + down, 1 + right : width - 1 + right]


def boundary_errors(true_edges: ArrayLike, found_edges: ArrayLike) -> dict[str, float]:
    """Return the depth boundary error of Koch et al. (2018), px.

    Args:
        true_edges: ``H W``, not 0 on an edge.
        found_edges: of a prediction, see `depth_edges`.

    Returns:
        ``dbe_acc``: mean distance of found edges, that lie closer than 10 px to a true one, to it;
        ``dbe_com``: mean distance of true and found edges to the other ones, each at most 10. Both are 10
        where no found edge lies close to a true one; not a number without true edges.

    Raises:
        DataError: the sizes differ.
    """
    from scipy.ndimage import distance_transform_edt

    true, found = np.asarray(true_edges) != 0, np.asarray(found_edges) != 0
    if true.shape != found.shape or true.ndim != 2:
        raise DataError(f"Edges must have one size: true ones are {true.shape}, found ones {found.shape}.")
    if not true.any():
        return {"dbe_acc": math.nan, "dbe_com": math.nan}
    to_true = distance_transform_edt(~true)
    near = found & (to_true < FARTHEST)
    if not near.any():
        return {"dbe_acc": FARTHEST, "dbe_com": FARTHEST}
    to_found = distance_transform_edt(~found)
    both = np.minimum(to_true[found], FARTHEST).sum() + np.minimum(to_found[true], FARTHEST).sum()
    return {"dbe_acc": float(to_true[near].mean()), "dbe_com": float(both / (found.sum() + true.sum()))}
