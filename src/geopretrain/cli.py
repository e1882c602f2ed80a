"""The command line: every command is one call of the public Python API, with the same names and defaults."""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geopretrain.errors import ConfigError, UserError, nearest_name


@dataclass(frozen=True)
class Command:
    """One command of the command line.

    Attributes:
        target: ``module:function`` it calls.
        summary: what it does, in a line.
        positionals: parameters that need no ``--name``.
        shows: what is printed of the returned value; None = the function has said everything.
        continues: how to go on after an interruption.
    """

    target: str
    summary: str
    positionals: tuple[str, ...] = ()
    shows: Callable[[Any], str] | None = None
    continues: str = ""

    def function(self) -> Callable[..., Any]:
        """Import what the command calls."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


COMMANDS = {
    "data inspect": Command(
        "geopretrain.data.prepare.inspection:inspect",
        "say in words what a video, folder or data set is and whether it is fit for training",
        ("path",),
        lambda inspection: inspection.text(),
    ),
    "data prepare": Command(
        "geopretrain.data.prepare.preparation:prepare",
        "decode videos once and pick frames by measured motion into a store",
        ("inputs",),
        lambda store: (
            f"Next: geopretrain pretrain {'depth_supervised' if store.still_images else 'monodepth'} "
            f"--data {shlex.quote(str(store.path))} --out runs/depth"
        ),
        continues="Repeat the command to continue.",
    ),
    "data pseudo-depth": Command(
        "geopretrain.commands.pseudo_depth:pseudo_depth",
        "let a depth model look at every frame of a store, for methods that learn from its depth",
        ("store",),
        continues="Repeat the command to continue.",
    ),
    "pretrain": Command(
        "geopretrain.commands.pretrain:pretrain", "pre-train a backbone on unlabelled video", ("method",)
    ),
    "finetune": Command(
        "geopretrain.commands.finetune_segmentation:finetune",
        "fine-tune a backbone with few labelled images",
        ("task",),
    ),
    "finetune depth": Command(
        "geopretrain.commands.finetune_depth:finetune_depth",
        "train a depth network from any initialisation on part of the data, without labels, and score it",
    ),
    "evaluate": Command(
        "geopretrain.commands.evaluate:evaluate",
        "score predicted depth or flow against what was measured, under a named protocol",
        ("run", "data"),
    ),
    "compare": Command(
        "geopretrain.study.compare:compare",
        "fine-tune several initialisations with shared splits and seeds, and report what differs",
        continues="Repeat the command to continue; what is finished is kept.",
    ),
    "predict": Command(
        "geopretrain.commands.predict:predict", "show what a run sees in images or videos", ("run", "inputs")
    ),
    "demo": Command(
        "geopretrain.recipes.demo:run",
        "run the main job on built-in synthetic worlds and open its report",
        shows=lambda report: f"The report is {report}.",
        continues="Repeat the command to continue; what is finished is kept.",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for an error the user can mend, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _run(words)
    except UserError as error:
        if debug:
            raise
        return _complain(str(error))
    except KeyboardInterrupt:
        if debug:
            raise
        print(f"\nInterrupted. {_how_to_continue(words)}".rstrip(), file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return _complain(
            f"{error.filename or 'A file'}: {error.strerror}. Free some space or choose another folder."
        )


def _complain(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        from geopretrain import __version__

        print(f"geopretrain {__version__}")
        return 0
    name, rest = _split(words)
    if name is None:
        print(overview(words[0]))
        return 0
    from geopretrain.config.arguments import parse

    command = COMMANDS[name]
    function = command.function()
    arguments = parse(function, rest, command=name, positionals=command.positionals)
    if arguments is not None:
        result = function(**arguments)
        if command.shows is not None:
            print(command.shows(result))
    return 0


def _split(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the command's name and its arguments; no name where a group such as ``data`` stands alone."""
    for length in (2, 1):
        if (name := " ".join(words[:length])) in COMMANDS:
            return name, words[length:]
    group = [name.split()[1] for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        return None, []
    if group:
        hint = nearest_name(words[1], group)
        raise ConfigError(f"Unknown command '{words[0]} {words[1]}'.{hint} Known: {', '.join(group)}.")
    known = dict.fromkeys(name.split()[0] for name in COMMANDS)
    raise ConfigError(
        f"Unknown command '{words[0]}'.{nearest_name(words[0], known)} Known: {', '.join(known)}."
    )


def overview(group: str = "") -> str:
    """Return the help of the whole command line, or of a group of commands."""
    shown = {name: command for name, command in COMMANDS.items() if name.startswith(group)}
    width = max(len(name) for name in shown)
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in shown.items()]
    return "\n".join(
        [
            "usage: geopretrain COMMAND [options]",
            "",
            "Turn unlabelled video into a pre-trained backbone, and see with honest numbers if it helped.",
            "",
            "commands:",
            *lines,
            "",
            "`geopretrain COMMAND --help` lists its options; --debug shows where an error came from.",
        ]
    )


def _how_to_continue(words: list[str]) -> str:
    try:
        name, _ = _split(words)
    except ConfigError:
        return ""
    if name in ("pretrain", "finetune", "finetune depth"):
        again = [word for word in words if word not in ("--resume", "--overwrite")]
        return f"To continue: geopretrain {shlex.join(again)} --resume"
    return COMMANDS[name].continues if name else ""


if __name__ == "__main__":
    sys.exit(main())
