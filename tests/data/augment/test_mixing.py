"""Images made of two by which is nearer: by hand, on tiny arrays."""

from __future__ import annotations

import pytest
import torch

from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.augment.mixing import depth_mix
from geopretrain.data.augment.views import labelled_views, scaled_crops
from geopretrain.data.batches import BEYOND, LabelledBatch
from geopretrain.errors import ConfigError, DataError


def batch(near, labels) -> LabelledBatch:
    """Images of one row, whose colour is their number."""
    near, labels = torch.tensor(near)[:, None, None], torch.tensor(labels)[:, None]
    count = torch.arange(1.0, len(near) + 1)[:, None, None, None]
    return LabelledBatch(
        count.expand(-1, 3, 1, near.shape[-1]), labels, torch.arange(len(near)), nearness=near
    )


def test_the_nearer_one_is_shown_with_its_label():
    near = [[0.9, 0.1, 0.50, 0.50, BEYOND, BEYOND], [0.2, 0.8, 0.52, 0.60, 0.0, BEYOND]]
    labels = [[10, 11, 12, 13, 14, 255], [20, 255, 22, 23, 24, 25]]
    mixed = depth_mix(batch(near, labels), 1.0, 0.05)
    # ties within the margin are the first one's; what is beyond an image is behind everything
    assert mixed.images[0, 0, 0].tolist() == [1, 2, 1, 2, 2, 1]
    assert mixed.labels[0, 0].tolist() == [10, 255, 12, 23, 24, 255]
    torch.testing.assert_close(mixed.nearness[0, 0, 0], torch.tensor([0.9, 0.8, 0.5, 0.6, 0.0, BEYOND]))
    assert mixed.images[1, 0, 0].tolist() == [1, 2, 2, 2, 2, 2]
    assert mixed.labels[1, 0].tolist() == [10, 255, 22, 23, 24, 25]


def test_none_is_mixed_with_itself_and_only_some_are_mixed():
    count = 8
    near = [[0.0] * count for _ in range(count)]
    for number in range(count):
        near[number][number] = 1.0  # each is the nearest one at a place of its own
    start = batch(near, [[number] * count for number in range(count)])
    shifts, mixed = set(), 0
    for seed in range(20):
        torch.manual_seed(seed)
        all_of_them = depth_mix(start, 1.0, 0.1)
        others = [set(row.tolist()) - {number} for number, row in enumerate(all_of_them.labels[:, 0])]
        assert all(len(other) == 1 for other in others)
        (shift,) = {(other.pop() - number) % count for number, other in enumerate(others)}
        shifts.add(shift)
        torch.manual_seed(seed)
        half = depth_mix(start, 0.5, 0.1)
        changed = (half.labels != start.labels).flatten(1).any(1)
        assert torch.equal(half.labels[changed], all_of_them.labels[changed])
        mixed += int(changed.sum())
    assert 0 not in shifts
    assert len(shifts) > 4
    assert 60 < mixed < 100  # of 160


def test_what_is_missing_is_refused():
    two = batch([[0.0], [1.0]], [[0], [1]])
    with pytest.raises(ConfigError, match="a single image"):
        depth_mix(batch([[0.0]], [[0]]), 1.0, 0.1)
    with pytest.raises(DataError, match="nearness"):
        depth_mix(LabelledBatch(two.images, two.labels, two.index), 1.0, 0.1)


@pytest.mark.parametrize("kind", ["flip", "window", "crop", "beyond"])
def test_images_labels_and_nearness_are_cut_alike(kind):
    """Labels and nearness of coded images say the same after any change."""
    rows, columns = torch.arange(40)[:, None] // 10, torch.arange(60) // 10
    labels = ((rows + 2 * columns) % 7).expand(3, -1, -1).clone()
    start = LabelledBatch(
        (labels[:, None].expand(-1, 3, -1, -1) * 30).to(torch.uint8),
        labels,
        torch.arange(3),
        nearness=labels[:, None] / 10,
    )
    fill = torch.tensor([0.5] * 3)
    seen = {
        "flip": lambda: augment_labelled(start, flip=0.5),
        "window": lambda: labelled_views(start, scale=(0.3, 0.6), flip=0.5),
        "crop": lambda: scaled_crops(start, zoom=(0.8, 1.6), size=(32, 48), flip=0.5, fill=fill),
        "beyond": lambda: scaled_crops(start, zoom=(1, 1), size=(80, 90), flip=0.5, fill=fill),
    }[kind]()
    inside = seen.labels != 255
    assert seen.nearness.shape == (3, 1, *seen.labels.shape[1:])
    assert torch.equal((seen.nearness[:, 0] * 10).round().long()[inside], seen.labels[inside])
    assert (seen.nearness[:, 0][~inside] == BEYOND).all()
    assert (kind == "beyond") <= bool((~inside).any())
