"""Weights made from a formula, as in the golden files."""

import numpy as np
import torch


def deterministic_weights(layout) -> dict[str, torch.Tensor]:
    """The rule of the golden files: a formula of the entry's position, kind and element index."""
    state = {}
    for k, (name, shape, _) in enumerate(layout):
        i = np.arange(int(np.prod(shape)))
        if name.endswith("num_batches_tracked"):
            values = np.zeros(1)
        elif name.endswith("running_mean"):
            values = 0.05 * np.sin(0.37 * i + k)
        elif name.endswith("running_var"):
            values = 1 + 0.1 * np.cos(0.37 * i + k) ** 2
        elif name.endswith("bias"):
            values = 0.01 * np.cos(0.37 * i + k)
        elif len(shape) == 4:
            values = np.sqrt(3 / np.prod(shape[1:])) * np.sin(0.37 * i + 0.001 * (i % 1009) ** 2 + k)
        elif len(shape) == 2:
            values = 0.01 * np.sin(0.37 * i + k)
        else:
            values = 1 + 0.1 * np.sin(0.37 * i + k)
        state[name] = torch.from_numpy(values.reshape(shape))
    return state
