"""Preparation killed at any moment continues and ends with the very same bytes."""

import errno
import multiprocessing
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest
from making_clips import sliding_frames, write_images, write_video

from geopretrain.data.prepare.decode import decode
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.resolve import resolve_store
from geopretrain.data.readers import open_source
from geopretrain.errors import DataError, RunFolderError

SIZE = (64, 96)


def work(out, sources, most_bytes=None, answers=None):
    """What a child process does: prepare, on a "disk" of limited size when asked."""
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        prepare(sources, out, size=SIZE, progress=False)
    except RunFolderError as error:
        answers.put(str(error))


@pytest.fixture(scope="module")
def processes():
    """Children forked from a fresh server which has imported everything once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["geopretrain.data.prepare.preparation", "torch", "cv2", "av", "pytest", "making_clips"]
    )
    return context


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    write_images(root / "a", sliding_frames(40, step=2.0))
    write_video(root / "b.mp4", sliding_frames(40, step=2.0, seed=4))
    return [str(root / "a"), str(root / "b.mp4")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, sources):
    """The files of a preparation nobody interrupted."""
    return files(prepare(sources, tmp_path_factory.mktemp("whole"), size=SIZE, progress=False).path)


def files(folder):
    return {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".png"
    }


def frames_written(out):
    """Count the frames written so far by a process that creates, moves and removes folders meanwhile."""
    total = 0
    for folder, _, names in os.walk(out):  # passes over folders that have just vanished
        if Path(folder).name.startswith("decoding_") and "frames.u8" in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / "frames.u8").stat().st_size
    return total // (SIZE[0] * SIZE[1] * 3)


def test_prepare_killed_at_any_moment_continues(tmp_path, processes, sources, whole):
    out = tmp_path / "killed"
    kills = 0
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):  # after the first frames of this attempt are written
        process = processes.Process(target=work, args=(out, sources))
        process.start()
        before = frames_written(out) if out.exists() else 0
        while process.is_alive() and frames_written(out) <= before:
            time.sleep(0.001)
        time.sleep(delay)
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 1
    assert files(prepare(sources, out, size=SIZE, progress=False).path) == whole


def test_prepare_torn_last_lines_are_cut_back(tmp_path):
    write_images(tmp_path / "a", sliding_frames(20))
    (clip,) = open_source(tmp_path / "a")
    folder, crop = tmp_path / "work", (0, 0, 96, 128)
    whole = decode(clip, folder, tmp_path / "depth", crop, (64, 96))
    pixels, journal = (folder / "frames.u8").read_bytes(), (folder / "journal.jsonl").read_bytes()
    for cut_pixels, cut_journal in ((1000, 0), (0, 10), (40_000, 500), (len(pixels), 3), (0, len(journal))):
        (folder / "frames.u8").write_bytes(pixels[: len(pixels) - cut_pixels])
        (folder / "journal.jsonl").write_bytes(journal[: len(journal) - cut_journal])
        again = decode(clip, folder, tmp_path / "depth", crop, (64, 96))
        assert again.entries == whole.entries
        assert (folder / "frames.u8").read_bytes() == pixels
        assert (folder / "journal.jsonl").read_bytes() == journal


def test_prepare_full_disk_loses_nothing(tmp_path, processes, sources, whole):
    out, answers = tmp_path / "store", processes.Queue()
    process = processes.Process(target=work, args=(out, sources, 400_000, answers))
    process.start()
    message = answers.get(timeout=60)
    process.join()
    assert "is full" in message
    assert "it continues" in message
    assert len((out / ".preparing" / "decoding_000" / "journal.jsonl").read_text().splitlines()) >= 16
    with pytest.raises(DataError, match="not complete"):
        resolve_store(out)
    assert files(prepare(sources, out, size=SIZE, progress=False).path) == whole


def test_prepare_not_writable(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    write_images(tmp_path / "a", sliding_frames(5))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunFolderError, match="not writable"):
        prepare(tmp_path / "a", tmp_path / "store", progress=False)


def test_prepare_two_processes_share_the_work(tmp_path, processes, sources, whole):
    running = [processes.Process(target=work, args=(tmp_path / "store", sources)) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0]
    assert files(tmp_path / "store") == whole
