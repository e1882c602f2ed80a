"""Jobs that need others."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from geopretrain.study.launchers.work import Work


@dataclass(frozen=True)
class Job:
    name: str
    runner: str = "nothing:at_all"

    def as_json(self):
        return {"name": self.name}


NEEDS = {"b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["elsewhere"]}


def work(found, names="abcde"):
    return Work(
        [Job(name) for name in names], lambda job, answer: found.append((job.name, "error" in answer)), NEEDS
    )


def taken(made):
    names = []
    while (job := made.take()) is not None:
        names.append(job.name)
    return names


def test_a_job_is_begun_when_those_that_it_needs_are_done():
    found = []
    made = work(found)
    assert taken(made) == ["a", "e"], "what no job is called is needed by none"
    made.finish(Job("e"), {"outcome": {}})
    assert taken(made) == []
    made.finish(Job("a"), {"outcome": {}})
    assert taken(made) == ["b", "c"]
    made.finish(Job("c"), {"outcome": {}})
    assert taken(made) == []
    made.finish(Job("b"), {"outcome": {}})
    assert taken(made) == ["d"]
    made.finish(Job("d"), {"outcome": {}})
    assert made.open == 0
    assert [name for name, failed in found if not failed] == ["e", "a", "c", "b", "d"]


@pytest.mark.parametrize(("fails", "lost"), [("a", "abcd"), ("b", "bd"), ("e", "e")])
def test_what_needs_a_job_that_failed_is_lost_and_nothing_else(fails, lost):
    found = []
    made = work(found)
    while made.open:
        job = made.take()
        made.finish(job, {"error": "no"} if job.name == fails else {"outcome": {}})
    assert sorted(name for name, failed in found if failed) == sorted(lost)
    assert sorted(name for name, _ in found) == list("abcde"), "each is told of once"


def test_who_waits_is_woken_by_a_job_and_by_the_end():
    made, found = work([], "abd"), []

    def waits():
        found.append(made.take(wait=True))

    made.take()
    for wake, expected in ((lambda: made.finish(Job("a"), {"outcome": {}}), Job("b")), (made.close, None)):
        waiting = threading.Thread(target=waits)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        wake()
        waiting.join(10)
        assert found.pop() == expected
