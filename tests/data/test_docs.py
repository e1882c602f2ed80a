"""The tables of the documentation are the tables of the readers."""

from pathlib import Path

import pytest

from geopretrain.data.labelled import detect as labelled
from geopretrain.data.readers import detect as clips
from geopretrain.data.sizes import working_size

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def section(heading):
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_column(text):
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return {cell for cell in rows if cell}


@pytest.mark.parametrize(
    ("heading", "layouts"), [("Video", clips.LAYOUTS), ("Labelled images", labelled.LAYOUTS)]
)
def test_docs_list_exactly_the_layouts_there_are(heading, layouts):
    ours = [row for row in layouts if row.open.__module__.startswith("geopretrain.")]  # examples add theirs
    assert first_column(section(heading)) == {"layout", *(layout.name for layout in ours)}


def test_docs_give_the_working_sizes_as_they_are():
    rows = [line.split("|") for line in section("The working size").splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 4
    for _, images, stated, _ in rows:
        original = tuple(int(side) for side in images.split()[-1].split("x"))
        assert "{}x{}".format(*working_size(original)) == stated.strip()
