"""What the released fine-tuning script of Lao et al. does differently from the paper.

The script's defects change its numbers, so they can be switched on together (``as_released=True``) to measure
by how much. Names used in our documentation:

- D1: gradients are never cleared, so every step uses the sum of all gradients so far.
- D2: a "frozen" encoder is only put into evaluation mode: its statistics stand still, its weights do not.
- D3: ImageNet baselines are normalised twice. Not reproduced: here normalisation travels with the weights.
- D4: label images are resized with Pillow's default filter, bicubic today, which invents ids along borders.
- D5: no augmentation, although the paper states horizontal flips.
- D6: no seed. Not reproduced: our runs are repeatable.

Besides, class 0 is ignored and never learned, the learning rate changes once per pass over the training
images instead of every step, and the training images are the first N instead of a random subset.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The class that stands for everything that is not learned.
IGNORED_CLASS = 0

#: Outputs of the released network: the raw Cityscapes label ids 0 to 33.
RAW_CLASSES = 34

#: Raw ids that the script turns into ``IGNORED_CLASS``; 19 classes remain.
DROPPED_IDS = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)


def released_labels(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Map raw label ids (any shape) as the script does: dropped ids and everything above 33 become 0."""
    table = np.arange(256, dtype=np.uint8)
    table[list(DROPPED_IDS)] = IGNORED_CLASS
    table[RAW_CLASSES:] = IGNORED_CLASS
    return table[labels]


def released_resize(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize raw label ids ``H W`` to ``size`` (h, w) as the script does (D4): bicubic, which mixes ids."""
    from PIL import Image

    resized = Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized)
