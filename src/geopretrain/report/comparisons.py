"""Comparisons as a page of many things shows them, also those that are not finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geopretrain.config.options import CompareOptions
from geopretrain.config.saved import command_line
from geopretrain.errors import RunFolderError
from geopretrain.locks import holder
from geopretrain.records import as_type, read_json_text
from geopretrain.report import figures
from geopretrain.report.downloads import downloads
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.finding import ODD, Found, Standing, damaged
from geopretrain.report.tables import frame, table
from geopretrain.report.texts import file_stem
from geopretrain.runs.folder import RunFolder
from geopretrain.study.comparison import Comparison
from geopretrain.study.contests import contest_of
from geopretrain.study.folder import trials_folder
from geopretrain.study.learning_rate import DIVERGED
from geopretrain.study.summary import headline_rows, residual_rows, row_as_dict, summarise
from geopretrain.study.trials import Outcome
from geopretrain.wording import counted, in_versions

RESULTS = "comparison.json"
PAGE = "report.html"
_ADVICE = "Repeat the command of the comparison: it is trained or scored again."


@dataclass(frozen=True)
class ComparisonEntry:
    """A comparison in a page.

    Attributes:
        place: of its folder.
        standing: how far it is.
        sentence: what came out, empty before the end.
        groups: of its table.
        frame: what the table is about.
        differences: the figure of them, None where there are none.
        failures: sentences about trainings that failed and records that are damaged.
        line: the command that repeats it.
        page: address of its own page, seen from the folder that was looked through; empty without.
        downloads: what of a finished one can be kept.
        printed: numbers of a paper beside it; empty without.
        versions: of the libraries.
    """

    place: str
    standing: Standing
    sentence: str = ""
    groups: list[dict[str, Any]] = field(default_factory=list)
    frame: dict[str, Any] = field(default_factory=dict)
    differences: Drawing | None = None
    failures: list[str] = field(default_factory=list)
    line: str = ""
    page: str = ""
    downloads: list[dict[str, str]] = field(default_factory=list)
    printed: Mapping[str, Any] = field(default_factory=dict)
    versions: str = ""


def is_finished(folder: Path) -> bool:
    """Return whether a comparison has its numbers and nobody adds to them."""
    return (folder / RESULTS).is_file() and holder(folder) is None


def read_comparison(found: Found) -> ComparisonEntry:
    """Return a comparison as far as it can be read; what is damaged is said, and no error."""
    try:
        return _finished(found) if is_finished(found.path) else _begun(found)
    except ODD as error:
        return ComparisonEntry(found.place, damaged(error))


def _finished(found: Found) -> ComparisonEntry:
    comparison = Comparison.open(found.path)
    failed = [f"{one['trial']}: {one['error']}" for one in comparison.results["failures"]]
    words = f"{counted(len(failed), 'training')} failed" if failed else ""
    own = found.path / PAGE
    return ComparisonEntry(
        found.place,
        Standing("failed" if failed else "finished", words),
        sentence=comparison.sentence,
        failures=failed,
        line=str(comparison.results["protocol"]["command"]),
        page=Path(found.place, PAGE).as_posix() if own.is_file() else "",
        downloads=downloads(comparison, file_stem(found.place)),
        printed=comparison.results.get("printed") or {},
        versions=in_versions(comparison.results["protocol"]["versions"]),
        **_shown(comparison),
    )


def _shown(comparison: Comparison) -> dict[str, Any]:
    rows, measure = comparison.rows, comparison.measure
    inits = [one["name"] for one in comparison.results["inits"]]
    figure = None
    if any(row.difference is not None for row in rows):
        figure = drawing(
            figures.differences(rows, inits, measure),
            f"Differences of {measure.name} to {inits[0]} with their intervals",
            inits if len(inits) > 2 else (),
        )
    lines = table(comparison, headline_rows(rows), headline_rows(residual_rows(rows)), measure)
    return {"groups": lines, "frame": frame(comparison), "differences": figure}


def _begun(found: Found) -> ComparisonEntry:
    """Return a comparison that is not finished, with the numbers of the trainings that are."""
    config, inits = RunFolder(found.path).config, _inits(found.path)
    outcomes, odd = _outcomes(trials_folder(found.path))
    standing = _standing(found.path, config, len(inits), len(outcomes))
    entry = ComparisonEntry(found.place, standing, failures=odd, line=command_line(CompareOptions, config))
    if not outcomes or not inits:
        return entry
    task, supervision = config.get("task", "segmentation"), config.get("supervision", "labels")
    measure = contest_of(str(task), str(supervision)).measure
    modes = [str(mode) for mode in config.get("modes") or dict.fromkeys(one["mode"] for one in outcomes)]
    known = [one for one in outcomes if one["init"] in inits and one["mode"] in modes]
    rows = summarise(known, inits, modes, measure)
    partial = {
        "measure": asdict(measure),
        "inits": [{"name": name} for name in inits],
        "summary": [row_as_dict(row) for row in rows],
        "protocol": {
            "seeds": sorted({one["seed"] for one in known}),
            "seed_per_set": bool(config.get("seed_per_set")),
        },
    }
    shown = _shown(Comparison(found.path, partial))
    return ComparisonEntry(found.place, standing, failures=odd, line=entry.line, **shown)


def _inits(folder: Path) -> list[str]:
    file = folder / "inits.json"
    if not file.is_file():
        return []
    known = read_json_text(file, error=RunFolderError, advice=_ADVICE)
    return list(as_type(dict[str, Any], known, file, error=RunFolderError, advice=_ADVICE))


def _outcomes(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the numbers of finished trainings, and sentences about records that are damaged."""
    found, odd = list[dict[str, Any]](), list[str]()
    for file in sorted(folder.glob("*.json")):
        try:
            numbers = read_json_text(file, error=RunFolderError, advice=_ADVICE)
            if isinstance(numbers, dict) and DIVERGED in numbers:
                continue
            as_type(Outcome, numbers, file, error=RunFolderError, advice=_ADVICE)
            found.append({**numbers, "subset": _subset(numbers)})
        except RunFolderError as error:
            odd.append(str(error))
    return [one for one in found if one["subset"] != "chosen"], odd


def _subset(numbers: Mapping[str, Any]) -> Any:
    return numbers.get("subset") or 0


def _standing(folder: Path, config: Mapping[str, Any], inits: int, done: int) -> Standing:
    """Return how far a comparison is that is not finished."""
    seeds, modes, labels = (config.get(name) for name in ("seeds", "modes", "labels"))
    each = len(seeds) if isinstance(seeds, list) else 0
    each = each if not config.get("seed_per_set") else min(each, 1)  # of each set
    several = isinstance(labels, list) or config.get("subsets", 1) > 1
    each *= len(labels) if isinstance(labels, list) else 1
    total = inits * each * int(config.get("subsets") or 1) * (len(modes) if isinstance(modes, list) else 0)
    of = f" of {'at most ' * several}{total}" if total else ""
    count = f"{done}{of} trainings are finished"
    tried = sum(1 for _ in (folder / "search").glob("*.json"))
    count += f", and {tried} that choose learning rates" if tried else ""
    if holder(folder) is not None:
        return Standing("training", count)
    return Standing("stopped", f"{count}; nothing trains the others, repeating its command goes on")
