from __future__ import annotations

import re

import pytest
from fake_comparison import CLASSES, fake_comparison

from geopretrain.report import build_report


@pytest.fixture
def page(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    return comparison, build_report(comparison, comparison.report).read_text(encoding="utf-8")


SECTIONS = [
    *("What came out", "Learning curves", "IoU of each class", "What it looks like"),
    *("What the pre-training had learned", "Choice of the learning rate", "Repeat it"),
]


def without_plotly(text):
    return re.sub(r"<script>/\*\*.*?</script>", "", text, flags=re.S)


def test_the_page_says_what_came_out(page):
    comparison, text = page
    assert f">{comparison.sentence}</h1>" in text
    for sentence in comparison.results["sentences"] + comparison.results["cautions"]:
        assert sentence in re.sub(r'<span class="option">(--[a-z-]+)</span>', r"\1", text)


def test_code_in_sentences_is_shown_as_code_and_no_line_ends_in_an_option(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    comparison.results["cautions"] = ["More `data select` or --label-list, <b>--x</b>, a--b."]
    text = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    code, option = "<code>data select</code>", '<span class="option">--label-list</span>'
    assert f'More {code} or {option}, &lt;b&gt;<span class="option">--x</span>&lt;/b&gt;, a--b.' in text


def test_the_table_holds_every_number(page):
    comparison, text = page
    for row in comparison.rows:
        assert f"<b>{100 * row.mean:.1f}</b>" in text
        for value in row.values:
            assert f">{100 * value:.1f}</td>" in text


def test_the_page_fetches_nothing(page):
    _, text = page
    assert not re.findall(r"<(?:script|img|link|iframe|source)[^>]+(?:src|href)\s*=\s*[\"'](?!data:)", text)
    assert "<link" not in without_plotly(text)
    assert "@import" not in text
    sources = re.findall(r"<img[^>]+src=\"([^\"]*)\"", text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert text.count("plotly.js v") == 1  # the script is embedded once, not once per figure


def test_every_section_is_there(page):
    _, text = page
    for title in SECTIONS:
        assert f"<h2>{title}</h2>" in text
    assert all(name in text for name in CLASSES)
    assert "0.299" in text
    assert "row-wise" in text
    assert "geopretrain compare --inits random,runs/depth" in text


def test_sections_without_content_are_left_out(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp", inits=["random", "imagenet"], search=False)
    comparison.results["pictures"] = []
    text = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    for title in (
        "What it looks like",
        "What is taken for what",
        "What the pre-training had learned",
        "Choice of the learning rate",
    ):
        assert f"<h2>{title}</h2>" not in text
    assert "learning rate 0.001" in text


def test_curves_say_which_images_were_scored(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    comparison.results["protocol"]["scored_on"] = "val"
    page = without_plotly(build_report(comparison, comparison.report).read_text(encoding="utf-8"))
    assert "on the validation images while training" in page
    assert "validation mIoU" in page
    assert "test mIoU" not in page


def test_names_are_escaped(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    comparison.results["protocol"]["data"] = "<script>alert(1)</script>"
    text = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    assert "<script>alert(1)</script>" not in text
