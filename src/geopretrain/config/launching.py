"""The options that say where trainings run."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from geopretrain.config.groups import Settings
from geopretrain.config.several import Jobs
from geopretrain.errors import OptionError
from geopretrain.schema import checked


@checked
class LauncherOptions:
    """Where trainings run."""

    launcher: Literal["local", "ray", "slurm"] = "local"
    """Where trainings run: in processes of this machine (local), on a Ray cluster (ray), or as jobs of SLURM
    (slurm); other machines must see the same folders."""
    address: str | None = None
    """Head of the Ray cluster, as HOST:PORT; left away: the one in $RAY_ADDRESS, or one of this machine's
    own."""
    slurm: Settings = field(default_factory=dict)
    """What is asked of SLURM for each training, as name=value: partition, time (minutes), mem, gpus, cpus,
    account, qos, constraint, nodelist; executor=local tries it without a queue."""

    jobs: Jobs = "auto"
    """Trainings at the same time; auto: one for each core, on GPUs one for each of them."""

    def check_launcher(self) -> None:
        """Raise OptionError for what belongs to another launcher."""
        for name, owner in (("address", "ray"), ("slurm", "slurm")):
            if getattr(self, name) and self.launcher != owner:
                raise OptionError(name, f"is of --launcher {owner}.")
