import numpy as np
import pytest
import torch

from geopretrain.data.augment.batches import (
    apply_colour_maps,
    augment_clip,
    augment_labelled,
    colour_maps,
    pyramid,
)
from geopretrain.data.batches import ClipBatch, LabelledBatch

INTRINSICS = torch.tensor([[[50.0, 0, 20.25], [0, 55, 9], [0, 0, 1]]])


def clip_batch(size=4, frames=3, height=20, width=36, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (size, frames, 3, height, width), generator=generator, dtype=torch.uint8)
    return ClipBatch(images, INTRINSICS.repeat(size, 1, 1), (0, -1, 1), torch.arange(size))


def test_augment_without_chance_only_converts():
    batch = clip_batch()
    out = augment_clip(batch, flip=0.0, jitter=0.0)
    assert torch.equal(out.images, batch.images.float() / 255)
    assert torch.allclose(out.jittered, out.images, atol=1e-6)
    assert torch.equal(out.intrinsics, batch.intrinsics)
    assert batch.images.dtype == torch.uint8  # the batch itself is left alone
    assert batch.jittered is None


def test_augment_flip_mirrors_and_moves_the_principal_point():
    batch = clip_batch()
    out = augment_clip(batch, flip=1.0, jitter=0.0)
    assert torch.equal(out.images, batch.images.flip(-1).float() / 255)
    assert torch.equal(out.intrinsics[:, 0, 2], 35 - batch.intrinsics[:, 0, 2])  # W - 1 - cx
    assert torch.equal(out.intrinsics[:, 1], batch.intrinsics[:, 1])
    twice = augment_clip(out, flip=1.0, jitter=0.0)
    assert torch.equal(twice.images, batch.images.float() / 255)
    assert torch.allclose(twice.intrinsics, batch.intrinsics)


def test_augment_flip_keeps_the_colour_of_a_projected_point():
    """A point mirrored in x and seen by the mirrored camera lands on the same colour."""
    batch = clip_batch(size=1)
    out = augment_clip(batch, flip=1.0, jitter=0.0)
    for u, v in ((3, 5), (20, 0), (35, 19), (0, 7)):
        x, y = (u - 20.25) / 50, (v - 9) / 55  # at depth 1
        mirrored = out.intrinsics[0] @ torch.tensor([-x, y, 1.0])
        column, row = (int(w) for w in mirrored[:2].round())
        assert torch.equal(out.images[0, 0, :, row, column], batch.images[0, 0, :, v, u].float() / 255)


def test_augment_jitter_is_one_map_for_all_frames_of_a_sample():
    torch.manual_seed(3)
    batch = clip_batch(size=3)
    batch.images[:, 1:] = batch.images[:, :1]  # the same picture three times
    batch.images[1] = batch.images[0]  # and two equal samples
    out = augment_clip(batch, flip=0.0, jitter=1.0)
    assert torch.equal(out.jittered[:, 0], out.jittered[:, 1])
    assert torch.equal(out.jittered[:, 0], out.jittered[:, 2])
    assert not torch.allclose(out.jittered[0], out.jittered[1], atol=1e-2)
    assert torch.equal(out.images, batch.images.float() / 255)  # the loss sees the true colours
    assert out.jittered.min() >= 0
    assert out.jittered.max() <= 1


def test_augment_draws_from_the_global_generator():
    batch = clip_batch(size=16)
    torch.manual_seed(7)
    first = augment_clip(batch)
    torch.manual_seed(7)
    second = augment_clip(batch)
    third = augment_clip(batch)
    assert torch.equal(first.jittered, second.jittered)
    assert torch.equal(first.intrinsics, second.intrinsics)
    assert not torch.equal(first.jittered, third.jittered)


def test_augment_probabilities():
    torch.manual_seed(0)
    batch = clip_batch(size=400, frames=1, height=2, width=4)
    out = augment_clip(batch, flip=0.25, jitter=0.75)
    flipped = (out.intrinsics[:, 0, 2] != batch.intrinsics[:, 0, 2]).float().mean()
    jittered = ((out.jittered - out.images).abs().amax((1, 2, 3, 4)) > 1e-4).float().mean()
    assert flipped == pytest.approx(0.25, abs=0.07)
    assert jittered == pytest.approx(0.75, abs=0.07)


ONE = torch.ones(1)
MEAN = torch.tensor([[0.2, 0.4, 0.6]])
GREY_OF_MEAN = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6


def mapped(colour, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0):
    maps = colour_maps(ONE * brightness, ONE * contrast, ONE * saturation, ONE * hue, MEAN)
    image = torch.tensor(colour).view(1, 1, 3, 1, 1)
    return apply_colour_maps(image, *maps).flatten().tolist()


def test_augment_colour_maps_by_hand():
    colour = [0.2, 0.5, 0.3]
    grey = 0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.3
    assert mapped(colour) == pytest.approx(colour, abs=1e-6)
    assert mapped(colour, brightness=1.2) == pytest.approx([0.24, 0.6, 0.36], abs=1e-6)
    expected = [0.8 * c + 0.2 * GREY_OF_MEAN for c in colour]
    assert mapped(colour, contrast=0.8) == pytest.approx(expected, abs=1e-6)
    expected = [1.2 * c - 0.2 * grey for c in colour]
    assert mapped(colour, saturation=1.2) == pytest.approx(expected, abs=1e-6)
    # brightness comes first, so contrast pulls towards the grey of the brightened mean
    expected = [0.8 * 1.1 * c + 0.2 * 1.1 * GREY_OF_MEAN for c in colour]
    assert mapped(colour, brightness=1.1, contrast=0.8) == pytest.approx(expected, abs=1e-6)


def test_augment_hue_rotation_keeps_grey_and_luma():
    assert mapped([0.4, 0.4, 0.4], hue=0.1) == pytest.approx([0.4] * 3, abs=1e-5)
    before, after = [0.5, 0.4, 0.3], mapped([0.5, 0.4, 0.3], hue=0.1)
    luma = np.array([0.299, 0.587, 0.114])
    assert after != pytest.approx(before, abs=0.02)
    assert luma @ after == pytest.approx(luma @ before, abs=1e-4)
    turned = mapped(mapped([0.5, 0.4, 0.3], hue=0.1), hue=-0.1)
    assert turned == pytest.approx(before, abs=1e-5)


def test_augment_saturation_zero_is_grey_and_clamps():
    values = mapped([0.2, 0.5, 0.3], saturation=0.0)
    assert values == pytest.approx([values[0]] * 3, abs=1e-6)
    assert mapped([0.9, 0.9, 0.9], brightness=1.2) == [1.0, 1.0, 1.0]


def test_augment_labelled_mirrors_image_and_labels_together():
    images = torch.randint(0, 256, (2, 3, 6, 8), dtype=torch.uint8)
    labels = torch.randint(0, 5, (2, 6, 8))
    out = augment_labelled(LabelledBatch(images, labels, torch.arange(2)), flip=1.0)
    assert torch.equal(out.labels, labels.flip(-1))
    assert torch.equal(out.images, images.flip(-1).float() / 255)
    assert out.labels.dtype == torch.int64
    same = augment_labelled(LabelledBatch(images, labels, torch.arange(2)), flip=0.0)
    assert torch.equal(same.labels, labels)


def test_augment_pyramid_averages_areas():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    levels = pyramid(image, 3)
    assert [tuple(level.shape[-2:]) for level in levels] == [(4, 4), (2, 2), (1, 1)]
    assert levels[1].flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert levels[2].item() == 7.5
    assert levels[0] is image
