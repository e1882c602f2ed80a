"""The pictures of the claims' page can be drawn out of its files and tables."""

from __future__ import annotations

import re
import runpy

from PIL import Image
from recomputing import RESULTS


def test_every_picture_of_the_page_is_drawn_out_of_its_numbers(tmp_path):
    runpy.run_path(str(RESULTS.parent / "draw_evidence.py"))["main"](tmp_path)
    page = (RESULTS / "evidence.md").read_text(encoding="utf-8")
    names = re.findall(r"images/(evidence-[-\w]+\.png)", page)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(names)
    for name in names:
        drawn, shown = Image.open(tmp_path / name), Image.open(RESULTS.parent / "images" / name)
        assert drawn.size == shown.size
