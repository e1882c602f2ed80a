"""``report``: one page of what trainings have left in a folder, once or for as long as they train."""

from __future__ import annotations

import time
from pathlib import Path

from geopretrain.config.analysis_options import ReportOptions
from geopretrain.config.command import takes
from geopretrain.console import console
from geopretrain.errors import RunFolderError
from geopretrain.manifest import is_listed
from geopretrain.report.build import build_report
from geopretrain.report.comparisons import PAGE, is_finished
from geopretrain.report.finding import ODD, REPRODUCE, find
from geopretrain.report.overview import Overview, build_overview, look_through
from geopretrain.report.page import is_page
from geopretrain.study.comparison import Comparison

PAGE_BESIDE = "runs.html"


@takes(ReportOptions)
def make_report(options: ReportOptions) -> Path:
    """Write the page of a comparison, or of everything that lies in a folder, to be read without a network.

    What is unfinished, has failed or is damaged is shown as that.

    Returns:
        The file of the page.

    Raises:
        RunFolderError: there is no such folder, nothing of ours in it, or the page cannot be written.
    """
    folder = Path(options.folder)
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"'{folder}' is a file. Give the folder of runs, or one above them.")
    page = _page(folder, options)
    if options.watch:
        _await_first(folder, options.interval)
        return _watch(folder, _page(folder, options), options.interval)  # a recipe may have begun there
    if not folder.exists():
        raise RunFolderError(f"'{folder}' does not exist. Give the folder of runs, or one above them.")
    seen = look_through(folder)
    if seen.is_empty:
        raise RunFolderError(
            f"'{folder}' holds no comparison, run, recipe or analysis of layers or features of geopretrain, "
            "nor do folders in it. Give a folder that one of them was written into, or one above."
        )
    console.say(seen.sentence())
    return _write(seen, page)


def _page(folder: Path, options: ReportOptions) -> Path:
    """Return where the page goes (RunFolderError where something else is there)."""
    page = _own_page(folder) if options.out is None else Path(options.out)
    _check_replaceable(page, folder)
    return page


def _own_page(folder: Path) -> Path:
    """Return where the page goes: in the folder of a recipe beside the page that ``reproduce`` writes."""
    is_recipe = any(one.place == "." and one.command == REPRODUCE for one in find(folder, deep=0))
    return folder / (PAGE_BESIDE if is_recipe else PAGE)


def _check_replaceable(page: Path, folder: Path) -> None:
    """Refuse to replace a file that is no page of ours."""
    own = page == folder / PAGE and (folder / "comparison.json").is_file()  # named by compare since ever
    if page.exists() and not (own or is_page(page) or is_listed(page)):
        raise RunFolderError(
            f"'{page}' exists and was not written by geopretrain, so it is left alone. Choose another --out."
        )


def _write(seen: Overview, page: Path, every: float | None = None) -> Path:
    """Write the page of what was seen: its own, with pictures and protocol, of a finished comparison."""
    alone = len(seen.comparisons) == 1 and seen.comparisons[0].place == "."
    if alone and is_finished(seen.folder):
        try:
            return build_report(Comparison.open(seen.folder), page, every)
        except ODD:
            pass  # the other page says what is damaged
    return build_overview(seen, page, every)


def _await_first(folder: Path, interval: float) -> None:
    """Wait until a folder is there and something of ours in it.

    Nothing is written meanwhile: a training refuses a folder that holds anything before it begins.
    """
    said = False
    while not folder.is_dir() or look_through(folder).is_empty:
        if not said:
            what = (
                f"Nothing of geopretrain is in '{folder}'" if folder.is_dir() else f"'{folder}' is not there"
            )
            console.say(
                f"{what} yet: waiting for the first training to begin there. Ctrl-C ends the waiting."
            )
        said = True
        time.sleep(interval)


def _watch(folder: Path, page: Path, interval: float) -> Path:
    """Write the page again and again until everything is finished; what is left at last does not reload."""
    before = ""
    try:
        while not (seen := _seen(folder)).finished:
            _write(seen, page, interval)
            if not before:
                console.say(f"Watching: open {page} in a browser; it is written anew every {interval:g} s.")
            if (now := seen.sentence()) != before:
                console.say(now)
            before = now
            time.sleep(interval)
    except KeyboardInterrupt:
        if folder.is_dir():
            _write(look_through(folder), page)
        raise
    _write(seen, page)
    console.say(f"{seen.sentence()} Nothing is left to watch.")
    return page


def _seen(folder: Path) -> Overview:
    """Return what lies in a folder that is watched (RunFolderError where it is gone: it is not made anew)."""
    if not folder.is_dir():
        raise RunFolderError(
            f"'{folder}' is gone, moved or removed while it was watched. Watch it where it is."
        )
    return look_through(folder)
