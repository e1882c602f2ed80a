"""Which device and precision to compute in, resolved for the machine at hand."""

from __future__ import annotations

from typing import cast, get_args

from geopretrain.errors import ConfigError, one_of
from geopretrain.schema import Device, Precision

DEVICES: tuple[str, ...] = get_args(Device)
PRECISIONS: tuple[str, ...] = get_args(Precision)


def resolve_device(name: str) -> Device:
    """Return ``cuda``, ``mps`` or ``cpu``; raises ConfigError where the machine lacks what was asked for."""
    import torch

    one_of("device", name, DEVICES)
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    order: tuple[Device, ...] = ("cuda", "mps", "cpu")
    if name == "auto":
        return next(device for device in order if has[device])
    if not has[name]:
        raise ConfigError(f"This machine has no usable '{name}' device. Use --device auto or --device cpu.")
    return cast(Device, name)


def resolve_precision(name: str, device: str) -> Precision:
    """Return ``bf16`` or ``fp32``; ``auto`` takes bf16 where the hardware computes in it."""
    import torch

    one_of("precision", name, PRECISIONS)
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
