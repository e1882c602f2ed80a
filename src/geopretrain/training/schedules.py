"""Learning-rate schedules as pure functions of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math

STEP_DROP_AT = 0.75
"""Fraction of the steps after which ``step`` multiplies the rate by 0.1 (Monodepth2: 15 of 20 epochs)."""
LATE_STEP_AT = 0.875
"""Fraction of the steps after which ``late_step`` multiplies the rate by 0.1 (SimMIM: 700 of 800 epochs)."""
POLY_POWER = 0.9
"""Power of what is left of the steps in ``poly``, and of both sides of ``triangle``."""
FLAT_FRACTION = 0.6
"""Fraction of the steps before ``warm_cosine`` starts to fall."""


def learning_rate_factor(
    step: int, steps: int, schedule: str, warmup_steps: int = 0, floor: float = 0.0
) -> float:
    """Return what the learning rate is multiplied by at ``step`` (0-based) of ``steps``.

    ``constant``: 1. ``step``: x0.1 after 75 % of the steps, ``late_step``: after 7/8 of them. ``halve``: x0.5
    after half of them (Lao et al., supplement, B.5). ``tenth``: x0.1 after half of them (ibid., B.3).
    ``poly``: (1 - t)^0.9 (Chen et al., *DeepLab*, 2017). ``linear``: 1 - t.
    ``cosine``: from 1 to 0 over all steps.
    ``triangle``: rises to 1 over half of the steps with power 0.9 and falls likewise (Xie et al., *Revealing
    the Dark Secrets of Masked Image Modeling*, released code, whose epochs // 2 is half of the steps where
    their number is even). ``warm_cosine``: 1, then cosine to 0 over the last 40 %. All rise linearly over
    ``warmup_steps``, and none falls below ``floor``, which 0 stands for: 0.1 lets ``poly`` end at a tenth of
    the highest rate.
    """
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return warm * (floor + (1 - floor) * _shape(step, steps, schedule))


def _shape(step: int, steps: int, schedule: str) -> float:
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return 1.0 if step < STEP_DROP_AT * steps else 0.1
    if schedule == "late_step":
        return 1.0 if step < LATE_STEP_AT * steps else 0.1
    if schedule == "halve":
        return 1.0 if step < 0.5 * steps else 0.5
    if schedule == "tenth":
        return 1.0 if step < 0.5 * steps else 0.1
    if schedule == "poly":
        return float((1 - min(1.0, step / steps)) ** POLY_POWER)
    if schedule == "linear":
        return 1 - min(1.0, step / steps)
    if schedule == "triangle":
        place = 2 * (step + 1) / steps
        return float(place**POLY_POWER if place <= 1 else 1 - min(1.0, place - 1) ** POLY_POWER)
    start = FLAT_FRACTION * steps if schedule == "warm_cosine" else 0.0
    progress = min(1.0, max(0.0, (step - start) / (steps - start)))
    return 0.5 * (1.0 + math.cos(math.pi * progress))
