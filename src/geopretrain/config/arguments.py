"""A function's command line: names, defaults and help come from its signature and docstring."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from argparse import Action
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Union

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from geopretrain.errors import ConfigError, nearest_name

FLAG, MANY, SIZE, ONE = "flag", "many", "size", "one"


@dataclass(frozen=True)
class Option:
    """One parameter of a function as an option."""

    name: str
    kind: str
    """``flag`` (true when given without a value), ``many`` values, ``size`` (HEIGHTxWIDTH) or ``one``."""
    type: Any
    default: Any
    help: str
    numbers: tuple[type, ...] = ()
    """Kinds of number that a single value of ``many`` may be."""


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of ``function`` in the order of its parameters; only plain values can be options."""
    help_of = argument_help(function)
    options = {}
    for name, parameter in inspect.signature(function).parameters.items():
        members = _members(parameter.annotation, function)
        kind, value_type = _kind(members)
        numbers = tuple(t for t in (int, float) if t in members)
        if kind:
            options[name] = Option(name, kind, value_type, parameter.default, help_of.get(name, ""), numbers)
    return options


def _members(annotation: Any, function: Callable[..., Any]) -> list[Any]:
    """Return the types a parameter may have, without None."""
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, inspect.unwrap(function).__globals__)  # our own source text
        except NameError:  # a name imported for type checking only is no plain value
            return []
    is_union = typing.get_origin(annotation) in (Union, types.UnionType)
    return [t for t in (typing.get_args(annotation) if is_union else [annotation]) if t is not types.NoneType]


def _kind(members: list[Any]) -> tuple[str, Any]:
    origins = [typing.get_origin(member) or member for member in members]
    if bool in members:
        return FLAG, bool
    if origins == [tuple]:
        return SIZE, str | None
    if any(isinstance(o, type) and issubclass(o, (Sequence, Mapping)) and o is not str for o in origins):
        return MANY, list[str] | list[Any] | dict[str, Any] | str | int | None
    plain = [t for t in (int, float, str) if t in members or (t is str and Path in members)]
    return (ONE, Union[(*plain, None)]) if plain else ("", None)


def argument_help(function: Callable[..., Any]) -> dict[str, str]:
    """Return the descriptions in the ``Args:`` section of a docstring."""
    doc = inspect.getdoc(function) or ""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", doc, re.MULTILINE)
    entries: dict[str, str] = {}
    name = ""
    for line in (section.group(1) if section else "").splitlines():
        start = re.match(r" {4}(\w+)(?: \(.*?\))?: (.*)", line)
        if start:
            name, text = start.groups()
            entries[name] = text.strip()
        elif name and line.startswith(" " * 8):
            entries[name] += " " + line.strip()
    return {name: text.replace("``", "") for name, text in entries.items()}


def parse(
    function: Callable[..., Any], argv: Sequence[str], *, command: str, positionals: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Return the keyword arguments that ``argv`` means, or None where only help was wanted (and printed).

    Raises:
        ConfigError: an unknown option, a missing or impossible value; the sentence names the nearest option.
    """
    options = options_of(function)
    parser = _parser(function, options, command, positionals)
    if any(word in ("-h", "--help") for word in argv):
        parser.print_help()
        return None
    pairs = _pairs(list(argv), options, positionals)
    given = [pair for pair in pairs if pair[0] != "config"]
    for _, path in [pair for pair in pairs if pair[0] == "config"]:
        given = [*_config_pairs(Path(path), options, command), *given]
    words = [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given]
    values = parser.parse_args(words).as_dict()
    return _finished(values, options, {name for name, _ in given})


def _finished(values: dict[str, Any], options: Mapping[str, Option], given: set[str]) -> dict[str, Any]:
    arguments = {}
    for name, option in options.items():
        missing = option.default is inspect.Parameter.empty
        if missing and name not in given:
            raise ConfigError(f"--{dashed(name)} is missing: {option.help or 'it has no default'}")
        if name in given:
            arguments[name] = _converted(values[name], option)
    return arguments


def _converted(value: Any, option: Option) -> Any:
    """Return a value as the function wants it: sizes as (height, width), a lonely number as a number."""
    from geopretrain.schema import parse_size

    if option.kind == SIZE:
        return parse_size(value)
    for number in option.numbers if option.kind == MANY and isinstance(value, str) else ():
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _pairs(
    words: list[str], options: Mapping[str, Option], positionals: Sequence[str]
) -> list[tuple[str, Any]]:
    """Return (option, value) for what is on the command line, positional words under their names."""
    pairs: list[tuple[str, Any]] = []
    free: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-") or re.fullmatch(r"-[\d.]+(e-?\d+)?", word):
            free.append(word)
            continue
        text, equals, value = word.partition("=")
        name = _known(text, options)
        kind = "one" if name == "config" else options[name].kind
        if equals:
            pairs.append((name, value))
        elif kind == FLAG:
            pairs.append((name, words.pop(0) if words and words[0].lower() in ("true", "false") else "true"))
        else:
            count = len(words) if kind == MANY else 1
            taken = _until_option(words)[:count]
            if not taken:
                raise ConfigError(f"--{dashed(name)} needs a value.")
            del words[: len(taken)]
            pairs.append((name, taken if len(taken) > 1 else taken[0]))
    return [*_positional_pairs(free, options, positionals), *pairs]


def _until_option(words: Sequence[str]) -> list[str]:
    end = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    return list(words[:end])


def _known(word: str, options: Mapping[str, Option]) -> str:
    name = word.lstrip("-").replace("-", "_")
    names = [*options, "config"] if "resume" in options else list(options)
    if word.startswith("--") and name in names:
        return name
    known = [f"--{dashed(option)}" for option in names]
    raise ConfigError(
        f"Unknown option '{word}'.{nearest_name('--' + dashed(name), known)} Try --help for all options."
    )


def _positional_pairs(
    words: list[str], options: Mapping[str, Option], positionals: Sequence[str]
) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name in positionals:
        if not words:
            break
        taken = words if options[name].kind == MANY else words[:1]
        pairs.append((name, list(taken) if len(taken) > 1 else taken[0]))
        words = words[len(taken) :]
    if words:
        raise ConfigError(f"Unexpected '{words[0]}'. Options start with --; try --help.")
    return pairs


def _config_pairs(path: Path, options: Mapping[str, Option], command: str) -> list[tuple[str, Any]]:
    """Return what a config.yaml gives, as if it stood on the command line before everything else."""
    import yaml

    path = path / "config.yaml" if path.is_dir() else path
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config '{path}' cannot be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(config, dict):
        raise ConfigError(f"--config '{path}' is not a list of settings (name: value).")
    config.pop("geopretrain", None)
    of = config.pop("command", command)
    if of != command:
        raise ConfigError(f"--config '{path}' is of a {of} run; use it with `geopretrain {of}`.")
    for name in config:
        if name not in options:
            raise ConfigError(f"Unknown setting '{name}' in '{path}'.{nearest_name(str(name), options)}")
    return [(name, value) for name, value in config.items() if value is not None]


class _Parser(ArgumentParser):
    """Errors are raised as one sentence instead of printed with the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        found = re.search(r'key "([^"]+)"', message)
        value = re.search(r"Given value: (.*)", message) or re.search(r"Got value: (.*)", message)
        kinds = sorted(
            {kind for kind in re.findall(r"Expected an? <class '(\w+)'>", message) if kind != "NoneType"}
        )
        if not found:
            raise ConfigError(message.strip().splitlines()[0])
        words = " or ".join(
            {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(k, k) for k in kinds
        )
        given = f", not '{value.group(1)}'" if value else ""
        raise ConfigError(f"--{dashed(found.group(1))} must be {words or 'another value'}{given}.")


class _Help(DefaultHelpFormatter):
    """Options with dashes, defaults only where there are any, no types in Python's words."""

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        name = max((o for o in action.option_strings if not o.endswith("+")), key=len)
        value = "" if action.nargs == 0 or action.metavar == "" else f" {action.metavar or 'VALUE'}"
        return dashed(name) + value

    def _get_help_string(self, action: Action) -> str:
        default = action.default
        shown = default not in (None, inspect.Parameter.empty, "==SUPPRESS==", False)
        text = (action.help or "").replace("%%", "%")
        return text + (f" (default: {_shown(default)})" if shown else "")


def _shown(value: Any) -> str:
    return (
        ",".join(str(v) for v in value)
        if isinstance(value, (list, tuple))
        else str(value).lower()
        if value is True
        else str(value)
    )


def _parser(
    function: Callable[..., Any], options: Mapping[str, Option], command: str, positionals: Sequence[str]
) -> ArgumentParser:
    summary = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").replace("``", "")
    words = [f"{name.upper()}{'...' if options[name].kind == MANY else ''}" for name in positionals]
    parser = _Parser(
        prog=f"geopretrain {command}",
        usage=" ".join(["geopretrain", command, *words, "[options]"]),
        description=summary,
        formatter_class=_Help,
        default_env=False,
    )
    for option in options.values():
        default = None if option.default is inspect.Parameter.empty else option.default
        parser.add_argument(
            f"--{option.name}",
            type=option.type,
            default=default,
            help=option.help,
            metavar=_metavar(option),
        )
    if "out" in options:
        parser.add_argument(
            "--config", type=str, metavar="FILE", help="take settings from the config.yaml of a run"
        )
    return parser


def _metavar(option: Option) -> str:
    if option.kind == FLAG:
        return "true|false" if option.default is True else ""
    if option.name == "size" or option.kind == SIZE:
        return "HEIGHTxWIDTH"
    return "VALUE..." if option.kind == MANY else "VALUE"


def dashed(name: str) -> str:
    """Return an option's name as it is written on the command line."""
    return name.replace("_", "-")
