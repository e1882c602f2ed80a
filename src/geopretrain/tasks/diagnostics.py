"""Sentences about trainings that more than one method may need."""

from __future__ import annotations

import math
from collections.abc import Mapping

SETTLED_AFTER = 200
"""Before this step networks may look ill without being so."""


def not_a_number(logs: Mapping[str, float], step: int) -> list[str]:
    """Return a sentence where a logged value is not finite."""
    broken = sorted(name for name, value in logs.items() if not math.isfinite(value))
    if not broken:
        return []
    return [
        f"Not a number in {', '.join(broken)} at step {step}: training has diverged. "
        "Start again with a third of the learning rate, or train in fp32."
    ]


def no_motion(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where the predicted camera stands still."""
    if logs.get("pose_translation", 1.0) >= 1e-4 or logs.get("pose_rotation", 1.0) >= 1e-4:
        return []
    return [
        "The predicted camera motion is almost zero: the frames may be too close in time. "
        "Prepare the video again with a larger --target-motion."
    ]


def flat_depth(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where the predicted depth is the same everywhere."""
    if (spread := logs.get("disparity_std", 1.0)) >= 0.01:
        return []
    return [
        f"The depth map is flat (spread of the disparity {spread:.4f}): the network has collapsed to one "
        "depth. Check that the camera moves and the intrinsics are right, or lower the learning rate."
    ]


def out_of_view(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where most pixels leave the view of the other images."""
    if (fraction := logs.get("valid_fraction", 1.0)) >= 0.5:
        return []
    return [
        f"Only {fraction:.0%} of the pixels stay in view of the neighbouring frames: the predicted motion "
        "is too large. Check the intrinsics, use a smaller --target-motion, or lower the learning rate."
    ]


def nothing_explained(logs: Mapping[str, float], stereo: bool = False) -> list[str]:
    """Return a sentence where moved sources explain no more than unmoved ones; ``stereo``: right images."""
    moved, unmoved = logs.get("reprojection_error", 0.0), logs.get("identity_error", 1.0)
    if moved <= 0.99 * unmoved:
        return []
    if stereo:
        return [
            f"Depth explains the right images no better than leaving them (error {moved:.4f}, unmoved "
            f"{unmoved:.4f}): nothing is learned yet. If this stays, left and right may be swapped."
        ]
    return [
        f"Moving the neighbours explains the frames no better than leaving them (error {moved:.4f}, "
        f"unmoved {unmoved:.4f}): nothing is learned about depth yet. If this stays, the camera may "
        "stand still or the intrinsics may be wrong."
    ]


def collapsed(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where all images have the same embedding (``spread``: 1 even, 0 the same)."""
    if (spread := logs.get("spread", 1.0)) >= 0.05:
        return []
    return [
        f"All images have nearly the same embedding (spread {spread:.3f}; 1 is even): the network has "
        "collapsed. Lower the learning rate, or use larger batches."
    ]
