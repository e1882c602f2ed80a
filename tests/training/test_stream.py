from __future__ import annotations

import numpy as np
import torch
from fake_tasks import samples

from geopretrain.seeding import seed_step
from geopretrain.training.stream import BatchStream, sample_indices


def stream(steps, batch_size, num_samples, seed):
    return np.concatenate([sample_indices(s, batch_size, num_samples, seed) for s in range(steps)])


def test_every_sample_is_seen_once_before_any_is_seen_again():
    seen = stream(steps=7, batch_size=10, num_samples=14, seed=3)  # 5 epochs
    for epoch in np.split(seen, 5):
        assert sorted(epoch) == list(range(14))


def test_epochs_and_seeds_have_orders_of_their_own():
    first, second = np.split(stream(2, 32, 32, seed=0), 2)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, stream(1, 32, 32, seed=1))


def test_batches_may_be_larger_than_the_data():
    assert sorted(sample_indices(0, 8, 4, seed=0)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_stream_can_start_anywhere():
    nine = samples(lambda i: i, positions=range(9))
    whole, late = (iter(BatchStream(nine, 4, seed=5, first_step=s)) for s in (0, 3))
    batches = [next(whole) for _ in range(5)]
    assert np.array_equal(batches[3], next(late))
    assert np.array_equal(batches[4], next(late))


def test_parts_of_a_step_are_its_batch():
    nine = samples(lambda i: i, positions=range(9))
    whole, parts = (iter(BatchStream(nine, 4, seed=5, parts=p)) for p in (1, 2))
    for _ in range(3):
        assert np.array_equal(next(whole), np.concatenate([next(parts), next(parts)]))


def test_random_numbers_depend_on_seed_and_step_alone():
    def draw(seed, step):
        seed_step(seed, step)
        return torch.rand(4)

    first = draw(1, 7)
    torch.rand(100)
    assert torch.equal(first, draw(1, 7))
    assert not torch.equal(first, draw(1, 8))
    assert not torch.equal(first, draw(2, 7))
    assert not torch.equal(draw(0, 1), draw(1, 0))
