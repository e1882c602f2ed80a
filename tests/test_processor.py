from __future__ import annotations

import os

import pytest

from geopretrain.processor import crowded, wait_briefly


@pytest.mark.parametrize(
    ("cores_used", "threads", "advice"), [(1.3, 2, 1), (1.5, 2, 1), (0.4, 2, 1), (5.2, 8, 5), (6.3, 8, 6)]
)
def test_lost_cores_are_told_with_how_many_threads_to_use(cores_used, threads, advice):
    sentence = crowded(cores_used, threads)
    assert f"{threads} threads get {cores_used} cores" in sentence
    assert f"--threads {advice} " in sentence


@pytest.mark.parametrize(("cores_used", "threads"), [(1.97, 2), (1.7, 2), (0.5, 1), (7.0, 8)])
def test_a_process_that_has_its_cores_is_left_alone(cores_used, threads):
    assert crowded(cores_used, threads) is None


def test_threads_wait_briefly_unless_the_user_says_otherwise(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    wait_briefly()
    assert int(os.environ["GOMP_SPINCOUNT"]) > 0
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    wait_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ
