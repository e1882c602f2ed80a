"""Which device and precision to compute in, resolved for the machine at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast, get_args

from geopretrain.errors import ConfigError, one_of
from geopretrain.schema import Device, Precision

_may_use_fewer: ContextVar[bool] = ContextVar("geopretrain_may_use_fewer_threads", default=False)

DEVICES: tuple[str, ...] = get_args(Device)
PRECISIONS: tuple[str, ...] = get_args(Precision)


def resolve_device(name: str) -> Device:
    """Return ``cuda``, ``mps`` or ``cpu``; raises ConfigError where the machine lacks what was asked for."""
    one_of("device", name, DEVICES)
    order: tuple[Device, ...] = ("cuda", "mps", "cpu")
    if name == "auto":
        return next(device for device in order if has_device(device))
    if not has_device(name):
        raise ConfigError(f"This machine has no usable '{name}' device. Use --device auto or --device cpu.")
    return cast(Device, name)


def has_device(name: str) -> bool:
    """Return whether this machine computes on ``cuda``, ``mps`` or ``cpu``."""
    import torch

    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}[name]


def visible_gpus() -> list[str]:
    """Return the GPUs that this program may use, as ``CUDA_VISIBLE_DEVICES`` names them; [] without CUDA."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [one.strip() for one in named[:count]] if any(named) else [str(k) for k in range(count)]


def resolve_precision(name: str, device: str) -> Precision:
    """Return ``bf16``, ``fp16`` or ``fp32``; ``auto`` takes bf16 where the hardware computes in it.

    Raises:
        ConfigError: the device does not train in it.
    """
    import torch

    one_of("precision", name, PRECISIONS)
    if name == "fp16" and device not in ("cpu", "cuda"):
        raise ConfigError(f"Training in fp16 is not possible on {device}. Use --precision bf16 or fp32.")
    if name != "auto":
        return cast(Precision, name)
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # no public name for it yet
    return "bf16" if device == "cpu" and has_bf16() else "fp32"


def use_threads(threads: int | None) -> None:
    """Compute with so many threads of the processor; None leaves PyTorch's own choice."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


@contextmanager
def fewer_threads_where_shared() -> Iterator[None]:
    """Let trainings inside take fewer threads where other programs use the processor.

    Another number of threads may add in another order: for results that need not repeat to the last bit. What
    follows a training inside, such as scoring, keeps its number; afterwards there are as many as before.
    """
    import torch

    threads, token = torch.get_num_threads(), _may_use_fewer.set(True)
    try:
        yield
    finally:
        _may_use_fewer.reset(token)
        torch.set_num_threads(threads)


def may_use_fewer_threads() -> bool:
    """Return whether this runs inside ``fewer_threads_where_shared``."""
    return _may_use_fewer.get()
