"""A process that does one job after another: a JSON line in on standard input, a JSON line out per job.

Started as ``python -m geopretrain.study.worker``. Unlike a process pool it needs no guarded main module,
survives the death of a sibling, and ends when its parent does, also after ``kill -9``, because its input
then closes.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import queue
import sys
import threading
import traceback
from typing import Any, TextIO

from geopretrain import interruption
from geopretrain.compute import resolve_device
from geopretrain.errors import UserError
from geopretrain.plugins import load_plugins

RUNNER = "geopretrain.study.trials:run_trial"


def load(name: str) -> Any:
    """Return the function or class called ``module:name``."""
    module, _, own = name.partition(":")
    return getattr(importlib.import_module(module), own)


def run_safely(runner: str, job: Any, **options: Any) -> dict[str, Any]:
    """Do a job; an error becomes ``{'error': sentence, 'details': traceback}`` and ends nothing."""
    try:
        return {"outcome": load(runner)(job, **options)}
    except UserError as error:
        return {"error": str(error), "details": ""}
    except Exception as error:
        traceback.print_exc()  # a defect and no input error: the log keeps where it happened
        return {"error": f"{type(error).__name__}: {error}", "details": traceback.format_exc()}


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """Do the job that a message tells of, and return what came out or its error."""
    return run_safely(
        message["runner"],
        load(message["kind"]).from_json(message["job"]),
        threads=message["threads"],
        device=message["device"],
    )


def answer_elsewhere(message: dict[str, Any]) -> dict[str, Any]:
    """Do what `answer` does, on a machine that was not there to be asked when it was planned."""
    device = message["device"]
    try:
        resolve_device(device)
    except UserError:
        return {
            "error": f"the machine {platform.node()} that was to do it has no usable '{device}' device; "
            "ask for machines that have one (SLURM: --slurm gpus=1 and a partition with GPUs), or leave it "
            "to the processor with --device cpu",
            "details": "",
        }
    return answer(message)


def main() -> None:
    """Serve until the input closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print goes to the log and not into the answers
    load_plugins()
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    interruption.ignore("SIGINT", "SIGHUP")  # of the terminal: the comparison hears them and says when to end
    with interruption.answering(second=lambda number: None):
        try:
            _serve(jobs, answers)
        except interruption.Interrupted as stop:  # what is trained can be continued
            os._exit(128 + stop.number)


def _serve(jobs: queue.Queue[str], answers: TextIO) -> None:
    while True:
        interruption.check()
        answers.write(json.dumps(answer(json.loads(jobs.get()))) + "\n")
        answers.flush()


def _listen(jobs: queue.Queue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # the parent is gone or has no more work; what is trained can be resumed


if __name__ == "__main__":
    main()
