"""What can go wrong with SC-Depth beside what can go wrong with Monodepth2, in sentences with advice."""

from __future__ import annotations

import math
from collections.abc import Mapping

LOST = 0.35
"""A mean estimated rotation beyond this, in rad per axis, is none that a camera makes between two frames."""
OFTEN_UNALIGNED = 0.1
"""More batches than this share without a usable normal of the teacher are no accident."""


def empty_masks(logs: Mapping[str, float]) -> list[str]:
    """Return a sentence where masks left nothing to learn from; such a loss is no small loss."""
    empty = logs.get("empty_mask", 0.0)
    if not empty:
        return []
    return [
        f"In {empty:.0%} of the last steps (almost) no pixel was left to learn from, so that their loss says "
        "nothing: the predicted motion leads out of the view, or the frames are alike. Check the intrinsics "
        "and the motion between frames, or lower the learning rate."
    ]


def own_symptoms(logs: Mapping[str, float]) -> list[str]:
    """Return one sentence for each thing that looks wrong with rectification or the teacher."""
    found = []
    if (before := logs.get("rotation_before", 0.0)) > LOST:
        found.append(
            f"Rectification turns the neighbours by {math.degrees(before):.0f} degrees per axis on average: "
            "the rectification network has lost its way. Lower the learning rate, or use version=1."
        )
    if (share := logs.get("teacher_share", 1.0)) < 0.05:
        found.append(
            f"The teacher's depth covers {share:.0%} of the pixels: it teaches next to nothing. Make it "
            "again with `geopretrain data pseudo-depth`."
        )
    elif (share := logs.get("ranked_share", 1.0)) < 0.05:
        found.append(
            f"The teacher sees {share:.0%} of the pixel pairs clearly apart: its depth is almost flat. "
            "Look at the pictures, and use another teacher."
        )
    if (share := logs.get("unaligned_batch", 0.0)) > OFTEN_UNALIGNED:
        found.append(
            f"In {share:.0%} of the last steps no picture of the teacher's disparity could be aligned to the "
            "network's own, so that its normals taught nothing: the two do not agree. If this stays, look at "
            "the pictures; use another teacher, or --settings normals=0 relative_normals=0."
        )
    return found
