"""The command line of a class of options, by jsonargparse: what was given, as the keywords of its command.

Values stay text here. They are read and checked where all values are, in the class of options.
"""

from __future__ import annotations

import re
from argparse import Action, ArgumentError, HelpFormatter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser

from geopretrain.config.describe import Option, options_of
from geopretrain.config.overriding import beside
from geopretrain.config.saved import read_saved
from geopretrain.console import console
from geopretrain.errors import ConfigError, OptionError, nearest_name, plain_text
from geopretrain.schema import RENAMED

OTHER = "Other options"


def parse(
    command: str,
    options: type,
    words: Sequence[str],
    *,
    summary: str = "",
    epilog: Callable[[], str] = str,
) -> dict[str, Any] | None:
    """Return what ``words`` give for the command, or None where only help was wanted (and printed).

    Args:
        command: as it is typed.
        options: its class of options.
        words: what was typed after it.
        summary: what the command does, for its help.
        epilog: returns what stands at the end of its help; called for help only.

    Raises:
        ConfigError: an unknown option (the nearest is named), a missing value, or a --config that cannot be
            read or is of another command.
    """
    if any(word in ("-h", "--help") for word in words):
        build_parser(command, options, summary=summary, epilog=epilog()).print_help()
        return None
    parser = build_parser(command, options)
    typed: dict[str, Any] = parser.parse_args(list(words), defaults=False).as_dict()
    if parser.file is None:
        return typed
    kept, left = beside(parser.saved, typed, command)
    with console.showing(str(typed.get("progress")).lower() != "false"):
        for name, others in left.items():
            console.say(_left_out(parser.file, name, others))
    return Given({**kept, **typed, **_settings(kept)}, file=parser.file, saved=kept)


class Given(dict[str, Any]):
    """What is given for a command, some of it by a file.

    Attributes:
        file: that ``--config`` named.
        saved: what was taken of it.
    """

    def __init__(self, values: Mapping[str, Any], *, file: str, saved: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.file, self.saved = file, saved


def _settings(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the file, among which those typed are already."""
    return {"settings": kept["settings"]} if "settings" in kept else {}


def _left_out(file: str, name: str, others: Sequence[str]) -> str:
    """Return the sentence about what is not taken of a file."""
    dashed = ", ".join(one.replace("_", "-") for one in others)
    return (
        f"As {name.replace('_', '-')} differs, what '{file}' holds of {dashed} is not taken. What is left "
        "away follows from the other options."
    )


def build_parser(command: str, options: type, *, summary: str = "", epilog: str = "") -> CommandParser:
    """Return the parser of a command, its options in the groups in which they are written."""
    found = options_of(options)
    names = [f"{one.name.upper()}{'...' if one.many else ''}" for one in found if one.positional]
    parser = CommandParser(
        prog=f"geopretrain {command}",
        usage=" ".join(["geopretrain", command, *names, "[options]"]),
        description=summary,
        epilog=epilog,
        formatter_class=Help,
        print_config=None,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.command, parser.options = command, options
    made = {
        title: parser.add_argument_group(title) for title in (*dict.fromkeys(o.group for o in found), OTHER)
    }
    for option in found:
        _add(made[option.group], option)
    made[OTHER].add_argument(
        "--config",
        action=ConfigFile,
        metavar="FILE",
        help="take settings from the config.yaml of a run, or from its folder; what is typed here wins",
    )
    return parser


def _add(group: Any, option: Option) -> None:
    """Add an option; none is required here, because a --config may give it."""
    text = plain_text(option.description)
    if option.has_default and not (option.flag and option.default is False):
        text += f" (default: {option.default_text})"
    more: dict[str, Any] = {"help": text.replace("%", "%%")}
    if option.many:
        more |= {"nargs": "+", "action": OneOrMany}
    if option.positional:
        if option.choices:
            more["help"] = f"{', '.join(option.choices)}. {more['help']}"
        group.add_argument(option.name, metavar=option.name.upper(), **more).required = False
        return
    if option.flag:
        more |= {"nargs": "?", "const": "true"}
    if option.flag and not option.words:
        more["type"] = partial(_truth, option)
    names = dict.fromkeys((option.typed, f"--{option.name}"))  # --batch_size is understood, too
    group.add_argument(*names, dest=option.name, metavar=option.metavar, **more)


def _truth(option: Option, value: Any) -> Any:
    """Return the value of a flag, which may be a word that was meant for something else."""
    if str(value).lower() not in ("true", "false"):
        raise OptionError(
            option.name,
            f"must be true or false, not {value!r}. Put {option.typed} last, or write {option.typed}=true.",
        )
    return value


class OneOrMany(Action):
    """A value that is typed alone is no list."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Keep the value or the values."""
        cfg[self.dest] = values[0] if len(values) == 1 else values


class ConfigFile(ActionConfigFile):
    """``--config``: what a saved configuration gives, below what is typed, wherever that stands."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Keep what the file gives; of several files the first one wins."""
        parser.saved = {**read_saved(values, parser.command, parser.options), **parser.saved}
        parser.file = parser.file or str(values)


class CommandParser(ArgumentParser):
    """Says what is wrong in one sentence, as an error that is raised."""

    command = ""
    options: type = object
    file: str | None = None
    saved: Mapping[str, Any] = MappingProxyType({})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError for what the words cannot mean."""
        known = {name: action for action in self._actions for name in action.option_strings}
        for word in self.args:
            name = word.partition("=")[0]
            if word == "--":
                break
            if re.match(r"-[^\d.]", word) and name not in known:
                names = [name for name in known if name.startswith("--") and "_" not in name]
                plain = name.lstrip("-").replace("-", "_")
                now = f"--{RENAMED[plain]}" if plain in RENAMED else name
                near = nearest_name(now.replace("_", "-"), names)
                raise ConfigError(f"Unknown option '{name}'.{near} Try --help for all options.")
        option = ex.argument_name if isinstance(ex, ArgumentError) else None
        if option:
            raise ConfigError(_without_value(option.split("/"), self.args))
        if surplus := re.search(r"nrecognized arguments: (\S+)", message):
            raise ConfigError(f"Unexpected '{surplus[1]}'. Options start with --; try --help.")
        raise ConfigError(message.strip().splitlines()[0])


def _without_value(names: Sequence[str], words: Sequence[str]) -> str:
    """Return the sentence on an option that seems to have no value, by any of its names."""
    pairs = pairwise(words)
    after = next((value for name, value in pairs if name in names and re.match(r"-[\d.]", value)), None)
    if after is None:
        return f"{names[0]} needs a value."
    return (
        f"{names[0]} needs a value: '{after}' begins with a minus, as options do. If it is meant as "
        f"the value, write {names[0]}={after}."
    )


class Help(HelpFormatter):
    """Names and values as they are typed, each option on lines of its own."""

    def __init__(self, prog: str, **more: Any) -> None:
        super().__init__(prog, max_help_position=28, **more)

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        name, value = action.option_strings[0], f" {action.metavar}" if action.metavar else ""
        if action.nargs == "?":
            value = f" [{action.metavar}]"
        return name + value + ("..." if action.nargs == "+" else "")

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Keep the lines of a text as they are."""
        return "\n".join(indent + line for line in text.splitlines())
