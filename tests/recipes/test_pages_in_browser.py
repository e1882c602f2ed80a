"""Pages of recipes and studies in a browser: names that mean harm, keys, a phone, the dark, no network."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from browsing import CONTRAST, browser, open_page
from fake_comparison import fake_comparison, renamed
from fake_runs import fake_pretraining

from geopretrain.config.groups import listed
from geopretrain.config.options import ReproduceOptions
from geopretrain.files import write_json
from geopretrain.recipes.depth_pictures import FramePictures
from geopretrain.recipes.figures import gallery_of
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.page import write_overview, write_report
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.results import Line, Outcome
from geopretrain.study.comparison import Comparison
from geopretrain.study.statistics import paired_difference

EVIL = "</script><script>window.evil = 1</script>"
WORSE = """<img src=x onerror="window.evil = 1"> %{y} 'x' & {{ 7 * 7 }}"""
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def chrome():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A page of two comparisons whose initialisations and classes have names that mean harm."""
    out = tmp_path_factory.mktemp("study")
    plan = make_plan(ReproduceOptions("what-helps/choice", tiny=True, dry_run=True, out=out))
    found = []
    for stage in plan.recipe.comparisons:
        comparison = fake_comparison(out / stage.name, inits=["random", "imagenet", "imagenet-depth"])
        results = renamed(
            comparison.results, {"imagenet": EVIL, "imagenet-depth": WORSE, "sky": "<b>sky</b>"}
        )
        line = {"words": EVIL, "paper": 1.5, "ours": 2.25, "sd": None, "number": WORSE}
        results["printed"] = {"lines": [line]}
        results["failures"] = [{"trial": EVIL, "error": WORSE}]
        found.append(Comparison(comparison.path, results))
    return write_overview(out / "report.html", plan, found, Journal(plan.out), f"reproduce '{EVIL}'")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A page of tables and maps with layers, protocols and words that mean harm."""
    out = tmp_path_factory.mktemp("recipe")
    plan = make_plan(ReproduceOptions("mesa/chain", tiny=True, dry_run=True, out=out))
    tables = {name: _table(plan, item) for name, item in plan.items.items() if item.numbers}
    for one in plan.measured:
        for step in one.steps:
            if step.command == "analyse cka":
                _write_map(step)
    trained = next(step for step in plan.stages if step.command == "pretrain")
    lineage = {"method": "simmim", "chain": [], "versions": {"torch": WORSE}}
    fake_pretraining(trained.folder).write_lineage(lineage)
    failures = [{"row": EVIL, "seed": 0, "error": WORSE}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "geopretrain.recipes.page.depths_of", lambda file, *_: gallery_of(file, _shown(file.stem))
        )
        return write_report(
            out / "report.html", plan, tables, plan.measured, Journal(out), failures, f"reproduce '{EVIL}'"
        )


def _shown(item):
    """Return pictures of two frames and rows that mean harm; both have edges in figure 7, else one."""
    greys = iter(range(1, 255))
    frames = []
    for name, kinds in (
        (EVIL, ["depth", "error", "edges"]),
        (WORSE, ["depth", "error", "edges"][: 3 if item == "fig-7" else 2]),
    ):
        image, truth, *rest = (np.full((30, 40, 3), next(greys), np.uint8) for _ in range(2 + 2 * len(kinds)))
        networks = {
            EVIL: dict(zip(kinds, rest, strict=False)),
            WORSE: dict(zip(kinds, rest[len(kinds) :], strict=False)),
        }
        frames.append(FramePictures(name, image, truth, networks))
    return frames


def _table(plan, item):
    """Return a table with two seeds, in which the words of the first row mean harm."""
    rows = [row for row in plan.recipe.rows if row.name in item.rows]
    names = [column.name for column in item.columns]
    lines = []
    for k, row in enumerate(rows):
        values = dict.fromkeys(names, (0.5 - 0.1 * k, 0.6 - 0.11 * k))
        apart = {
            name: paired_difference(values[name], lines[0].values[name]) if lines else None for name in names
        }
        own = replace(row, printed=item.numbers.get(row.name, {}), **({} if k else {"words": EVIL}))
        lines.append(Line(own, (0, 1), values, apart, (WORSE,)))
    return Outcome(item.columns, lines, WORSE, 12, "held_out", item.others)


def _write_map(step):
    names = {"first": EVIL, "second": str(listed(step.options.inits)[-1])}
    layers = {"layers_of_first": [EVIL, WORSE], "layers_of_second": ["stem", "1"]}
    table = [[1.0, 0.25], [0.25, None]]
    content = {**names, **layers, "protocol": WORSE, "cka": table, "standard_error": table}
    write_json(Path(step.folder) / "cka.json", content)
    (Path(step.folder) / "cka.csv").write_text("layer,stem,1\n", encoding="utf-8")


@pytest.fixture(params=["study", "recipe"])
def file(request):
    return request.getfixturevalue(request.param)


def test_names_that_mean_harm_are_text(chrome, file):
    seen = open_page(chrome, file)
    page = seen.page
    assert page.evaluate("window.evil") is None
    text = page.locator("main").text_content()
    assert EVIL in text
    assert WORSE in text
    assert page.locator("main img[src=x], main script:not([type='application/json'])").count() == 0
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for button in page.locator("figure.plot button").all():
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
    assert page.locator(".drawing .main-svg").count()
    assert seen.complaints == []
    page.context.close()


def test_what_is_kept_of_a_study(chrome, study, tmp_path):
    seen = open_page(chrome, study)
    found = {}
    for link in seen.page.locator(".downloads a").all():
        with seen.page.expect_download() as waiting:
            link.click()
        waiting.value.save_as(tmp_path / "kept")
        found[waiting.value.suggested_filename] = (tmp_path / "kept").read_text(encoding="utf-8")
    assert len(found) == 2 * 5, "of two comparisons three each, and two beside the paper"
    row = next(csv.DictReader(found["scores-paper.csv"].splitlines()))
    assert (row["words"], row["paper"], row["ours"], row["difference"]) == (EVIL, "1.5", "2.25", "0.75")
    assert seen.complaints == []
    seen.page.context.close()


def test_pictures_of_each_comparison_of_a_study_have_their_own_border(chrome, study):
    seen = open_page(chrome, study)
    places = seen.page.locator(".slides")
    assert places.count() == 2 * 2, "comparisons, modes"
    border = places.nth(2).get_by_role("slider").first
    border.focus()
    seen.page.keyboard.press("ArrowRight")
    assert border.get_attribute("aria-valuetext") == "51 % random"
    other = places.nth(0).get_by_role("slider").first
    assert other.get_attribute("aria-valuetext") == "50 % random"
    choice = places.nth(2).get_by_label("picture on the left")
    assert choice.locator("option").all_text_contents() == ["image", "truth", "random", EVIL, WORSE]
    choice.select_option(EVIL)
    assert EVIL in border.get_attribute("aria-label")
    assert seen.complaints == []
    seen.page.context.close()


def test_a_border_lies_between_depth_and_errors_of_rows(chrome, recipe):
    seen = open_page(chrome, recipe)
    assert seen.page.locator(".slides").count() == 4, "figures 3, 4, 6 and 7"
    place = seen.page.locator(".slides").nth(1)
    border = place.get_by_role("slider").first
    border.focus()
    seen.page.keyboard.press("ArrowRight")
    assert border.get_attribute("aria-valuetext") == f"51 % {EVIL}: depth"
    assert place.get_by_role("slider").nth(1).get_attribute("aria-valuetext") == f"50 % {EVIL}: depth"
    choice = place.get_by_label("picture on the left")
    rows = [f"{row}: {kind}" for kind in ("depth", "error") for row in (EVIL, WORSE)]
    assert choice.locator("option").all_text_contents() == ["picture", "truth", *rows], "edges: not of all"
    choice.focus()
    seen.page.keyboard.press("End")
    left = place.locator("img.left").nth(1)
    assert left.get_attribute("alt") == f"error of {WORSE} for {WORSE}"
    wanted = seen.page.evaluate(
        "([of, name]) => [...document.querySelectorAll('#gallery-fig-4 img')]"
        ".find((one) => one.dataset.picture === of && one.dataset.name === name).src",
        [WORSE, f"{WORSE}: error"],
    )
    assert left.get_attribute("src") == wanted
    last = seen.page.locator(".slides").nth(3).get_by_label("picture on the right")
    assert last.locator("option").all_text_contents()[-2:] == [f"{EVIL}: edges", f"{WORSE}: edges"]
    assert seen.page.get_by_text("found edge").count() == 1, "the key stands where there are edges"
    assert seen.complaints == []
    seen.page.context.close()


def test_everything_is_there_for_keys_and_screen_readers(chrome, file):
    seen = open_page(chrome, file)
    page = seen.page
    assert page.locator("h1").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((one) => +one.tagName[1])")
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert page.get_by_role("navigation").get_by_role("link").count() >= 4
    assert page.evaluate("[...document.images].every((one) => one.alt && one.naturalWidth)")
    assert page.evaluate(
        "[...document.querySelectorAll('table')].every((one) => one.caption && one.caption.textContent)"
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate(
        "[...document.querySelectorAll('dt')].some((one) => /^versions/.test(one.textContent))"
    )
    assert seen.complaints == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_can_be_read_on_a_phone_in_the_light_and_in_the_dark(chrome, file, scheme):
    seen = open_page(chrome, file, color_scheme=scheme, **PHONE)
    seen.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.page.evaluate(CONTRAST) == []
    assert seen.complaints == []
    seen.page.context.close()
