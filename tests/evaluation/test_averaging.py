"""Windows, scales and mirrored images: what is averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.errors import ConfigError, OptionError
from geopretrain.evaluation.averaging import AveragedTask, Averaging, windows
from geopretrain.tasks.base import SegmentationTask
from geopretrain.tasks.predictions import SegmentationPrediction


class Seen(SegmentationTask):
    """Class 1 where the image is bright, or by the place in the window; keeps what it is shown."""

    class_names = ("dark", "bright")
    class_colours = np.zeros((2, 3), np.uint8)

    def __init__(self, by_place=False):
        super().__init__()
        self.by_place, self.shown = by_place, []

    def predict(self, images):
        self.shown.append(tuple(images.shape[-2:]))
        bright = images[:, 0]
        if self.by_place:
            bright = torch.arange(images.shape[-1]).expand_as(bright) / images.shape[-1]
        return SegmentationPrediction(torch.stack([0 * bright, 4 * bright - 2], 1))


def averaged(images, by_place=False, **options):
    task = Seen(by_place)
    return AveragedTask(task, Averaging(**options)).predict(images), task


def test_windows_cover_the_image_once_or_more_and_end_at_its_border():
    found = list(windows((10, 7), (4, 4), (3, 2)))
    covered = np.zeros((10, 7), int)
    for rows, columns in found:
        assert (rows.stop - rows.start, columns.stop - columns.start) == (4, 4)
        covered[rows, columns] += 1
    assert covered.min() == 1
    assert [rows.start for rows, _ in found] == [0] * 3 + [3] * 3 + [6] * 3
    assert [columns.start for _, columns in found[:3]] == [0, 2, 3]
    assert list(windows((3, 3), (8, 8), (8, 8))) == [(slice(0, 3), slice(0, 3))]


def test_by_default_the_task_is_asked_once():
    images = torch.rand(2, 3, 8, 12)
    found, task = averaged(images)
    assert task.shown == [(8, 12)]
    assert torch.equal(found.logits, Seen().predict(images).logits)


def test_a_scale_that_the_network_cannot_have_is_named():
    class Choosy(Seen):
        def predict(self, images):
            if images.shape[-1] < 8:
                raise ConfigError("The images are too small.")
            return super().predict(images)

    images = torch.rand(1, 3, 8, 12)
    with pytest.raises(OptionError, match=r"scales cannot have 0\.5: The images are too small"):
        AveragedTask(Choosy(), Averaging(scales=(1.0, 0.5))).predict(images)
    with pytest.raises(ConfigError, match=r"^The images are too small"):
        AveragedTask(Choosy(), Averaging(window=(4, 4))).predict(images)


def test_what_is_the_same_in_each_window_is_the_same_in_all():
    images = torch.rand(2, 3, 8, 12)
    found, task = averaged(images, window=(4, 6), stride=2, flip=True)
    torch.testing.assert_close(found.logits.softmax(1), Seen().predict(images).logits.softmax(1))
    assert set(task.shown) == {(4, 6)}
    assert len(task.shown) == 3 * 4 * 2


def test_probabilities_of_windows_are_averaged_by_hand():
    found, _ = averaged(torch.zeros(1, 3, 2, 3), by_place=True, window=(2, 2), stride=1)
    left, right = (torch.tensor([0.0, 4 * place - 2]).softmax(0)[1] for place in (0, 0.5))
    expected = [left, (right + left) / 2, right]
    assert found.logits.softmax(1)[0, 1, 0].tolist() == pytest.approx([value.item() for value in expected])


def test_mirrored_images_are_mirrored_back():
    found, _ = averaged(torch.zeros(1, 3, 2, 2), by_place=True, flip=True)
    one, other = (torch.tensor([0.0, 4 * place - 2]).softmax(0)[1] for place in (0, 0.5))
    assert found.logits.softmax(1)[0, 1, 0].tolist() == pytest.approx([((one + other) / 2).item()] * 2)


def test_scales_are_shown_and_brought_back():
    images = torch.rand(1, 3, 8, 12)
    found, task = averaged(images, scales=(0.5, 1.0, 1.5))
    assert task.shown == [(4, 6), (8, 12), (12, 18)]
    assert found.logits.shape == (1, 2, 8, 12)
    torch.testing.assert_close(found.logits.exp().sum(1), torch.ones(1, 8, 12))


def test_words_and_refusals():
    assert Averaging().words == Averaging().slug == ""
    chosen = Averaging((64, 96), None, (0.5, 1.0), True)
    assert chosen.words == (
        "probabilities averaged over windows of 64x96 every 42x64 px and scales 0.5, 1 and mirrored images"
    )
    assert chosen.slug == "-window64x96-42x64-scales0.5-1-flip"
    with pytest.raises(OptionError, match="stride is that of windows"):
        Averaging(stride=8)
    with pytest.raises(OptionError, match="stride must be at most the window"):
        Averaging((8, 12), 9)
