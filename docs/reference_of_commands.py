"""Lets the API reference show public commands as they are called: with options as keywords."""

from __future__ import annotations

import inspect
from typing import Any

import griffe


class Commands(griffe.Extension):
    """Gives functions under ``takes(...)`` the signature and docstring that they have at run time."""

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Replace what stands in the source: one object of options."""
        if any(str(decorator.value).startswith("takes(") for decorator in func.decorators):
            public = griffe.dynamic_import(func.path)
            func.docstring = griffe.Docstring(inspect.getdoc(public) or "", parent=func, parser="google")
            func.parameters = griffe.Parameters(
                *(_parameter(one) for one in inspect.signature(public).parameters.values())
            )


def _parameter(one: inspect.Parameter) -> griffe.Parameter:
    by_name = one.kind is inspect.Parameter.KEYWORD_ONLY
    kind = griffe.ParameterKind.keyword_only if by_name else griffe.ParameterKind.positional_or_keyword
    default = None if one.default is one.empty else repr(one.default).replace("<factory>", "{}")
    return griffe.Parameter(one.name, annotation=str(one.annotation), kind=kind, default=default)
