"""Images made of two, by which of them is nearer.

Random numbers are drawn from torch's global generator on the CPU, as in `geopretrain.data.augment.batches`.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError


def depth_mix(batch: LabelledBatch, chance: float, margin: float) -> LabelledBatch:
    """Return a batch in which some images show, wherever it is nearer, another image of the batch.

    DepthMix of Hoyer et al., *Three Ways to Improve Semantic Segmentation with Self-Supervised Depth
    Estimation*, CVPR 2021: pixel and label are those of the first image where its depth is less than that of
    the second one, and a small number, which decides for the first where both lie in the same plane (road,
    sky), in spite of noise; so what is put in occludes what is behind it, and stands behind what is in front.

    Our choice: depths are compared by ``nearness``, inverse depth from 0 to 1 within each image, because they
    are known up to scale at best. The other images are the batch moved on by a random number of places, so
    that none is mixed with itself. What lies beyond an image (nearness below 0) is behind everything.

    Args:
        batch: images ``B 3 H W`` with ``labels`` and ``nearness``, B at least 2.
        chance: of an image to be mixed.
        margin: of nearness, that the other image must be nearer by; at most 1.

    Raises:
        ConfigError: a single image.
        DataError: the batch has no nearness.
    """
    near, labels, count = batch.required("nearness"), batch.required("labels"), len(batch)
    if count < 2:
        raise ConfigError("DepthMix puts two images of a batch together, and this one holds a single image.")
    mixed = torch.rand(count) < chance
    other = ((torch.arange(count) + torch.randint(1, count, ())) % count).to(near.device)
    shows_other = (near[other] - near > margin) & mixed.to(near.device)[:, None, None, None]
    return replace(
        batch,
        images=torch.where(shows_other, batch.images[other], batch.images),
        labels=torch.where(shows_other[:, 0], labels[other], labels),
        nearness=torch.where(shows_other, near[other], near),
    )
