"""``--resume OUT``: what is not given comes from the run, and what is given must not make it another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from geopretrain.compute import resolve_device
from geopretrain.config.groups import run_to_resume
from geopretrain.config.saved import FILE, as_saved, read_saved
from geopretrain.console import console
from geopretrain.errors import RunFolderError
from geopretrain.ranks import Place, connect, place_among
from geopretrain.schema import given
from geopretrain.wording import counted

T = TypeVar("T")

FREE = frozenset(
    {
        *(
            "checkpoint_every",
            "log_every",
            "validate_every",
            "loggers",
        ),  # when and where something is written
        *("out", "resume", "overwrite", "progress"),  # of the call
        *("evaluate_data", "protocol", "flip"),  # scoring, after the training
        *("data", "auxiliary_data", "depth_from"),  # recognised by their content, see Dataset.fingerprint
    }
)
"""Options that may be given anew, because they do not change what is learned."""
LAST_DIGITS = ("device", "threads", "strategy")
"""Options that change the order of sums, and so the last digits."""
PARTS = ("devices", "num_nodes")
"""Options that change the parts that a step's batch is computed in."""


@dataclass(frozen=True)
class Resumed(Generic[T]):
    """How a run goes on.

    Attributes:
        options: those of the run, with what was given anew.
        sentences: what the user should know.
    """

    options: T
    sentences: tuple[str, ...] = ()


def resumed(
    options: T,
    saved: Mapping[str, Any],
    run: Path,
    *,
    setting_defaults: Callable[[T], Mapping[str, Any]] | None = None,
) -> Resumed[T]:
    """Return the options a run is continued with.

    Args:
        options: as they were given.
        saved: what the run keeps of its own, see ``config.saved.read_saved``.
        run: its folder, for the sentences.
        setting_defaults: returns those of the method of a run with these options, for comparing ``settings``
            that it left to them.

    Raises:
        RunFolderError: an option was given that would make it another run; both values are named.
    """
    cls, new = type(options), given(options)
    before = cls(**{**saved, "out": str(run), "resume": True})
    had, asked = as_saved("", before), as_saved("", options)
    sentences = []
    for name in new:
        if name in FREE or name == "settings" or asked[name] in (had[name], "auto"):
            continue
        old, value = had[name], asked[name]
        if name in LAST_DIGITS:
            sentences.append(_last_digits(name, old, value))
        elif name in PARTS:
            sentences.append(_other_parts(name, old, value))
        elif name == "steps":
            sentences.append(_more_steps(before, run, value))
        else:
            raise _another(run, name, old, value)
    if own := new.get("settings"):
        _check_settings(own, before, run, setting_defaults(before) if setting_defaults else {})
    kept = {one.name: getattr(before, one.name) for one in fields(cls)}  # type: ignore[arg-type]
    fresh = {n: v for n, v in new.items() if n != "settings" and (v != "auto" or n == "device")}
    return Resumed(cls(**{**kept, **fresh, "out": str(run), "resume": True}), tuple(sentences))


def continued(
    command: str, options: T, *, setting_defaults: Callable[[T], Mapping[str, Any]] | None = None
) -> T:
    """Return the options of a training: as given, or those of the run that it continues.

    Says what may make the result differ in its last digits.

    Args:
        command: as it is typed.
        options: of its class, with ``out`` and ``resume``.
        setting_defaults: as for `resumed`.

    Raises:
        RunFolderError: there is no run to continue, or it would become another one.
        OptionError: ``resume`` and ``out`` name different folders.
    """
    run, cls = run_to_resume(options), cast("Callable[..., T]", type(options))
    mine, finished = _place(command, options, run)
    if mine is not None and mine.rank > 0:
        console.hush()
    if mine is not None and mine.rank > 0 and not finished:
        connect(mine, resolve_device(getattr(options, "device", "auto")))
        run = run or Path(str(given(options)["out"]))
        options = cls(out=str(run), resume=True, progress=False)
    if run is None:
        return options
    if not (run / FILE).is_file():
        return _begun(options, run)
    saved = read_saved(run, command, type(options))
    found = resumed(options, saved, run, setting_defaults=setting_defaults)
    for sentence in found.sentences:
        console.warn(sentence)
    return found.options


def _place(command: str, options: Any, run: Path | None) -> tuple[Place | None, bool]:
    """Return the place of this process in a training on several devices, as it was asked for or saved.

    Besides, whether it has come to its end already, so that the first process will not train, either.
    """
    saved = {} if run is None or not (run / FILE).is_file() else read_saved(run, command, type(options))
    asked = {**saved, **given(options)}
    mine = place_among(int(asked.get("devices", 1)), int(asked.get("num_nodes", 1)))
    done = run is not None and (run / "results.json").is_file() and asked.get("steps") == saved.get("steps")
    return mine, done


def _begun(options: T, run: Path) -> T:
    """Return the options of a run that has not begun yet; a bare ``--resume`` beside ``--out`` begins it."""
    named = given(options).get("resume") not in (True, None)
    if named or given(options).get("data") is None:
        raise RunFolderError(
            f"There is no run in '{run}' to continue. Give the --out folder of a run that was interrupted, "
            "or begin one with --data and --out."
        )
    return type(options)(**{**given(options), "out": str(run), "resume": True})


def _last_digits(name: str, old: Any, value: Any) -> str:
    began = "PyTorch's own choice" if old is None else old
    return (
        f"The run began with {name} = {began} and goes on with {value}: the result may differ in the last "
        "digits from that of an uninterrupted run."
    )


def _other_parts(name: str, old: Any, value: Any) -> str:
    return (
        f"The run began with {name} = {old} and goes on with {value}: the batch of a step is computed in "
        "other parts, each with random numbers of its own, so the result differs from that of an "
        "uninterrupted run."
    )


def _more_steps(before: Any, run: Path, steps: int) -> str:
    """Return the sentence on more steps; raises where the run would be another one."""
    if steps < before.steps:
        raise RunFolderError(
            f"The run in '{run}' is one of {counted(before.steps, 'step')} and cannot become one of {steps}. "
            "Leave --steps away to continue it, or start another run in another --out."
        )
    if before.schedule != "constant":
        raise RunFolderError(
            f"The run in '{run}' cannot go on to {steps} steps: its learning rate follows the schedule "
            f"'{before.schedule}' over {before.steps} steps, so with more it would have been another run. "
            "Only runs with --schedule constant can be made longer; to train on from its weights use "
            f"--init {run} with another --out."
        )
    return f"The run had {counted(before.steps, 'step')} and goes on to {steps}."


def _check_settings(new: Mapping[str, Any], before: Any, run: Path, defaults: Mapping[str, Any]) -> None:
    for name, value in new.items():
        old = before.settings.get(name, defaults.get(name))
        if value != old:
            raise _another(run, name, old, value)


def _another(run: Path, name: str, old: Any, value: Any) -> RunFolderError:
    return RunFolderError(
        f"The run in '{run}' cannot be resumed: it has {name} = {old!r}, you asked for {value!r}. --resume "
        f"continues the very same run; to start another one from its weights use --init {run} with another "
        "--out."
    )
