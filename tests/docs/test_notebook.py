"""The notebook runs, cell by cell, with its own small settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "first_steps.ipynb"


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


def test_its_cells_run(notebook, tmp_path, monkeypatch):
    """All but the lines of Jupyter itself (%pip), with the one change that the notebook proposes."""
    monkeypatch.chdir(tmp_path)
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum("TINY = False" in cell for cell in cells) == 1
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        lines = [line for line in cell.splitlines() if not line.startswith("%")]
        source = "\n".join(lines).replace("TINY = False", "TINY = True")
        exec(compile(source, f"cell {number}", "exec"), names)
    assert (tmp_path / "take-home.zip").is_file()
    assert (tmp_path / "runs/compared/report.html").is_file()
