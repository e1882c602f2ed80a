import subprocess
import sys

from geopretrain.training.memory import keep_freed_memory


def test_freed_memory_can_be_kept():
    """In a process of its own, because the setting stays."""
    code = (
        "import torch; from geopretrain.training.memory import keep_freed_memory; keep_freed_memory();"
        "print(sum(int(torch.ones(2**24)[-1]) for _ in range(3)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["3"]


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
