"""The losses that take time as operators of torch, each beside a plain form of the same name and arguments.

On a CPU an operator is a kernel compiled by Numba (`kernels.cpu`); on any other device it is the plain form
in the modules above, with its gradient by `torch.func.vjp`. torch chooses by the device of the tensors.
"""

from geopretrain.losses.kernels.photometric import photometric_error
from geopretrain.losses.kernels.reprojection import minimum_reprojection
from geopretrain.losses.kernels.synthesis import synthesise_with_depth

__all__ = ["minimum_reprojection", "photometric_error", "synthesise_with_depth"]
