"""Pure arithmetic through ``torch.compile``, where the user asks for it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from geopretrain.errors import ConfigError


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled for the shapes it meets.

    Raises:
        ConfigError: there is no C++ compiler.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"Compiling the loss needs a C++ compiler, and {compiler} was not found. "
            "Install one, name it in the environment variable CXX, or do not compile the loss."
        )
    return torch.compile(function, dynamic=False)
