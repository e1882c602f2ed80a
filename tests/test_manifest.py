from __future__ import annotations

import os
import shutil

import pytest

from geopretrain import files, manifest
from geopretrain.errors import RunFolderError
from geopretrain.folders import check_replaceable, foreign


@pytest.fixture
def root(tmp_path):
    manifest.begin(tmp_path / "root")
    return tmp_path / "root"


def test_what_is_written_is_listed_before_it_is_there(root, monkeypatch):
    files.write_text(root / "a.txt", "ours")
    files.write_text(root / "sub" / "b\n.txt", "ours")
    files.write_text(root / ".hidden" / "c.txt", "ours")
    files.write_text(root / "a.txt", "again")
    assert manifest.listed(root) == ["a.txt", "sub/b\n.txt"]

    def die(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(root / "late.txt", "x")
    assert "late.txt" in manifest.listed(root)


def test_the_nearest_folder_with_a_list_counts(root, tmp_path):
    manifest.begin(root / "inner")
    files.write_text(root / "inner" / "a.txt", "")
    manifest.note_folder(root / "inner")
    files.write_text(tmp_path / "outside.txt", "")
    assert manifest.listed(root) == ["inner/"]
    assert manifest.listed(root / "inner") == ["a.txt"]


def test_torn_lines_and_names_that_lead_elsewhere_are_nothing(root):
    with (root / ".geopretrain/files.jsonl").open("w") as file:
        file.write('"../up"\n"/etc/passwd"\n3\n"good"\n"go')
    assert manifest.listed(root) == ["good"]
    manifest.note(root / "next")
    assert manifest.listed(root) == ["good", "next"]


def test_only_what_is_listed_is_removed_and_no_link_is_followed(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "picture.png").write_text("precious")
    for name in ("a.txt", "figures/b.png", "empty/c.txt"):
        files.write_text(root / name, "ours")
    (root / "figures" / "mine.png").write_text("mine")
    (root / "linked").symlink_to(elsewhere)
    manifest.note(root / "linked" / "picture.png")
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to(elsewhere / "picture.png")
    assert manifest.behind_links(root, manifest.listed(root)) == ["linked/picture.png"]
    manifest.remove(root, manifest.listed(root))
    there = sorted(path.relative_to(root).as_posix() for path in root.iterdir())
    assert there == [".geopretrain", "figures", "linked"]
    assert [path.name for path in (root / "figures").iterdir()] == ["mine.png"]
    assert (elsewhere / "picture.png").read_text() == "precious"


def test_foreign_is_what_nobody_listed(root):
    files.write_text(root / "ours" / "a.txt", "")
    (root / f".x.txt.77{files.PARTIAL_SUFFIX}").write_text("half")
    assert foreign(root) == []
    (root / f".mine{files.PARTIAL_SUFFIX}").write_text("not of ours: no number of a process")
    (root / "thesis.tex").write_text("")
    assert foreign(root) == [f".mine{files.PARTIAL_SUFFIX}", "thesis.tex"]
    files.remove_leftovers(root)
    assert (root / f".mine{files.PARTIAL_SUFFIX}").exists()


def test_a_file_that_is_not_ours_is_not_replaced(root):
    files.write_text(root / "a.txt", "")
    (root / "mine.txt").write_text("")
    check_replaceable(root / "a.txt")
    check_replaceable(root / "new.txt")
    with pytest.raises(RunFolderError, match="not written by geopretrain"):
        check_replaceable(root / "mine.txt")


def test_a_folder_in_the_place_of_a_removed_one_has_a_list_of_its_own(tmp_path):
    for _ in range(2):
        manifest.begin(tmp_path / "root")
        files.write_text(tmp_path / "root" / "a.txt", "ours")
        assert manifest.listed(tmp_path / "root") == ["a.txt"]
        shutil.rmtree(tmp_path / "root")
