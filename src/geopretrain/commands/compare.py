"""``compare``: which initialisation serves a task with few labels best, and how sure is that?"""

from __future__ import annotations

from geopretrain.config.command import takes
from geopretrain.config.options import CompareOptions
from geopretrain.console import console
from geopretrain.report import build_report
from geopretrain.study.compare import run_comparison
from geopretrain.study.comparison import Comparison


@takes(CompareOptions)
def compare(options: CompareOptions) -> Comparison:
    """Fine-tune from each initialisation with the same labels, seeds and budget; report paired differences.

    Each combination of initialisation, mode and seed is one run; modes that train the same share it. Repeat
    the command to continue after an interruption, or with more seeds, modes or initialisations: completed
    runs are kept.

    Returns:
        The comparison: ``sentence``, ``table()``, ``results``, and the files in ``out``.

    Raises:
        UserError: an option, the data or an initialisation cannot be used, or no training succeeded.
    """
    comparison = run_comparison(options, lambda done: build_report(done, done.report))
    _say_what_came_out(comparison)
    return comparison


def _say_what_came_out(comparison: Comparison) -> None:
    console.say(f"\n{comparison.table()}\n")
    failures = comparison.results["failures"]
    for failure in failures:
        console.warn_left_out(f"FAILED {failure['trial']}: {failure['error']}")
    if failures:
        what = "1 training" if len(failures) == 1 else f"{len(failures)} trainings"
        console.say(f"{what} failed and left no numbers; repeat the command to try again.")
    console.say(comparison.sentence)
    console.suggest(f"Next: open {comparison.report} in a browser.")
