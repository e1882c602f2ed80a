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
