"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # no test asserts a time, also not beside other work

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a script: commands inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

GOLDEN = Path(__file__).parent / "golden"
SHARED_DATA = Path(os.environ.get("GEOPRETRAIN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Tests never read or write the user's cache."""
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def shared_data() -> Path:
    """Folder with the real data; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found (set GEOPRETRAIN_TEST_DATA; looked in {SHARED_DATA})")
    return SHARED_DATA


@pytest.fixture
def device(monkeypatch) -> torch.device:
    """Where functions on tensors are tested: CUDA where there is one, else the CPU.

    ``GEOPRETRAIN_TEST_DEVICE`` names another. TF32, CUDA's default for convolutions, rounds to ten bits: off.
    """
    name = os.environ.get("GEOPRETRAIN_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return torch.device(name)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request) -> torch.dtype:
    """Floating-point types that functions on tensors are tested in; ``tolerances.py`` says how closely."""
    return request.param


@pytest.fixture
def golden():
    """Load one file of golden numbers by name."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / name, allow_pickle=False) as arrays:
            return dict(arrays)

    return load
