"""The demo at a size of seconds: the same calls, the same files."""

from __future__ import annotations

import json

import pytest

from geopretrain.recipes.demo import DemoSize, run

TINY = DemoSize(
    video="synthetic:street?worlds=1&frames=12&seed=100",
    labelled="synthetic:street?train=8&val=4&test=4",
    height=64,
    width=96,
    steps=3,
    labels=4,
    iterations=2,
    seeds=2,
    modes="full",
)


@pytest.mark.slow
def test_the_demo_ends_with_a_report_and_continues_when_repeated(tmp_path):
    report = run(tmp_path / "demo", open_report=False, size=TINY)
    assert report.is_file()
    results = json.loads((report.parent / "comparison.json").read_text())
    assert {cell["init"] for cell in results["cells"]} == {"random", "depth"}
    weights = tmp_path / "demo" / "depth" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    run(tmp_path / "demo", open_report=False, size=TINY)
    assert weights.stat().st_mtime_ns == written, "what is finished is kept"
