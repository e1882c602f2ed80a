"""Preparation killed at any moment continues and ends with the very same bytes."""

import errno
import multiprocessing
import os
from pathlib import Path

import dying
import pytest
from making_clips import sliding_frames, write_images, write_video

from geopretrain.data.prepare import decode as decode_module
from geopretrain.data.prepare.decode import decode
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.resolve import resolve_store
from geopretrain.data.readers import open_source
from geopretrain.errors import DataError, RunFolderError

SIZE = (64, 96)


def work(out, sources, dies_at=0, answers=None):
    """What a child process does: prepare; it dies at the chosen moment, or says how many there were."""
    moments = dying.Moments(out, dies_at)
    decode_module.measure_if_due = moments.at_each(decode_module.measure_if_due)  # once a frame
    prepare(sources, out, size=SIZE, progress=False)
    if answers is not None:
        answers.put(moments.count)


def work_on_a_small_disk(out, sources, most_bytes, answers):
    """Prepare where a file can have so many bytes only."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        prepare(sources, out, size=SIZE, progress=False)
    except RunFolderError as error:
        answers.put(str(error))


@pytest.fixture(scope="module")
def processes():
    """Children forked from a fresh server which has imported everything once, where there is such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
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
    return [str(root / "a"), str(root / "b.mp4"), "synthetic:rooms?frames=8&seed=1"]  # the last with depth


@pytest.fixture(scope="module")
def whole(tmp_path_factory, sources):
    """The files of a preparation nobody interrupted."""
    return files(prepare(sources, tmp_path_factory.mktemp("whole"), size=SIZE, progress=False).path)


def files(folder):
    return {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".png"
    }


def run(processes, *arguments):
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(scope="module")
def moments(tmp_path_factory, processes, sources):
    """How many moments there are to die at."""
    answers = processes.Queue()
    assert run(processes, tmp_path_factory.mktemp("counted") / "store", sources, 0, answers) == 0
    return answers.get(timeout=60)


@pytest.mark.parametrize("moment", [1, 2, 3, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, *range(-9, 0)])
def test_prepare_killed_at_any_moment_continues(tmp_path, processes, sources, whole, moments, moment):
    """Moments are counted from the start, in fractions of all there are, or from the end."""
    out = tmp_path / "killed"
    last = int(moment * moments) if 0 < moment < 1 else moment % (moments + 1)
    assert run(processes, out, sources, last) in dying.KILLED
    if last < moments / 2:  # and once more, further on
        assert run(processes, out, sources, moments // 3) in dying.KILLED
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


@pytest.mark.skipif(os.name == "nt", reason="no limit of a file's size there")
def test_prepare_full_disk_loses_nothing(tmp_path, processes, sources, whole):
    out, answers = tmp_path / "store", processes.Queue()
    process = processes.Process(target=work_on_a_small_disk, args=(out, sources, 400_000, answers))
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
