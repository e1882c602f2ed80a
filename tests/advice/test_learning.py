"""Which images the probe is fitted and judged on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.advice.groups import parts_of
from geopretrain.advice.learning import Point, Probed, in_words, probe
from geopretrain.data.batches import LabelledBatch
from geopretrain.networks import Backbone


class Places:
    """Images of six places without a val split; whoever reads test images fails."""

    num_classes, size = 2, (64, 64)

    def __init__(self, count=24):
        self.count, self.read_rows = count, set()

    def splits(self, fields=None):
        return {"train": np.arange(self.count), "test": np.arange(self.count, self.count + 8)}

    def names(self, rows):
        return [f"{'abcdefgh'[row // 4]}/{row:04d}.png" for row in rows]

    def class_pixels(self, rows):
        return np.tile([4, 4, 0], (len(rows), 1))

    def read(self, rows, fields):
        assert max(rows) < self.count, "test images are left alone"
        self.read_rows |= {int(row) for row in rows}
        rng = [np.random.default_rng(int(row)) for row in rows]
        labels = torch.from_numpy(np.stack([one.integers(0, 2, (4, 4)) for one in rng]))
        labels = labels.repeat_interleave(16, 1).repeat_interleave(16, 2)
        images = (60 + 120 * labels[:, None]).expand(-1, 3, -1, -1).to(torch.uint8)
        return LabelledBatch(images, labels, torch.as_tensor(rows))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Backbone("test_resnet").eval()


def test_without_a_val_split_whole_places_are_held_back(network, monkeypatch):
    drawn = []
    from geopretrain.advice import learning

    monkeypatch.setattr(
        learning,
        "scores",
        lambda data, net, draws, measured, line: (
            drawn.extend(draws) or [dict.fromkeys(one.counts, 0.5) for one in draws]
        ),
    )
    data = Places()
    found = probe(data, {"random": network, "imagenet": network}, 10, 0)
    assert found.judged_on == "train"
    for draw in drawn:
        places = [{row // 4 for row in rows.tolist()} for rows in (draw.fitted, draw.judged)]
        assert not places[0] & places[1]
        assert len(draw.judged) == 8
        assert draw.fitted.size == draw.counts[-1] == 16
    assert {tuple(draw.judged) for draw in drawn} != {tuple(drawn[0].judged)}
    assert {point.labels for point in found.points} == {4, 10, 16}
    assert all(len(point.miou) == 3 for point in found.points)


def test_scores_are_of_training_images_alone(network):
    data = Places()
    found = probe(data, {"random": network}, 4, 0)
    assert data.read_rows <= set(range(24))
    assert all(0 <= score <= 100 for point in found.points for score in point.miou)
    assert "held back" in "\n".join(in_words(found))


def test_one_image_leaves_nothing_to_judge_on(network):
    assert probe(Places(1), {"random": network}, 1, 0) is None


def test_images_whose_labels_are_all_ignored_are_not_judged_on(network):
    data = Places(2)
    assert probe(data, {"random": network}, 1, 0) is not None
    data.class_pixels = lambda rows: np.zeros((len(rows), 3), np.int64)
    assert probe(data, {"random": network}, 1, 0) is None


def test_slope_and_differences():
    points = (
        Point("imagenet", 4, (20.0, 22.0)),
        Point("imagenet", 16, (25.0, 27.0)),
        Point("imagenet", 32, (28.0,)),
        Point("run", 4, (19.0, 23.0)),
        Point("run", 16, (26.0, 29.0)),
        Point("run", 32, (28.5,)),
    )
    found = Probed(points, "val", 8, (64, 64))
    assert found.slope("imagenet") == pytest.approx(4.0)
    assert found.differences("run", "imagenet") == {4: (-1.0, 1.0), 16: (1.0, 2.0), 32: (0.5,)}


def test_parts_are_sequences_or_stretches_of_few():
    several = [f"drive{d}_{k:04d}.png" for d in range(5) for k in range(6)]
    assert len(set(parts_of(several))) == 5
    one = [f"frame_{k:04d}.png" for k in range(20)]
    parts = parts_of(one)
    assert len(set(parts)) == 4
    assert parts == sorted(parts, key=parts.index), "stretches, one after the other"
    assert len(set(parts_of(["a.png"]))) == 1
    assert parts_of([]) == []
