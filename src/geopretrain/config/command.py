"""Public functions from classes of options: ``pretrain("monodepth", data=..., out=...)`` and its help."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from geopretrain.config.describe import Option, options_of
from geopretrain.console import console
from geopretrain.schema import hints

P = ParamSpec("P")
Options = TypeVar("Options")
R = TypeVar("R")
_objects: ContextVar[Mapping[str, Any]] = ContextVar("geopretrain_objects", default={})  # noqa: B039
CALLBACKS = {
    "callbacks": "Lightning callbacks that are called while training, before our own; they are no part of "
    "config.yaml, and named in lineage.json."
}
"""The keyword of trainings that only Python has."""
OPTIONS_OF_DATA = (
    *("data", "auxiliary_data", "evaluate_data", "probe", "path", "inputs", "val", "test"),
    *("video", "labelled"),
)
"""Options that may name a data set instead of a path, in commands that have ``data_root``."""
NAME_OF_DATA = re.compile(r"[\w./ -]+")


def takes(
    options_class: Callable[P, Options], python_only: Mapping[str, str] | None = None
) -> Callable[[Callable[[Options], R]], Callable[P, R]]:
    """Turn a function of one object of options into the public one, whose keywords are the options.

    The public function checks its arguments, shows progress or not, and carries signature and ``Args:`` made
    from the fields. Which options were given is known to ``schema.given(options)``. What is no option,
    because only Python has such objects, is known to `objects` while the function runs.

    Args:
        options_class: of the command.
        python_only: further keywords, each with its description.
    """

    def decorate(function: Callable[[Options], R]) -> Callable[P, R]:
        @wraps(function)
        def public(*values: P.args, **named: P.kwargs) -> R:
            own = {name: named.pop(name) for name in python_only or () if name in named}
            options = with_data_found(options_class(*values, **named))
            token = _objects.set(own)
            try:
                with console.command(), console.showing(getattr(options, "progress", True)):
                    return function(options)
            finally:
                _objects.reset(token)

        _describe(public, options_class, function, python_only or {})
        return public

    return decorate


def with_data_found(options: Options) -> Options:
    """Return options with the place of a data set instead of its name (``camvid``), see ``data_root``."""
    if not hasattr(options, "data_root"):
        return options
    for name in OPTIONS_OF_DATA:
        value = getattr(options, name, None)
        found = [_found(one, options) for one in value] if isinstance(value, list) else _found(value, options)
        if found != value:  # frozen for everybody else
            object.__setattr__(options, name, found)
    return options


def _found(value: Any, options: Any) -> Any:
    """Return where data are; what cannot be the name of a data set is not looked up."""
    if not isinstance(value, str) or not NAME_OF_DATA.fullmatch(value.partition("?")[0]):
        return value
    from geopretrain.data.catalogue.finding import resolved

    return resolved(value, options.data_root)


def options_class(function: Callable[..., Any]) -> type:
    """Return the class of options of a public function."""
    found: type = vars(function)["options_class"]
    return found


def objects(name: str) -> Any:
    """Return what a program gave under the name of a keyword that is no option, () where it gave nothing."""
    return _objects.get().get(name, ())


def _describe(
    public: Callable[..., Any], options: Any, function: Callable[..., Any], python_only: Mapping[str, str]
) -> None:
    """Give a function the signature and the docstring that its options make."""
    returns = function.__annotations__.get("return", inspect.Signature.empty)
    vars(public).pop("__wrapped__", None)
    vars(public).update(
        options_class=options,
        __signature__=_signature(options, python_only, returns),
    )
    public.__annotations__ = {**hints(options), "return": returns}
    public.__doc__ = docstring(function.__doc__ or "", options, python_only)


def _signature(options: Any, python_only: Mapping[str, str], returns: Any) -> inspect.Signature:
    made = inspect.signature(options)
    kind = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, kind, default=()) for name in python_only]
    return made.replace(parameters=[*made.parameters.values(), *more], return_annotation=returns)


def docstring(text: str, options: type, python_only: Mapping[str, str] | None = None) -> str:
    """Return a Google-style docstring with the options as ``Args:`` before its other sections."""
    text = inspect.cleandoc(text)
    starts = [at for section in ("Returns:", "Raises:") if (at := text.find(f"\n{section}")) >= 0]
    body, sections = (text[: min(starts)], text[min(starts) :]) if starts else (text, "")
    entries = [_entry(option) for option in options_of(options)]
    entries += [_filled(f"{name}: {words}") for name, words in (python_only or {}).items()]
    return "\n".join([body.rstrip(), "", "Args:", *entries, sections])


def _entry(option: Option) -> str:
    among = f" One of {', '.join(option.choices)}." if option.choices else ""
    return _filled(f"{option.name}: {option.description}{among}")


def _filled(text: str) -> str:
    return textwrap.fill(
        text,
        width=100,
        initial_indent="    ",
        subsequent_indent="        ",
    )
