from __future__ import annotations

import inspect
import logging

import pytest

from geopretrain.config.command import options_class, takes
from geopretrain.config.options import EvaluateOptions
from geopretrain.console import console
from geopretrain.errors import ConfigError, OptionError
from geopretrain.schema import given


@takes(EvaluateOptions)
def score(options: EvaluateOptions) -> int:
    """Score something.

    At length.

    Returns:
        A number.

    Raises:
        UserError: it cannot be done.
    """
    console.say(f"every {options.every}")
    assert given(options) == {"run": "r", "data": "d", "every": 3}
    return 7


def test_the_function_takes_the_options_as_keywords(capsys):
    assert score("r", "d", every="3") == 7
    assert score("r", data="d", every=3) == 7
    assert capsys.readouterr().out == "every 3\nevery 3\n"
    with pytest.raises(OptionError, match="run is missing"):
        score()
    with pytest.raises(ConfigError, match="Did you mean 'every'"):
        score("r", "d", evry=3)


def test_progress_holds_for_everything_inside(capsys, caplog):
    @takes(EvaluateOptions)
    def quiet(options: EvaluateOptions) -> None:
        """Speak."""
        console.say("heard by programs")

    caplog.set_level(logging.INFO, logger="geopretrain")
    quiet("r", "d", progress=False)
    assert capsys.readouterr().out == ""
    assert caplog.messages == ["heard by programs"]
    assert console.shown


def test_signature_and_docstring_are_made_from_the_options():
    assert options_class(score) is EvaluateOptions
    signature = inspect.signature(score)
    assert list(signature.parameters)[:2] == ["run", "data"]
    assert signature.parameters["run"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert signature.parameters["every"].kind is inspect.Parameter.KEYWORD_ONLY
    assert signature.parameters["every"].default == 1
    text = inspect.getdoc(score)
    assert text.startswith("Score something.\n\nAt length.\n\nArgs:\n    run: Run folder of a method")
    assert "\n    frames: Which frames" in text
    assert "One of auto, held_out, in_sample, test, all." in " ".join(text.split())
    assert text.endswith("Returns:\n    A number.\n\nRaises:\n    UserError: it cannot be done.")
    assert max(map(len, text.splitlines())) <= 110
