"""The page as people use it: mouse, keys, a phone, the dark, paper, and names that mean harm."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise

import pytest
from browsing import CONTRAST, browser, open_page, until
from fake_comparison import fake_comparison, renamed

from geopretrain.report import build_report
from geopretrain.study.comparison import Comparison

HOSTILE = {
    "random": "</script><script>window.evil = 1</script>",
    "imagenet-depth": """<img src=x onerror="window.evil = 1"> %{y} 'x' & {{ 7 * 7 }}""",
    "imagenet": """=cmd|' /C calc'!A0""",
    "sky": "<b onmouseover=alert(1)>sky</b>",
    "building": "</title><a href='javascript:alert(1)'>wall</a>",
    "pole": "12",
}


@pytest.fixture(scope="module")
def chrome():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "cmp"
    comparison = fake_comparison(folder, inits=["random", "imagenet", "depth"])
    layers = folder / "cka"
    layers.mkdir()
    (layers / "cka.json").write_text(json.dumps(layer_map()))
    return build_report(comparison, comparison.report)


def layer_map():
    return {
        "first": "imagenet",
        "second": "runs/depth",
        "protocol": "linear CKA of 64 images",
        "layers_of_first": ["stem", "blocks.0"],
        "layers_of_second": ["stem", "blocks.0", "blocks.1"],
        "cka": [[1.0, 0.5, 0.25], [0.5, 1.0, None]],
        "standard_error": [[0.0, 0.01, 0.01], [0.01, 0.0, None]],
    }


@pytest.fixture
def seen(chrome, file):
    found = open_page(chrome, file)
    yield found
    assert found.complaints == []
    found.page.context.close()


def shown_traces(page, figure, name):
    return page.evaluate(
        "([k, name]) => document.querySelectorAll('.plot')[k].querySelector('.drawing').data"
        ".filter((trace) => trace.legendgroup === name).map((trace) => trace.visible !== false)",
        [figure, name],
    )


def test_a_button_hides_and_shows_what_it_names(seen):
    figure = seen.page.locator("figure.plot").nth(1)
    button = figure.get_by_role("button", name="imagenet")
    assert all(shown_traces(seen.page, 1, "imagenet"))
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not any(shown_traces(seen.page, 1, "imagenet"))
    assert all(shown_traces(seen.page, 1, "depth"))
    assert all(shown_traces(seen.page, 0, "imagenet"))  # other figures stay
    button.focus()
    seen.page.keyboard.press("Enter")
    assert all(shown_traces(seen.page, 1, "imagenet"))


def test_a_number_is_told_where_the_mouse_is(seen):
    point = seen.page.locator("figure.plot").nth(1).locator(".scatterlayer .point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = seen.page.locator(".hoverlayer .hovertext").first
    hover.wait_for()
    assert "after 50" in hover.text_content()


def test_the_border_between_two_pictures_moves_by_mouse_and_keys(seen):
    slide = seen.page.locator(".slide").first
    border, at = (
        slide.get_by_role("slider"),
        "(one) => getComputedStyle(one.parentElement).getPropertyValue('--at')",
    )
    border.scroll_into_view_if_needed()
    assert border.evaluate(at) == "50%"
    box = border.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2, steps=4)
    seen.page.mouse.up()
    moved = float(border.evaluate(at).rstrip("%"))
    assert 10 <= moved <= 30
    border.focus()
    seen.page.keyboard.press("ArrowRight")
    assert float(border.evaluate(at).rstrip("%")) == moved + 1
    assert border.get_attribute("aria-valuetext") == f"{moved + 1:g} % random"
    left = slide.locator("img.left")
    before = left.get_attribute("src")
    seen.page.get_by_label("picture on the left").first.select_option("truth")
    assert left.get_attribute("src") != before
    assert left.get_attribute("alt") == "truth of test/000.png"
    assert "truth and depth" in border.get_attribute("aria-label")


@pytest.mark.parametrize("lacking", ["random", "depth"])
def test_what_has_no_picture_of_an_image_is_not_to_be_laid_on_others(chrome, tmp_path, lacking):
    comparison = fake_comparison(tmp_path / "cmp", inits=["random", "imagenet", "depth"])
    for mode in (pictures := comparison.results["pictures"][1]["predictions"]):
        del pictures[mode][lacking]
    seen = open_page(chrome, build_report(comparison, comparison.report))
    kept = [name for name in ("image", "truth", "random", "imagenet", "depth") if name != lacking]
    for place in seen.page.locator(".slides").all():
        sides = [place.get_by_label(f"picture on the {side}") for side in ("left", "right")]
        assert [side.locator("option").all_text_contents() for side in sides] == [kept, kept]
        assert sides[0].input_value() == ("image" if lacking == "random" else "random")
        assert sides[1].input_value() == kept[-1]
        assert place.locator(".slide").count() == 3
    assert seen.complaints == []
    seen.page.context.close()


def test_what_is_downloaded(seen, tmp_path):
    found = {}
    for link in seen.page.locator(".downloads a").all():
        with seen.page.expect_download() as waiting:
            link.click()
        waiting.value.save_as(tmp_path / "kept")
        found[waiting.value.suggested_filename] = (tmp_path / "kept").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(found["comparison-trainings.csv"])))
    assert len(rows) == 3 * 2 * 5 * 6  # inits, modes, seeds, points
    assert {row["seed"] for row in rows} == set("01234")
    assert {row["score"] for row in rows} == {
        "mIoU and pixel accuracy from one confusion matrix over all test images"
    }
    assert all(0 < float(row["miou"]) < 1 for row in rows)
    assert found["comparison.csv"].startswith("mode,init,step")
    assert r"\toprule" in found["comparison.tex"]


def test_everything_is_there_for_keys_and_screen_readers(seen):
    page = seen.page
    assert page.locator("h1").count() == 1
    assert page.get_by_role("main").count() == page.get_by_role("contentinfo").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((one) => +one.tagName[1])")
    assert all(b <= a + 1 for a, b in pairwise(levels))
    links = page.get_by_role("navigation").get_by_role("link")
    assert links.count() == page.locator("h2").count()
    assert page.evaluate("[...document.images].every((one) => one.alt && one.naturalWidth)")
    assert page.evaluate(
        "[...document.querySelectorAll('table')].every((one) => one.caption && one.caption.textContent)"
    )
    assert page.evaluate("[...document.querySelectorAll('thead th, tbody th')].every((one) => one.scope)")
    nameless = "[...document.querySelectorAll('button, select, input, a, [role=img]')].filter("
    nameless += "(one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).length"
    assert page.evaluate(nameless) == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_the_light_and_in_the_dark(chrome, file, scheme):
    seen = open_page(chrome, file, color_scheme=scheme)
    assert seen.page.evaluate(CONTRAST) == []
    ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    inks = "[...document.querySelectorAll('.drawing .xtick text')].map((one) => getComputedStyle(one).fill)"
    ink = seen.page.evaluate("getComputedStyle(document.body).color")
    assert set(seen.page.evaluate(inks)) == {ink}
    assert seen.complaints == []
    seen.page.context.close()


def too_wide(page):
    """Return what sticks out of the page sideways and does not scroll by itself."""
    return page.evaluate(
        "[...document.querySelectorAll('body *')].filter((one) => one.checkVisibility()"
        " && one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, .skip, .unseen'))"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )


def test_a_phone_scrolls_no_page_sideways(chrome, file):
    how = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    seen = open_page(chrome, file, **how)
    seen.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert too_wide(seen.page) == []
    widths = seen.page.evaluate(
        "[...document.querySelectorAll('.plot')].filter((one) => one.querySelectorAll('.subplot').length < 2)"
        ".map((one) => one.querySelector('.main-svg').getBoundingClientRect().width)"
    )
    assert max(widths) <= 390
    seen.page.locator("figure.plot").nth(1).get_by_role("button", name="depth").tap()
    assert not any(shown_traces(seen.page, 1, "depth"))
    assert seen.complaints == []
    seen.page.context.close()


def test_on_paper_nothing_is_left_of_what_is_clicked(seen):
    seen.page.emulate_media(media="print")
    for what in (".toggles", ".slides", ".downloads", "nav", ".skip"):
        assert seen.page.locator(what).first.is_hidden()
    assert seen.page.locator("figure.plot svg").first.is_visible()
    assert seen.page.locator(".gallery").first.is_visible()
    assert len(seen.page.pdf()) > 10_000


def test_names_that_mean_harm_are_shown_letter_by_letter(chrome, tmp_path):
    comparison = fake_comparison(tmp_path / "cmp", inits=["random", "imagenet", "imagenet-depth"])
    results = renamed(comparison.results, HOSTILE)
    results["headline"] = f"With {HOSTILE['imagenet-depth']} it is better."
    results["failures"] = [{"trial": HOSTILE["random"], "error": HOSTILE["sky"]}]
    (tmp_path / "cmp/cka").mkdir()
    (tmp_path / "cmp/cka/cka.json").write_text(
        json.dumps({**layer_map(), "first": HOSTILE["imagenet-depth"]})
    )
    seen = open_page(chrome, build_report(Comparison(comparison.path, results), comparison.report))
    assert seen.page.evaluate("window.evil") is None
    assert HOSTILE["imagenet-depth"] in seen.page.locator("h1").text_content()
    buttons = seen.page.locator("figure.plot").nth(1).locator("button")
    assert buttons.all_text_contents() == [
        f"{glyph}{HOSTILE[n]}"
        for glyph, n in zip("●◆■", ("random", "imagenet", "imagenet-depth"), strict=True)
    ]
    buttons.nth(2).click()
    assert not any(shown_traces(seen.page, 1, HOSTILE["imagenet-depth"]))
    buttons.nth(2).click()
    bars = seen.page.get_by_role("figure", name="of each class").first
    ticks = bars.locator(".ytick text").all_text_contents()
    assert {one.strip() for one in ticks} >= {HOSTILE["sky"], HOSTILE["building"], "12"}
    assert seen.page.locator("main a[href^=javascript], .drawing a").count() == 0
    seen.page.locator("figure.plot").nth(1).hover()
    with seen.page.expect_download() as waiting:
        seen.page.get_by_role("link", name="every training").click()
    waiting.value.save_as(tmp_path / "kept.csv")
    names = {row["init"] for row in csv.DictReader((tmp_path / "kept.csv").open())}
    assert names == {HOSTILE["random"], HOSTILE["imagenet-depth"], f"'{HOSTILE['imagenet']}"}
    assert seen.complaints == []
    seen.page.context.close()


def test_a_watched_page_loads_itself_anew_in_its_place_until_it_is_paused(chrome, tmp_path):
    comparison = fake_comparison(tmp_path / "cmp", inits=["random", "imagenet", "depth"])
    seen = open_page(chrome, build_report(comparison, comparison.report, every=2))
    page = seen.page
    page.evaluate("window.first = true")
    page.locator("figure.plot").nth(1).get_by_role("button", name="depth").click()
    page.evaluate("document.querySelectorAll('details')[1].open = true; scrollTo(0, 1500)")
    until(page, "window.first === undefined && document.querySelector('.drawing .main-svg')")
    until(page, "scrollY === 1500")
    assert page.evaluate("document.querySelectorAll('details')[1].open")
    assert not any(shown_traces(page, 1, "depth"))
    page.evaluate("window.second = true")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(3000)
    assert page.evaluate("window.second")
    assert seen.complaints == []
    build_report(comparison, comparison.report)
    page.get_by_role("button", name="Pause").click()
    until(page, "window.second === undefined && !document.body.dataset.every")
    page.context.close()
