"""What the Dockerfile names is there; no engine builds it here."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORDS = ("ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "ENTRYPOINT", "CMD")


@pytest.fixture(scope="module")
def steps():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def ignored(name: str) -> bool:
    """Return whether .dockerignore keeps a name from the engine; the last pattern that fits decides."""
    found = False
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        kept, plain = pattern.startswith("!"), pattern.removeprefix("!").removeprefix("**/")
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(name, plain):
            found = not kept
    return found


def test_every_step_is_one_that_there_is(steps):
    assert {word for word, _ in steps} <= set(WORDS)
    assert steps[0][0] == "ARG"
    assert all(":" in rest for word, rest in steps if word == "FROM"), "an image with its version"


def test_what_is_copied_is_there_and_sent_to_the_engine(steps):
    copied = [rest.split() for word, rest in steps if word == "COPY" and "--from" not in rest]
    for *sources, _ in copied:
        for name in sources:
            assert (ROOT / name).exists()
            assert not ignored(name)
    assert ignored("tests")
    assert ignored("docs")
    assert {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= {n for c in copied for n in c}


def test_versions_are_the_tested_ones_and_extras_are_extras(steps):
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert installs
    assert all("--constraint constraints.txt" in rest for rest in installs)
    extras = next(rest for word, rest in steps if word == "ARG" and rest.startswith("EXTRAS"))
    assert set(re.findall(r"[\w-]+", extras)) - {"EXTRAS"} <= PROJECT["optional-dependencies"].keys()
    python = next(rest for word, rest in steps if word == "ARG" and rest.startswith("PYTHON"))
    assert python.partition("=")[2] == PROJECT["requires-python"].removeprefix(">=")


def test_it_ends_as_a_user_without_privileges_and_starts_the_command(steps):
    last = dict(steps)
    assert last["USER"] not in ("root", "0")
    assert [word for word, _ in steps].index("USER") < [word for word, _ in steps].index("ENTRYPOINT")
    assert last["ENTRYPOINT"] == f'["{next(iter(PROJECT["scripts"]))}"]'
    names = re.findall(r"\$\{(\w+)", " ".join(rest for _, rest in steps))
    known = {rest.partition("=")[0] for word, rest in steps if word == "ARG"} | {"PATH"}
    assert set(names) <= known
