"""How a task is trained: every field resolved, checked at construction."""

from __future__ import annotations

from dataclasses import dataclass

from geopretrain.errors import ConfigError, one_of
from geopretrain.training.schedules import SCHEDULES


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Settings of the training loop; raises ConfigError where one is impossible."""

    steps: int
    """Optimisation steps."""
    batch_size: int
    """Samples per step."""
    learning_rate: float
    """Highest learning rate of Adam."""
    schedule: str = "constant"
    """``constant``, ``step``, ``halve``, ``cosine`` or ``warm_cosine`` (see ``learning_rate_factor``)."""
    warmup_steps: int = 0
    """Steps over which the rate rises linearly."""
    precision: str = "auto"
    """``fp32``, ``bf16`` (autocast) or ``auto``: bf16 where the machine computes in it."""
    channels_last: bool = True
    """Memory order of images and filters; faster convolutions."""
    seed: int = 0
    """Fixes everything random in the run."""
    validate_every: int = 0
    """Steps between validations; 0: only those of ``validate_at``."""
    validate_at: tuple[int, ...] = ()
    """Further steps after which to validate; the last step always is one."""
    checkpoint_every: int = 100
    """Steps between writings of ``last.ckpt``."""
    log_every: int = 10
    """Steps that are averaged into one line of the log."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``mps`` or ``auto``."""
    threads: int | None = None
    """Threads of the processor to compute with; None: PyTorch's own choice."""
    progress: bool = True
    """Show progress and sentences."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("checkpoint_every", 1), ("log_every", 1)):
            _at_least(name, getattr(self, name), least)
        for name in ("warmup_steps", "seed", "validate_every"):
            _at_least(name, getattr(self, name), 0)
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError(
                f"lr must be a positive number, not {self.learning_rate}. Usual values are 1e-5 to 1e-3."
            )
        if self.threads is not None:
            _at_least("threads", self.threads, 1)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("precision", self.precision, ("auto", "fp32", "bf16"))
        one_of("device", self.device, ("auto", "cpu", "cuda", "mps"))

    def validates_at(self, step: int) -> bool:
        """Return whether a validation follows ``step`` (1-based)."""
        regular = self.validate_every > 0 and step % self.validate_every == 0
        return regular or step in self.validate_at or step == self.steps


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {value!r}.")


def resolve_device(name: str) -> str:
    """Return ``cuda``, ``mps`` or ``cpu``; raises ConfigError where the machine lacks what was asked for."""
    import torch

    one_of("device", name, ("auto", "cpu", "cuda", "mps"))
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if has[device])
    if not has[name]:
        raise ConfigError(f"This machine has no usable '{name}' device. Use --device auto or --device cpu.")
    return name


def resolve_precision(name: str, device: str) -> str:
    """Return ``bf16`` or ``fp32``; ``auto`` takes bf16 where the hardware computes in it."""
    import torch

    one_of("precision", name, ("auto", "fp32", "bf16"))
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # no public name for it yet
    return "bf16" if device == "cpu" and has_bf16() else "fp32"
