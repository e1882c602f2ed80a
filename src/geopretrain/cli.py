"""The command line: every command is one call of the public Python API, with the same names and defaults."""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from geopretrain import interruption
from geopretrain.commands.table import COMMANDS, REPEAT, RESUME
from geopretrain.errors import ConfigError, OptionError, UserError, calm, nearest_name

BAD = 2
"""Exit code where the user has to mend something first."""
PARTLY = 3
"""Exit code where the rest is done and a part failed."""
_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR)
_MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0; 2 for an error the user can mend; 3 where a part failed (a training of a comparison, a file of many)
    and the rest is done; 128 and the number of the signal where one asked to stop: 130 for Ctrl-C.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or it warns of its own choices
    with interruption.answering() as answer:
        return _answered(argv, answer)


def _answered(argv: Sequence[str] | None, answer: interruption.Answer) -> int:
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what an encoding has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _run(words)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        if answer.asked is not None:  # whatever error has become of it
            return _say_interrupted(words, answer.asked)
        if isinstance(error, KeyboardInterrupt):
            return _say_interrupted(words, signal.SIGINT)
        return _say_error(error, words)


def _say_interrupted(words: list[str], number: int) -> int:
    with suppress(OSError):  # of a terminal that is gone
        print(f"\nInterrupted. {_how_to_continue(words)}".rstrip(), file=sys.stderr, flush=True)
    return 128 + int(number)


def _say_error(error: BaseException, words: list[str]) -> int:
    """Say in one line what the user can mend and return the exit code; anything else is raised again."""
    if isinstance(error, UserError):
        return _complain(_as_typed(error, words))
    if isinstance(error, BrokenPipeError):  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, OSError) and error.errno in _NAMES:
        return _complain(f"{error.filename or 'A name'}: {error.strerror}. Choose another name or folder.")
    if isinstance(error, OSError) and error.errno in _MENDABLE:
        return _complain(
            f"{error.filename or 'A file'}: {error.strerror}. Free some space or choose another folder."
        )
    raise error


def _as_typed(error: UserError, words: list[str]) -> str:
    """Return the sentence of an error; an option of the command is named as it is typed."""
    if not isinstance(error, OptionError):
        return str(error)
    from geopretrain.config.describe import options_of

    name, _ = _split(words)
    found = options_of(COMMANDS[name].options_class()) if name else []
    typed = next((option.typed for option in found if option.name == error.name), error.name)
    return f"{typed} {error.problem}"


def _complain(sentence: str) -> int:
    print(calm(f"error: {sentence}"), file=sys.stderr)
    return 2


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        from geopretrain.version import __version__

        print(f"geopretrain {__version__}")
        return 0
    name, rest = _split(words)
    if name is None:
        print(overview(words[0]))
        return 0
    from geopretrain.commands.early import check_early
    from geopretrain.config.command import with_data_found
    from geopretrain.config.parsing import parse
    from geopretrain.console import console
    from geopretrain.plugins import load_plugins

    load_plugins()
    command, console.left_out = COMMANDS[name], False
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    given = parse(name, command.options_class(), rest, summary=summary, epilog=lambda: _epilog(name, rest))
    interruption.check()
    if given is not None:
        with _naming_file(given):
            check_early(with_data_found(command.options_class()(**given)))
            result = command.function()(**given)
        if command.shows is not None:
            print(calm(command.shows(result), lines=True))
        return BAD if command.fails(result) else PARTLY if console.left_out else 0
    return 0


@contextmanager
def _naming_file(given: Mapping[str, Any]) -> Iterator[None]:
    """Say of a wrong option where it is from, where it was not typed."""
    try:
        yield
    except OptionError as error:
        if error.name not in getattr(given, "saved", ()):
            raise
        file = getattr(given, "file", "")
        raise OptionError(error.name, f"{error.problem} It was not typed: it is from '{file}'.") from error


SETTINGS_ELSEWHERE = {
    "pretrain": "pretrain METHOD",
    "finetune depth": "pretrain monodepth",
    "compare": "finetune segmentation",
}
"""Commands whose settings stand in the help of another one."""


def _epilog(name: str, words: Sequence[str]) -> str:
    """Return what the help of a command says of the settings of the method it is asked about."""
    from geopretrain.config.settings import settings_help
    from geopretrain.tasks.registry import PRETEXTS, TRANSFERS

    if name in ("finetune segmentation", "finetune detection"):
        return settings_help(name.removeprefix("finetune "), TRANSFERS)
    method = next((word for word in words if name == "pretrain" and word in list(PRETEXTS)), None)
    if method is not None:
        return settings_help(method, PRETEXTS)
    if name == "finetune depth" and "labels" in words:
        return settings_help("depth", TRANSFERS)
    elsewhere = SETTINGS_ELSEWHERE.get(name)
    return f"`geopretrain {elsewhere} --help` lists its --settings." if elsewhere else ""


def _split(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the command's name and its arguments; no name where a group such as ``data`` stands alone."""
    for length in (2, 1):
        if (name := " ".join(words[:length])) in COMMANDS:
            return name, words[length:]
    group = [name.split()[1] for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        return None, []
    if group and words[1].startswith("-"):
        raise ConfigError(f"'{words[0]}' needs a second word before the options: {', '.join(group)}.")
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
    """Return the sentence on what to do after an interruption; it says only what is so."""
    try:
        from geopretrain.config.parsing import parse

        name, rest = _split(words)
        given = parse(name, COMMANDS[name].options_class(), rest) if name else None
    except UserError:
        return ""
    except Exception:  # the signal came in the midst of an import, which is half done for ever
        return "Nothing had begun; repeat the command."
    if name is None or given is None:
        return ""
    folder, begun = given.get("out") or given.get("resume"), "geopretrain.folders" in sys.modules
    if begun:
        from geopretrain.folders import has_begun

        begun = isinstance(folder, str) and has_begun(folder)
    how = COMMANDS[name].continues
    if how == RESUME:
        if begun and os.path.exists(os.path.join(str(folder), "checkpoints", "last.ckpt")):
            return f"To continue: geopretrain {name} --resume {shlex.quote(str(folder))}"
        return f"{'Nothing was trained yet' if begun else 'The run had not begun'}; repeat the command."
    if how == REPEAT and given.get("overwrite") and name in ("compare", "demo", "reproduce") and begun:
        return "Repeat the command without --overwrite to continue; what is finished is kept."
    return how


if __name__ == "__main__":
    sys.exit(main())
