"""The linear probe, on labels that features can or cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import DataError
from geopretrain.evaluation.probe import LinearProbe
from geopretrain.networks import Backbone
from geopretrain.tasks.base import Task
from geopretrain.tasks.validation import LossValidation


class Bars:
    """Images of bright and dark bars, the class being the brightness; or nothing to do with it."""

    size, num_classes, path = (64, 64), 2, "bars"

    def __init__(self, related=True):
        rng = np.random.default_rng(0)
        bright = torch.from_numpy(rng.integers(0, 2, (20, 1, 4, 4))).repeat_interleave(16, 2)
        self.labels = bright.repeat_interleave(16, 3)[:, 0]
        self.images = (60 + 120 * self.labels[:, None].expand(-1, 3, -1, -1)).to(torch.uint8)
        if not related:
            self.images = torch.full_like(self.images, 100)
        self.labels[:, :4] = 255

    def splits(self, fields):
        return {"train": np.arange(12), "val": np.arange(12, 20)}

    def check(self, positions, fields):
        pass

    def read(self, positions, fields):
        return LabelledBatch(self.images[positions], self.labels[positions], torch.as_tensor(positions))


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone("test_resnet").eval()


def test_what_features_tell_is_found(backbone):
    probe = LinearProbe(Bars(), batch_size=5)
    found = probe.score(backbone)
    assert found["probe_miou"] > 0.8
    assert found == probe.score(backbone)
    assert "8 images of 'val'" in probe.protocol


def test_what_features_cannot_tell_is_not(backbone):
    assert LinearProbe(Bars(related=False)).score(backbone)["probe_pixel_accuracy"] < 0.65


def test_statistics_that_an_untrained_network_is_built_with_do_not_count(backbone):
    usual = LinearProbe(Bars()).score(backbone)
    with torch.no_grad():
        for name, values in backbone.named_buffers():
            if name.endswith("running_var"):
                values.fill_(50.0)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert LinearProbe(Bars()).score(backbone) == usual
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_the_layer_is_the_least_squares_solution(backbone):
    probe = LinearProbe(Bars(), batch_size=12)
    weights = probe._fit(backbone)
    from geopretrain.evaluation.probe import features_of

    batch = probe.data.read(np.arange(12), None)
    rows = features_of(backbone, batch).permute(0, 2, 3, 1).flatten(0, 2)
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], 1)
    labels = batch.labels[:, 4::8, 4::8].flatten()
    kept = labels != 255
    residual = torch.eye(2, dtype=torch.float64)[labels[kept]] - rows[kept] @ weights
    scale = rows[kept].square().sum(0)
    gradient = rows[kept].T @ residual - 1e-3 * scale[:, None] * weights
    assert gradient.abs().max() / (rows[kept].T @ residual).abs().max() < 1e-3


class Same(Task):
    """A loss of no interest, and a backbone."""

    name, Config = "same", dict

    def __init__(self, backbone):
        super().__init__()
        self.inside = backbone

    @property
    def backbone(self):
        return self.inside

    def train_transform(self, batch):
        return batch

    def eval_transform(self, batch):
        return batch

    def loss(self, batch, step):
        return torch.tensor(2.0), {}


def test_rank_me_is_reported_beside_the_loss(backbone):
    validation = LossValidation(Same(backbone), 0)
    validation.update(Bars().read(np.arange(6), None))
    validation.update(Bars().read(np.arange(6, 12), None))
    rich = validation.compute()
    assert rich["loss"] == 2.0
    flat = LossValidation(Same(backbone), 0)
    flat.update(Bars(related=False).read(np.arange(6), None))
    assert 1 <= flat.compute()["rank_me"] < rich["rank_me"] <= backbone.channels[-1]
    assert math.isfinite(rich["rank_me"])


def test_labels_that_cannot_be_meant_are_refused_as_for_a_transfer(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
        for k in range(2):
            pixels = np.random.default_rng([number, k]).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / "images" / f"{k}.png")
            mask = np.where(pixels[..., 0] > 100, 255, 0).astype(np.uint8)
            Image.fromarray(mask).save(tmp_path / split / "labels" / f"{k}.png")
    (tmp_path / "classes.txt").write_text("background\ncar\n")
    with pytest.raises(DataError, match="255: car"):
        LinearProbe.open(tmp_path)
