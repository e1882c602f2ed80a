"""The Hugging Face hub where it cannot be reached: what is in its cache, or an answer within seconds.

Without a network the hub's library repeats its request for every file that is not in its cache: 23 s for a
model of transformers, 46 s for one of timm, which tries two names, and minutes where a firewall drops
packets. Asking once beforehand, with a short limit, tells the same; where the hub answers, nothing changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 3.0
"""To wait for the hub to connect, and to answer; a second try follows, for a network that hiccups."""
PAUSE = 1.0
"""Seconds between the two tries."""


@contextmanager
def hub_or_cache(needed: bool = True) -> Iterator[str | None]:
    """Within this, a hub that cannot be reached is not asked again: files come from its cache or not at all.

    Args:
        needed: ask at all.

    Yields:
        Why the hub cannot be reached; None where it can, or where the user has chosen to be offline.
    """
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    reason = why_unreachable() if needed and not offline else None
    constants.HF_HUB_OFFLINE = offline or reason is not None
    try:
        yield reason
    finally:
        constants.HF_HUB_OFFLINE = offline


def why_unreachable() -> str | None:
    """Return why the hub, or the mirror in ``HF_ENDPOINT``, cannot be reached; None where it answers."""
    if _attempt() is None:
        return None
    time.sleep(PAUSE)
    return _attempt()


def _attempt() -> str | None:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)  # through the user's proxy, if any
    except Exception as error:  # its kind depends on the library that the hub's library uses
        return f"{constants.ENDPOINT} cannot be reached: {str(error) or type(error).__name__}"
    return None


def first_line(error: Exception, unreachable: str | None) -> str:
    """Return in one line, without a full stop, why something could not be loaded within ``hub_or_cache``.

    Args:
        error: what was raised; a file that cannot be had is an OSError of the hub's library.
        unreachable: what ``hub_or_cache`` gave; it is the cause of such an error, if there is one.
    """
    if unreachable and isinstance(error, OSError):
        return unreachable
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")
