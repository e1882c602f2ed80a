"""What can go wrong when depth is learned by explaining neighbouring images, in sentences with advice."""

from __future__ import annotations

from collections.abc import Mapping


def symptoms(logs: Mapping[str, float], *, stereo: bool = False) -> list[str]:
    """Return one sentence for each thing that looks wrong; ``stereo``: nothing but the partner is used."""
    found = []
    if logs.get("pose_translation", 1.0) < 1e-4 and logs.get("pose_rotation", 1.0) < 1e-4:
        found.append(
            "The predicted camera motion is almost zero: the frames may be too close in time. "
            "Prepare the video again with a larger --target-motion."
        )
    if (spread := logs.get("disparity_std", 1.0)) < 0.01:
        found.append(
            f"The depth map is flat (spread of the disparity {spread:.4f}): the network has collapsed to one "
            "depth. Check that the camera moves and the intrinsics are right, or lower the learning rate."
        )
    if (share := logs.get("valid_share", 1.0)) < 0.5:
        found.append(
            f"Only {share:.0%} of the pixels stay in view of the neighbouring frames: the predicted motion "
            "is too large. Check the intrinsics, use a smaller --target-motion, or lower the learning rate."
        )
    if not 0.2 < (factor := logs.get("focal_factor", 1.0)) < 5:
        found.append(
            f"The learned focal length is {factor:.1f} times the first guess: the camera probably turns too "
            "little to tell. Give the intrinsics, or set learned_intrinsics=none."
        )
    moved, unmoved = logs.get("reprojection_error", 0.0), logs.get("identity_error", 1.0)
    if moved > 0.99 * unmoved and stereo:
        found.append(
            f"Depth explains the stereo partners no better than leaving them (error {moved:.4f}, unmoved "
            f"{unmoved:.4f}): nothing is learned yet. If this stays, left and right may be swapped."
        )
    elif moved > 0.99 * unmoved:
        found.append(
            f"Moving the neighbours explains the frames no better than leaving them (error {moved:.4f}, "
            f"unmoved {unmoved:.4f}): nothing is learned about depth yet. If this stays, the camera may "
            "stand still or the intrinsics may be wrong."
        )
    return found
