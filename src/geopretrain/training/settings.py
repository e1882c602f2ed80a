"""How a task is trained: every setting of the loop resolved, checked at construction."""

from __future__ import annotations

from geopretrain.errors import OptionError
from geopretrain.schema import (
    Best,
    Count,
    Decay,
    Device,
    Few,
    Keep,
    Natural,
    NonNegative,
    OptimizerName,
    Positive,
    Precision,
    Schedule,
    Seed,
    Strategy,
    Threads,
    Unit,
    checked,
)


@checked
class LoopSettings:
    """Settings of the training loop; raises ConfigError where one is impossible."""

    steps: Count
    """Optimisation steps."""
    batch_size: Count
    """Samples of a step."""
    lr: Positive
    """Highest learning rate."""
    schedule: Schedule = "constant"
    """Course of the learning rate (see ``learning_rate_factor``)."""
    lr_floor: Unit = 0.0
    """Lowest learning rate of the schedule, as a fraction of the highest."""
    warmup_steps: Natural = 0
    """Steps over which the rate rises linearly."""
    optimizer: OptimizerName = "adam"
    """``adam``, ``adamw`` or ``sgd``."""
    momentum: Unit = 0.9
    """Of ``sgd``."""
    beta2: Unit = 0.999
    """Of Adam and AdamW: how slowly the mean of squared gradients changes (MAE: 0.95)."""
    weight_decay: NonNegative = 0.0
    """Spares biases and the parameters of normalisation layers."""
    layer_decay: Positive = 1.0
    """Factor on the learning rate from each layer of the backbone to the one below it."""
    backbone_lr: Unit = 1.0
    """Factor on all rates of the backbone; 0: it stands still."""
    backbone_from: Natural = 0
    """Steps over which the backbone stands still before it learns."""
    freeze_norms: bool = False
    """Keep the batch statistics of the backbone."""
    feature_distance: NonNegative = 0.0
    """Weight of the distance of the backbone's last features from the first ones."""
    l2_sp: NonNegative = 0.0
    """Weight of half the squared distance of the backbone's weights from the first ones."""
    clip_norm: Positive | None = None
    """Largest norm of all gradients together."""
    accumulate: Count = 1
    """Parts that a step's batch is computed in, one after the other."""
    devices: Few = 1
    """Processes on this machine that share the batch of a step."""
    num_nodes: Few = 1
    """Machines with as many of them."""
    strategy: Strategy = "ddp"
    """``ddp`` (each process has the whole network) or ``fsdp`` (each has a part of it)."""
    checkpoint_activations: bool = False
    """Compute the forward pass of the backbone a second time for its gradients, to need less memory."""
    sync_batchnorm: bool = False
    """Batch statistics over all processes."""
    precision: Precision = "auto"
    """``fp32``, ``bf16`` or ``fp16`` (autocast), or ``auto``: bf16 where the machine computes in it."""
    channels_last: bool = True
    """Memory order of images and filters; faster convolutions."""
    ema: Decay | None = None
    """Fraction of a moving average of the weights that stays at each step; None: there is none."""
    monitor: str | None = None
    """Number of the validation that decides which weights are best."""
    monitor_best: Best = "auto"
    """Which value of it is: ``lowest``, ``highest`` or by its name (``auto``)."""
    patience: Count | None = None
    """Validations without a better value after which the training ends."""
    keep: Keep = "last"
    """Weights that are handed on: the ``last`` or the ``best`` ones."""
    seed: Seed = 0
    """Fixes everything random in the run."""
    validate_every: Natural = 0
    """Steps between validations; 0: only those of ``validate_at``."""
    validate_at: tuple[int, ...] = ()
    """Further steps after which to validate; the last step always is one."""
    checkpoint_every: Count = 100
    """Steps between writings of ``last.ckpt``."""
    log_every: Count = 10
    """Steps that are averaged into one line of the log."""
    loggers: tuple[str, ...] = ("tensorboard",)
    """Where else the numbers are written."""
    device: Device = "auto"
    """``cpu``, ``cuda``, ``mps`` or ``auto``."""
    threads: Threads | None = None
    """Threads of the processor to compute with; None: PyTorch's own choice."""

    def __post_init__(self) -> None:
        for name, asked in (("patience", self.patience is not None), ("keep", self.keep == "best")):
            if asked and not self.monitor:
                raise OptionError(name, "needs the number that decides: --monitor, e.g. validation/loss.")
        if self.backbone_from >= self.steps:
            raise OptionError(
                "backbone_from",
                f"must be below the steps of the run ({self.steps}); --backbone-lr 0 lets the backbone stand "
                "still all the time.",
            )
        if self.ema is not None and self.strategy == "fsdp":
            raise OptionError("ema", "needs the whole network on each device: use --strategy ddp.")
        if self.batch_size % self.parts == 0:
            return
        among = "" if self.processes == 1 else f" on each of {self.processes} devices"
        raise OptionError(
            "accumulate" if self.processes == 1 else "devices",
            f"must divide batch_size ({self.batch_size}), because a step's batch is computed in equal "
            f"parts; {'it is' if self.processes == 1 else 'they are'} {self.accumulate}{among}.",
        )

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.num_nodes

    @property
    def parts(self) -> int:
        """Equal parts that the batch of a step is computed in, by all processes together."""
        return self.accumulate * self.processes

    def validates_at(self, step: int) -> bool:
        """Return whether a validation follows ``step`` (1-based)."""
        regular = self.validate_every > 0 and step % self.validate_every == 0
        return regular or step in self.validate_at or step == self.steps
