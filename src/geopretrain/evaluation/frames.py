"""What a network makes of single frames of a store: a feature vector of each, and the loss of its method."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from geopretrain.console import console
from geopretrain.data.batches import as_float
from geopretrain.data.dataset import IMAGES
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.networks import Backbone
from geopretrain.seeding import seed_step
from geopretrain.tasks.base import Task
from geopretrain.tasks.step import Step

Floats = NDArray[np.float64]


@torch.no_grad()
def features_of(
    store: FrameStore | LabelledSet, samples: NDArray[np.int64], backbone: Backbone, batch_size: int
) -> Floats:
    """Return the last features of each sample's frame, averaged over the image, ``N C``.

    Args:
        store: of the frames, or images.
        samples: numbers of samples.
        backbone: in evaluation mode, on its device.
        batch_size: frames at a time.
    """
    device, found = backbone.mean.device, []
    with console.progress("features", len(samples), unit="frames") as line:
        for first in range(0, len(samples), batch_size):
            part = samples[first : first + batch_size]
            images = store.read(part, IMAGES).images
            images = as_float(images[:, 0] if images.ndim == 5 else images).to(device)
            found.append(backbone(images)[-1].float().mean((-2, -1)).cpu().double().numpy())
            line.advance(len(part))
    return np.concatenate(found)


@torch.no_grad()
def losses_of(store: FrameStore, samples: NDArray[np.int64], task: Task, seed: int) -> Floats:
    """Return the loss of the task on each sample without augmentation, ``N``; NaN where one has no frames.

    Args:
        store: of the frames.
        samples: numbers of samples.
        task: in evaluation mode, on its device.
        seed: fixes the noise of the loss, which is the same for each.
    """
    usable = set(np.concatenate(list(store.splits(task.required).values())).tolist())
    found = np.full(len(samples), np.nan)
    with console.progress("losses", len(samples), unit="frames") as line, torch.random.fork_rng(devices=[]):
        for row, sample in enumerate(samples):
            if int(sample) in usable:
                seed_step(seed, 0)
                batch = store.read(samples[row : row + 1], task.required).to(str(task.device))
                found[row] = float(task.loss(task.eval_transform(batch), Step(0, 1))[0])
            line.advance(1)
    return found
