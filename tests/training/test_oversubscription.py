from __future__ import annotations

import pytest

from geopretrain.training.oversubscription import oversubscribed


@pytest.mark.parametrize(
    ("cores_used", "threads", "advice"), [(1.3, 2, 1), (1.5, 2, 1), (0.4, 2, 1), (5.2, 8, 5), (6.3, 8, 6)]
)
def test_lost_cores_are_told_with_how_many_threads_to_use(cores_used, threads, advice):
    sentence = oversubscribed(cores_used, threads)
    assert f"{threads} threads get {cores_used} cores" in sentence
    assert f"--threads {advice} " in sentence


@pytest.mark.parametrize(("cores_used", "threads"), [(1.97, 2), (1.7, 2), (0.5, 1), (7.0, 8)])
def test_a_process_that_has_its_cores_is_left_alone(cores_used, threads):
    assert oversubscribed(cores_used, threads) is None
