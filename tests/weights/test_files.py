"""Reading files of others safely, writing ours atomically."""

from __future__ import annotations

import os
import pickle

import pytest
import torch

from geopretrain.errors import RunFolderError, WeightsError
from geopretrain.weights import read_metadata, read_normalisation, read_tensors, save_tensors

STATE = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}


class RunsCodeWhenRead:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.system, (f"touch {self.target}",))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, legacy):
    file, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"w": RunsCodeWhenRead(trace)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="could run code"):
        read_tensors(file)
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists()  # it would have run


def test_a_plain_malicious_pickle_is_refused_and_not_run(tmp_path):
    file, trace = tmp_path / "evil.pkl", tmp_path / "trace"
    file.write_bytes(pickle.dumps(RunsCodeWhenRead(trace)))
    with pytest.raises(WeightsError):
        read_tensors(file)
    assert not trace.exists()


def test_safetensors_round_trip_with_metadata(tmp_path):
    path = tmp_path / "new" / "a.safetensors"
    save_tensors(path, STATE, {"normalisation": '{"mean": [0.1, 0.2, 0.3], "std": [1, 1, 2]}'})
    read = read_tensors(path)
    assert list(read) == sorted(STATE)
    assert all(torch.equal(read[name], STATE[name]) for name in STATE)
    assert read_normalisation(path) == {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 2.0]}
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


def test_tensors_that_share_memory_or_are_not_contiguous_can_be_saved(tmp_path):
    base = torch.arange(6.0).view(2, 3)
    save_tensors(tmp_path / "a.safetensors", {"a": base, "b": base, "c": base.t()})
    read = read_tensors(tmp_path / "a.safetensors")
    assert torch.equal(read["b"], base)
    assert torch.equal(read["c"], base.t())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "optimizer": {"state": {}}},
        lambda s: {"online_network": s, "optimizer": {"state": {0: {"step": torch.ones(())}}}, "epoch": 3},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"model": {f"module.encoder.{k}": v for k, v in s.items()}},
        lambda s: {f"_orig_mod.backbone.{k}": v for k, v in s.items()},
        lambda s: {**{f"encoder.{k}": v for k, v in s.items()}, "height": 192, "use_stereo": False},
    ],
)
def test_wrappers_and_prefixes_of_others_are_removed(tmp_path, wrap):
    torch.save(wrap(STATE), tmp_path / "a.pth")
    read = read_tensors(tmp_path / "a.pth")
    assert set(read) == set(STATE)
    assert all(torch.equal(read[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "noise"])
def test_damaged_files_get_one_clear_sentence(tmp_path, suffix, damage):
    path = tmp_path / f"a{suffix}"
    save_tensors(path, STATE) if suffix == ".safetensors" else torch.save(STATE, path)
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "noise": b"\x93" * 99}[damage])
    with pytest.raises(WeightsError, match=r"damaged") as error:
        read_tensors(path)
    assert "\n" not in str(error.value)


def test_files_without_tensors_are_refused(tmp_path):
    torch.save({"epoch": 3, "note": "nothing"}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="no dictionary of tensors"):
        read_tensors(tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="does not exist"):
        read_tensors(tmp_path / "b.pth")


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_tensors(path, STATE)
    old = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="disk is full"):
        save_tensors(path, {"x": torch.ones(3)})
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_metadata_of_other_files_is_empty_and_nonsense_is_refused(tmp_path):
    torch.save(STATE, tmp_path / "a.pth")
    assert read_metadata(tmp_path / "a.pth") == {}
    assert read_normalisation(tmp_path / "a.pth") is None
    save_tensors(tmp_path / "b.safetensors", STATE, {"normalisation": "[1"})
    with pytest.raises(WeightsError, match="cannot be understood"):
        read_normalisation(tmp_path / "b.safetensors")
