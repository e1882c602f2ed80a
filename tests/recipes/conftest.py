"""Fixtures of tests of recipes."""

from __future__ import annotations

import pytest
from comparing import train_nothing


@pytest.fixture
def scripted(monkeypatch):
    """Trainings of comparisons on synthetic streets are answered by a formula; nothing is trained."""
    train_nothing(monkeypatch)
    monkeypatch.setenv("FAKE_CLASSES", "12")
