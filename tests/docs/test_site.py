"""The pages belong together, and say what the code and the measurements say."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import docs_commands
import pytest
import yaml
from PIL import Image

import geopretrain as gp
from geopretrain.data.catalogue import table
from geopretrain.tasks.registry import PRETEXTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
METHODS = DOCS / "methods"
MEASURED = ("real-data.md", "results/what-helps.md", "results/evidence.md", "synthetic.md", "analysis.md")
"""Pages with the protocol and date of a measurement."""
INTERVAL = re.compile(r"([+-]?\d+\.\d+) \[([+-]?\d+\.\d+), ([+-]?\d+\.\d+)\]")


def page_of(method: str) -> Path:
    return METHODS / f"{method.replace('_', '-')}.md"


def nav() -> list[str]:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text.split("\nnav:")[1].split("\nexclude_docs:")[0])
    found = []
    while entries:
        value = entries.pop()
        if isinstance(value, dict):
            entries += value.values()
        elif isinstance(value, list):
            entries += value
        else:
            found.append(value)
    return found


def test_every_page_is_in_the_navigation():
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {page for page in written if not page.startswith("options/")} <= set(nav())


# ---- methods
def test_every_method_has_a_page_and_a_row():
    assert {path.stem for path in METHODS.glob("*.md")} - {"index"} == {page_of(m).stem for m in PRETEXTS}
    index = (METHODS / "index.md").read_text(encoding="utf-8")
    assert [m for m in PRETEXTS if f"[`{m}`]({page_of(m).name})" not in index] == []


@pytest.mark.parametrize("method", PRETEXTS)
def test_a_page_of_a_method_has_all_its_parts(method):
    text = page_of(method).read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == ["What it minimises", "When to take it, and when not", "What it costs", "What it logs"]
    assert f"../options/settings.md#{method}" in text
    assert f"geopretrain pretrain {method} " in text
    assert "$$" in text
    shown = re.findall(r"!\[[^\]]+\]\((\S+)\)", text)
    assert shown
    for name in shown:
        with Image.open(METHODS / name) as picture:
            assert picture.width > 300


def test_pictures_are_few_megabytes():
    assert sum(path.stat().st_size for path in (DOCS / "images").rglob("*.*")) < 4e6


SHARED = (
    "tasks/motion.py",
    "tasks/painting.py",
    "tasks/pretext/flow_task.py",
    "tasks/pretext/segmentation.py",
    "losses/geometry_consistency.py",
)
"""Files with names that several methods log."""


def logged(method: str) -> set[str]:
    """Names that the loss of a method puts into its logs, as its source spells them."""
    from geopretrain.tasks.registry import task_class

    own = Path(inspect.getfile(task_class(method)))
    files = [*own.parent.glob("*.py")] if own.parent.name == "scdepth" else [own]
    files += [ROOT / "src/geopretrain" / name for name in SHARED]
    return {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("method", PRETEXTS)
def test_what_a_page_says_is_logged_is_a_name_of_the_source(method):
    section = page_of(method).read_text(encoding="utf-8").split("## What it logs")[1]
    names = [name for name in re.findall(r"`([a-z_/0-9]+)`", section) if name not in PRETEXTS]
    known = logged(method) | {"miou", "top1", "top5", "l1", "silog", "max_depth"}
    assert {name.removeprefix("validation/") for name in names} <= known


# ---- numbers
@pytest.mark.parametrize(
    "page", ["which-pretraining.md", *(f"methods/{p.name}" for p in METHODS.glob("*.md"))]
)
def test_every_interval_is_one_that_was_measured(page):
    """A number with its interval stands on a page with its protocol, or in the list that `advise` reads."""
    sources = [(DOCS / name).read_text(encoding="utf-8") for name in MEASURED]
    sources.append((ROOT / "src/geopretrain/advice/measured.yaml").read_text(encoding="utf-8"))
    known = {tuple(map(float, found)) for text in sources for found in INTERVAL.findall(text)}
    in_list = re.findall(r"effect: (\S+?),?\s+interval: \[(\S+), (\S+)\]", sources[-1])
    known |= {tuple(map(float, found)) for found in in_list}
    known |= {(-a, -c, -b) for a, b, c in known}  # of the one to the other, or of the other to the one
    shown = {tuple(map(float, f)) for f in INTERVAL.findall((DOCS / page).read_text(encoding="utf-8"))}
    assert shown - known == set()


def test_the_page_of_decisions_has_what_the_advice_has():
    assert len(INTERVAL.findall((DOCS / "which-pretraining.md").read_text(encoding="utf-8"))) > 20


def test_terms_of_data_sets_are_those_of_the_catalogue():
    text = (DOCS / "licences.md").read_text(encoding="utf-8")
    for one in table.data_sets().values():
        assert re.split(r"[;,(]", one.terms)[0].strip().removeprefix("annotations ") in text


# ---- Python
PYTHON = [
    block
    for page in docs_commands.PAGES
    for block in docs_commands.blocks(page)
    if block.language == "python"
]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block.page}:{block.line}")
def test_python_of_the_pages_calls_what_there_is(block):
    """It can be read, and calls of the public functions have arguments that these take."""
    for node in ast.walk(ast.parse(block.text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id in ("gp", "geopretrain"):
            given = {word.arg for word in node.keywords} - {None}
            taken = inspect.signature(getattr(gp, node.func.attr)).parameters
            any_name = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
            assert any_name or given <= taken.keys()
