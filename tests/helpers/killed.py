"""Commands in child processes that die at a chosen one of their dealings with files."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import dying

PRELOADED = ["dying", "geopretrain.cli", "geopretrain.commands.pretrain", "geopretrain.commands.compare"]
PRELOADED += ["geopretrain.commands.pseudo_depth", "geopretrain.commands.evaluate"]


def processes() -> Any:
    """Return what makes children: forked from a server that has imported everything, if possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def child(words: list[str], folder: str, dies_at: int, runner: str, answers: Any) -> None:
    """Run the command line; die at a moment, or answer with the exit code and how many there were."""
    from geopretrain import cli
    from geopretrain.study import worker

    worker.RUNNER = runner or worker.RUNNER
    os.environ["GEOPRETRAIN_CACHE"] = str(Path(folder).parent / "cache")
    moments = dying.Moments(folder, dies_at)
    code = cli.main(words)
    answers.put((code, moments.count))


def run(words: list[Any], folder: Path, dies_at: int = 0, runner: str = "") -> int:
    """Run a command that writes ``folder`` until it dies; return how many moments there were (0: it died)."""
    context = processes()
    answers = context.Queue()
    given = ([str(word) for word in words], str(folder), dies_at, runner, answers)
    process = context.Process(target=child, args=given)
    process.start()
    process.join()
    if process.exitcode in dying.KILLED:
        return 0
    assert process.exitcode == 0
    code, count = answers.get(timeout=60)
    assert code == 0, f"exit code {code}"
    return count


def content(folder: Path) -> dict[str, Any]:
    """Return what has to be equal between folders in which the same was done: without clock times."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name.startswith(("tensorboard/", "workers.log", "calls.log")):
            continue
        if path.name == "files.jsonl":
            found[name] = set(path.read_text().splitlines())
        elif path.name == "metrics.jsonl":
            records = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{k: v for k, v in record.items() if k != "timing"} for record in records]
        elif path.name in ("comparison.json", "report.html", "last.ckpt", "stages.json"):
            found[name] = True  # with the time of day in it
        else:
            found[name] = path.read_bytes()
    return found


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Name what differs between two contents."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
