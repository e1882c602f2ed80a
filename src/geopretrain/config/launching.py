"""The options that say where trainings run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from geopretrain.config.groups import Settings
from geopretrain.config.several import Jobs, whole
from geopretrain.errors import OptionError, nearest_name, short
from geopretrain.schema import Device, checked

MINUTES_A_DAY = 24 * 60


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
    """What is asked of SLURM for each training, as name=value: partition, time (minutes, or 2:00:00), mem
    (16G), gpus (1, or a100:1), cpus, account, qos, constraint, nodelist; executor=local tries it without a
    queue."""

    jobs: Jobs = "auto"
    """Trainings at the same time; auto: one for each core, on GPUs one for each of them."""

    def check_launcher(self, device: Device) -> None:
        """Check what is asked of a launcher.

        Args:
            device: that is asked for.

        Raises:
            OptionError: it belongs to another launcher, SLURM cannot be asked for it, or it asks for GPUs
                that would not be used, or the other way round.
        """
        for name, owner in (("address", "ray"), ("slurm", "slurm")):
            if getattr(self, name) and self.launcher != owner:
                raise OptionError(name, f"is of --launcher {owner}.")
        gpus = gpus_of(read_slurm(self.slurm))
        if gpus and device in ("cpu", "mps"):
            raise OptionError("slurm", f"asks for gpus, which --device {device} would leave idle.")
        if gpus == 0 and device == "cuda":
            raise OptionError("slurm", "says gpus=0, and --device cuda needs one.")


def read_slurm(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of SLURM in plain form: time in minutes, numbers whole, everything else as text.

    Raises:
        OptionError: an unknown name, or a value that SLURM does not take.
    """
    found = {}
    for name, value in asked.items():
        if name not in SLURM:
            known = ", ".join(SLURM)
            raise OptionError("slurm", f"knows no '{name}'.{nearest_name(name, SLURM)} Known: {known}.")
        try:
            found[name] = SLURM[name](value)
        except ValueError as error:
            raise OptionError("slurm", f"{name} must be {error}, not {short(value)}.") from None
    return found


def gpus_of(asked: Mapping[str, Any]) -> int | None:
    """Return how many GPUs are asked for, as `read_slurm` has it; None where nothing is said of them."""
    return int(str(asked["gpus"]).rpartition(":")[2]) if "gpus" in asked else None


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ValueError("text")
    return str(value)


def _number(value: Any, least: int) -> int:
    try:
        number = whole(value)
    except ValueError:
        number = -1
    if number < least:
        raise ValueError(f"a whole number of at least {least}")
    return number


def _minutes(value: Any) -> int:
    """Return minutes of ``120``, or of ``HOURS:MINUTES:SECONDS`` and ``DAYS-HOURS[:MINUTES[:SECONDS]]``.

    SLURM's ``MINUTES:SECONDS`` is refused: who writes 2:00 may mean hours.
    """
    found = next((hit for form in _TIMES if (hit := re.fullmatch(form, str(value)))), None)
    try:
        if found is None:
            return _number(value, 1)
        days, hours, minutes, seconds = (int(part or 0) for part in found.group("d", "h", "m", "s"))
        return _number(days * MINUTES_A_DAY + hours * 60 + minutes + (seconds > 0), 1)
    except ValueError:
        raise ValueError(
            "minutes such as 120, or HOURS:MINUTES:SECONDS or DAYS-HOURS such as 2:00:00 or 1-12"
        ) from None


def _memory(value: Any) -> str:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+([KMGT]B?)?", text, re.IGNORECASE):
        raise ValueError("a number with its unit, such as 16G or 500M")
    return text


def _gpus(value: Any) -> int | str:
    """Return a number, or the kind of GPU and a number."""
    if isinstance(value, str) and re.fullmatch(r"[\w.-]+:[0-9]{1,4}", value, re.ASCII):
        return value
    try:
        return _number(value, 0)
    except ValueError as error:
        raise ValueError(f"{error}, or a kind and a number such as a100:1") from None


def _executor(value: Any) -> str:
    if value not in ("slurm", "local"):
        raise ValueError("slurm or local")
    return str(value)


_TIMES = (
    "(?P<d>)(?P<h>[0-9]{1,4}):(?P<m>[0-9]{1,2}):(?P<s>[0-9]{1,2})",
    "(?P<d>[0-9]{1,4})-(?P<h>[0-9]{1,2})(:(?P<m>[0-9]{1,2})(:(?P<s>[0-9]{1,2}))?)?",
)
SLURM: dict[str, Callable[[Any], Any]] = {
    "partition": _text,
    "time": _minutes,
    "mem": _memory,
    "gpus": _gpus,
    "cpus": lambda value: _number(value, 1),
    "account": _text,
    "qos": _text,
    "constraint": _text,
    "nodelist": _text,
    "executor": _executor,
}
"""What may be asked for, and how it is read; ``executor=local`` runs jobs as processes of this machine."""
