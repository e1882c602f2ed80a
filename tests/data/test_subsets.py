"""Which samples are learned from: nested, in proportion to sequences, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopretrain.data.file_names import sequences_of, titles_of_sequences
from geopretrain.data.subsets import drawn_subset, nested_subset, stratified_subset
from geopretrain.errors import ConfigError

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def groups_of(sizes):
    return [group for group, size in enumerate(sizes) for _ in range(size)]


@given(SIZES, st.integers(0, 2**32))
def test_smaller_subsets_lie_inside_larger_ones_and_all_are_different(sizes, seed):
    groups = groups_of(sizes)
    whole = stratified_subset(groups, len(groups), seed)
    assert sorted(whole) == list(range(len(groups)))
    for count in range(1, len(groups) + 1):
        assert stratified_subset(groups, count, seed) == whole[:count]


@given(SIZES, st.integers(0, 2**32))
def test_each_sequence_has_its_share_to_two_images(sizes, seed):
    groups = groups_of(sizes)
    whole = stratified_subset(groups, len(groups), seed)
    for count in range(1, len(groups) + 1):
        found = Counter(groups[position] for position in whole[:count])
        for group, size in enumerate(sizes):
            assert abs(found[group] - count * size / len(groups)) < 2.5


def test_every_image_has_the_same_chance_whatever_the_length_of_its_sequence():
    groups = groups_of([20, 10, 6])
    drawn = Counter(position for seed in range(3000) for position in stratified_subset(groups, 4, seed))
    of_groups = [np.mean([drawn[k] for k, g in enumerate(groups) if g == group]) for group in range(3)]
    assert of_groups == pytest.approx([3000 * 4 / 36] * 3, rel=0.15)
    assert len(drawn) == 36


def test_seeds_draw_different_subsets_and_more_than_there_are_is_refused():
    assert len({tuple(stratified_subset([0] * 30, 4, seed)) for seed in range(20)}) == 20
    with pytest.raises(ConfigError, match="5 labelled images were asked for, but the training split holds 4"):
        stratified_subset([0, 0, 1, 1], 5, 0)


class Named:
    """A data set that only knows names."""

    def __init__(self, names):
        self.all = names

    def names(self, indices):
        return [self.all[k] for k in indices]


def test_by_chance_is_what_it_was_and_names_are_not_asked():
    assert drawn_subset(None, np.arange(5, 25), 6, 3) == nested_subset(20, 6, 3)
    assert nested_subset(20, 6, 3) == [int(k) for k in np.random.default_rng(3).permutation(20)[:6]]


def test_positions_are_counted_among_those_given():
    data = Named([f"val/{k}.png" for k in range(6)] + [f"train/a_{k}.png" for k in range(30)])
    found = drawn_subset(data, np.arange(6, 36), 8, 0, "sequence")
    assert len(found) == 8
    assert max(found) < 30


CAMVID = [
    *(f"train/0001TP_{6690 + 30 * k:06d}.png" for k in range(6)),
    *(f"train/0006R0_f{900 + 30 * k:05d}.png" for k in range(4)),
    *(f"train/0016E5_{390 + 30 * k:05d}.png" for k in range(8)),
]


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (CAMVID, [6, 4, 8]),
        ([f"street-world{w}-frame{f}" for w in range(3) for f in range(0, 20, 5)], [4, 4, 4]),
        ([f"clip{c}/{k:06d}" for c in "ab" for k in range(5)], [5, 5]),
        (
            [f"train/{c}/{c}_{k:06d}_000019_leftImg8bit.png" for c in ("aachen", "ulm") for k in range(7)],
            [7, 7],
        ),
        ([f"{k:08d}.jpg" for k in range(9)], [9]),
        ([f"images/{word}.jpg" for word in ("dog", "cat", "tree", "house")], [4]),
        ([f"{word}/{word}.jpg" for word in ("dog", "cat", "tree", "house")], [4]),
        ([], []),
    ],
)
def test_names_and_folders_tell_sequences(names, sizes):
    found = sequences_of(names)
    assert len(found) == len(names)
    assert [len([one for one in found if one == key]) for key in dict.fromkeys(found)] == sizes


def test_sequences_are_called_by_what_their_names_begin_with():
    assert list(dict.fromkeys(titles_of_sequences(CAMVID))) == [
        "train/0001TP",
        "train/0006R0",
        "train/0016E5",
    ]
    assert set(titles_of_sequences([f"{k:04d}.png" for k in range(5)])) == {"all"}
    assert set(titles_of_sequences([f"{c}/{k}.png" for c in "ab" for k in range(5)])) == {"a", "b"}
