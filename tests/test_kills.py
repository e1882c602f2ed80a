"""Commands killed at any of their dealings with files: the older result is whole, or the same command ends
with what an unkilled one leaves."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest
from making_clips import sliding_frames, write_images
from PIL import Image

from geopretrain import cli
from geopretrain.data.dataset import IMAGES
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.index import has_index
from geopretrain.errors import DataError

TINY = ["--backbone", "mobilenetv3_small_050", "--threads", "1", "--batch-size", "2"]


@dataclass
class Case:
    """A command, what was there before, and what tells that the older result is whole."""

    words: list[Any]
    out: Path
    before: Path
    runner: str = ""
    users: dict[str, str] = field(default_factory=dict)
    """Files of the user, which stay whatever happens."""

    def begin(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        if self.before.exists():
            shutil.copytree(self.before, self.out)
        for name, text in self.users.items():
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            (self.out / name).write_text(text)

    def check_users(self) -> None:
        assert {name: (self.out / name).read_text() for name in self.users} == self.users


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def store(work):
    """A store of a few frames with measured depth."""
    return prepare(
        "synthetic:rooms?frames=8&seed=1&stereo=0", work / "given", size=(64, 96), progress=False
    ).path


@pytest.fixture(scope="module")
def images(work):
    write_images(work / "frames", sliding_frames(12, step=2.0))
    return work / "frames"


@pytest.fixture(scope="module")
def labelled(work):
    root = work / "labelled"
    for number, split in enumerate(("train", "val", "test")):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for k in range(2):
            pixels = np.random.default_rng([number, k]).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / "images" / f"{k}.png")
            Image.fromarray(pixels[..., 0] % 2).save(root / split / "labels" / f"{k}.png")
    (root / "classes.txt").write_text("road\nsky\ncar\n")  # as many as the scores of the fake runner
    return root


@pytest.fixture(scope="module")
def run(work, store):
    words = ["pretrain", "monodepth", "--data", store, "--out", work / "depth", "--steps", "1", *TINY]
    assert cli.main([str(word) for word in words]) == 0
    return work / "depth"


@pytest.fixture(scope="module")
def cases(work, store, images, labelled, run):
    """Return a case by its name."""

    def prepared(name, *more, before=work / "nowhere", inputs=images):
        out = work / name
        words = ["data", "prepare", inputs, "--out", out, "--size", "64x96", *more]
        return Case(words, out, before, users={"depth/mine.txt": "mine"} if before.exists() else {})

    def compared(name, before):
        given = ["--labels", "2", "--steps", "2", "--seeds", "2", "--jobs", "1", "--modes", "full"]
        words = ["compare", "--inits", f"random,{run}", "--data", labelled, "--out", work / name, *given]
        words += ["--overwrite"] if before.exists() else []
        return Case(words, work / name, before, runner="fake_runner:run")

    def make(name):
        if name == "prepare":
            return prepared("new")
        if name == "prepare --overwrite":
            return prepared("replaced", "--overwrite", before=store)
        if name == "prepare with other settings":
            return prepared("again", "--overwrite", "--still-images", before=store)
        if name == "pseudo-depth":
            words = ["data", "pseudo-depth", work / "seen", "--teacher", run, "--threads", "1"]
            return Case(words, work / "seen", store)
        if name == "pretrain --overwrite":
            out = work / "overwritten"
            words = [
                "pretrain",
                "monodepth",
                "--data",
                store,
                "--out",
                out,
                "--steps",
                "2",
                *TINY,
                "--overwrite",
            ]
            return Case(words, out, run, users={"figures/holiday.png": "mine", "notes.txt": "mine"})
        if name == "evaluate":
            words = ["evaluate", work / "scored", store, "--csv", "--threads", "1"]
            return Case(words, work / "scored", run, users={"evaluation/mine.json": "{}"})
        if name == "compare":
            return compared("compared", work / "nowhere")
        case = compared("recompared", work / "nowhere")
        if not (work / "older").exists():
            case.begin()
            killed.run(case.words, case.out, runner=case.runner)
            shutil.move(case.out, work / "older")
        return compared("recompared", work / "older")

    return make


NAMES = ["prepare", "prepare --overwrite", "prepare with other settings", "pseudo-depth"]
NAMES += ["pretrain --overwrite", "evaluate", "compare", "compare --overwrite"]


def check(case: Case, part: int, parts: int) -> None:
    """Kill at every ``parts``-th moment from ``part`` on."""
    case.begin()
    total = killed.run(case.words, case.out, runner=case.runner)
    assert total > 3
    whole = killed.content(case.out)
    for moment in range(1 + part % total, total + 1, parts):
        case.begin()
        if killed.run(case.words, case.out, moment, runner=case.runner):
            continue  # one of fewer moments, where the clock decides
        case.check_users()
        check_store(case)
        killed.run(case.words, case.out, runner=case.runner)
        case.check_users()
        different = killed.differing(killed.content(case.out), whole)
        assert not different, f"killed at {moment} of {total}"


def check_store(case: Case) -> None:
    """A store can be opened at any moment, or it is said that its command has to be repeated."""
    if case.words[:2] != ["data", "prepare"]:
        return
    if case.before.exists():
        FrameStore.open(case.out).read([0], IMAGES)  # the older one, or the new one of still images
        return
    if not has_index(case.out):
        with pytest.raises(DataError, match=r"Repeat the same command|no frame store"):
            FrameStore.open(case.out)


@pytest.mark.parametrize("name", ["prepare --overwrite"])
def test_some_kills(cases, name):
    check(cases(name), 2, 23)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_kill(cases, name):
    check(cases(name), 0, 1)
