"""Fixtures of tests of comparisons."""

from __future__ import annotations

import pytest
from comparing import train_nothing


@pytest.fixture
def scripted(monkeypatch):
    """Trials are answered by a formula; nothing is trained."""
    train_nothing(monkeypatch)
