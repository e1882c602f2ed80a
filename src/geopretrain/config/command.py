"""Public functions from classes of options: ``pretrain("monodepth", data=..., out=...)`` and its help."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from geopretrain.config.describe import Option, options_of
from geopretrain.console import console
from geopretrain.schema import hints

P = ParamSpec("P")
Options = TypeVar("Options")
R = TypeVar("R")


def takes(options_class: Callable[P, Options]) -> Callable[[Callable[[Options], R]], Callable[P, R]]:
    """Turn a function of one object of options into the public one, whose keywords are the options.

    The public function checks its arguments, shows progress or not, and carries signature and ``Args:`` made
    from the fields. Which options were given is known to ``schema.given(options)``.
    """

    def decorate(function: Callable[[Options], R]) -> Callable[P, R]:
        @wraps(function)
        def public(*values: P.args, **named: P.kwargs) -> R:
            options = options_class(*values, **named)
            with console.command(), console.showing(getattr(options, "progress", True)):
                return function(options)

        _describe(public, options_class, function)
        return public

    return decorate


def options_class(function: Callable[..., Any]) -> type:
    """Return the class of options of a public function."""
    found: type = vars(function)["options_class"]
    return found


def _describe(public: Callable[..., Any], options: Any, function: Callable[..., Any]) -> None:
    """Give a function the signature and the docstring that its options make."""
    returns = function.__annotations__.get("return", inspect.Signature.empty)
    vars(public).pop("__wrapped__", None)
    vars(public).update(
        options_class=options,
        __signature__=inspect.signature(options).replace(return_annotation=returns),
    )
    public.__annotations__ = {**hints(options), "return": returns}
    public.__doc__ = docstring(function.__doc__ or "", options)


def docstring(text: str, options: type) -> str:
    """Return a Google-style docstring with the options as ``Args:`` before its other sections."""
    text = inspect.cleandoc(text)
    starts = [at for section in ("Returns:", "Raises:") if (at := text.find(f"\n{section}")) >= 0]
    body, sections = (text[: min(starts)], text[min(starts) :]) if starts else (text, "")
    entries = [_entry(option) for option in options_of(options)]
    return "\n".join([body.rstrip(), "", "Args:", *entries, sections])


def _entry(option: Option) -> str:
    among = f" One of {', '.join(option.choices)}." if option.choices else ""
    return textwrap.fill(
        f"{option.name}: {option.description}{among}",
        width=100,
        initial_indent="    ",
        subsequent_indent="        ",
    )
