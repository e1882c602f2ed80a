"""The commands that the documentation shows: found in its pages, and read as the command line reads them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.cli import COMMANDS
from geopretrain.commands.early_names import check_names
from geopretrain.config.parsing import parse
from geopretrain.recipes.finding import find

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
)
SHELL = ("", "bash", "sh")
"""Languages of fenced blocks whose lines are commands; anything else that is no language is ``text``."""
STANDS_FOR = {
    "METHOD": "monodepth",
    "STEPS": "300",
    "N": "4",
    "HxW": "64x96",
    "NAME": "dense-80-median",
    "LIST": "list.txt",
}
"""Words in capitals that stand for a value which is checked."""
ELIDED = {
    "compare": "--inits random,imagenet --data labelled --out runs/cmp",
    "pretrain monodepth": "--data store --out runs/depth",
}
"""What ``...`` behind a command stands for: what has been typed above it."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(geopretrain [^`\n]+)`")
_OPTIONAL = re.compile(r"(?<=\s)\[(--[^\]]+)\]")
_EITHER = re.compile(r"[\w.]+(\|[\w.]+)+")


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, the line it begins at, its language and its text."""

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Line:
    """One line of a shell block, as it is typed: its page, its number there, its words."""

    page: str
    number: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"

    @property
    def command(self) -> tuple[str, ...] | None:
        """What is given to ``geopretrain``, also behind ``torchrun`` and ``docker run``; else None."""
        ours = (i for i, word in enumerate(self.words) if re.fullmatch(r"geopretrain(:\w+)?", word))
        first = next(ours, None)
        if first is None or self.words[:2] == ("docker", "build"):
            return None
        return self.words[first + 1 :]


def blocks(page: str) -> Iterator[Block]:
    """Return the fenced blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 2, found[1], found[2])


def lines(page: str) -> Iterator[Line]:
    """Return the lines of the shell blocks of a page; what continues below a backslash is one line."""
    for block in blocks(page):
        if block.language not in SHELL:
            continue
        number, typed = block.line, ""
        for i, text in enumerate(block.text.splitlines()):
            typed, number = (typed, number) if typed else ("", block.line + i)
            typed += text
            if typed.endswith("\\"):
                typed = typed[:-1]
                continue
            words = shlex.split(_OPTIONAL.sub(r"\1", typed), comments=True)
            if words:
                yield Line(page, number, tuple(words))
            typed = ""


def name_of(words: tuple[str, ...]) -> str:
    """Return the name of the command that words begin with."""
    return next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)


def check(words: tuple[str, ...]) -> None:
    """Read a command as the command line does; nothing that it names has to be there.

    Raises:
        UserError: it has an option, a value, a setting, a preset or a backbone that is not known.
        StopIteration: there is no such command.
    """
    if words in (("--version",), ("--help",)):
        return
    name = name_of(words)
    rest = [_value(word) for word in _whole(words)[len(name.split()) :]]
    given = parse(name, COMMANDS[name].options_class(), rest)
    if given is None:  # --help
        return
    options = COMMANDS[name].options_class()(**given)
    check_names(options)
    recipe: Any = getattr(options, "recipe", None)
    if recipe is not None and not recipe.endswith(".yaml"):
        find(recipe)  # refuses what is none


def in_sentences(page: str) -> Iterator[tuple[str, ...]]:
    """Return the words behind ``geopretrain`` of the commands that stand in sentences, each once."""
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for found in dict.fromkeys(_SPAN.findall(text)):
        words = shlex.split(_OPTIONAL.sub(r"\1", found))
        yield tuple(word for word in words[1:] if word not in ("...", "[options]"))


def check_words(words: tuple[str, ...]) -> None:
    """Read the beginning of a command: it and its options are known, whatever is missing.

    Raises:
        UserError: an option is not known.
        StopIteration: there is no such command.
    """
    groups = {name.split()[0] for name in COMMANDS}
    if words[0].startswith("--") or (len(words) == 1 and words[0] in groups) or words[0] in STANDS_FOR:
        return
    name = name_of(words)
    parse(name, COMMANDS[name].options_class(), list(words[len(name.split()) :]))


def _whole(words: tuple[str, ...]) -> list[str]:
    """Return the words with what ``...`` stands for."""
    if "..." not in words:
        return list(words)
    at = words.index("...")
    return [*words[:at], *shlex.split(ELIDED[" ".join(words[:at])]), *words[at + 1 :]]


def _value(word: str) -> str:
    """Return a word with a value in place of what stands for one."""
    word = word.removesuffix(",...")
    return STANDS_FOR.get(word, word.partition("|")[0] if _EITHER.fullmatch(word) else word)
