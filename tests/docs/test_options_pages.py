from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from geopretrain import cli
from geopretrain.config.describe import options_of

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("write_options", DOCS / "write_options.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_options_say(script):
    written = {file.name: file.read_text(encoding="utf-8") for file in (DOCS / "options").glob("*.md")}
    assert written == script.pages(), "run `python docs/write_options.py`"
    assert script.TABLE.read_text(encoding="utf-8") == script.known_table(), "run the same"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_has_its_line(name):
    text = (DOCS / "options" / f"{name.replace(' ', '-')}.md").read_text(encoding="utf-8")
    for option in options_of(cli.COMMANDS[name].options_class()):
        assert f"| `{option.typed}` |" in text
